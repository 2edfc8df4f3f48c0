#!/bin/sh
# The world of problems (tests/world): the same bytes for the same arguments, splits that share no question, answers that
# the grader finds, wordings of the test of sentence forms that training never sees, and errors for bad arguments.
#     sh tests/check_world.sh        BUILD and ARKLET from the environment
world=${BUILD:-build/release-x86_64}/world
arklet=${ARKLET:-./arklet}
dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT
bad=0
fail() {
    echo "FAIL world: $*"
    bad=1
}

for split in train dev test deep form; do
    $world questions split=$split count=1000 seed=3 >"$dir/$split" || fail "no questions for $split"
    [ "$(wc -l <"$dir/$split")" -eq 1000 ] || fail "$split: not 1000 questions"
done
$world questions split=test count=1000 seed=3 | cmp -s - "$dir/test" || fail "the same arguments give other questions"
$world questions split=test count=1000 seed=4 | cmp -s - "$dir/test" && fail "the seed changes nothing"
# A file's beginning does not depend on its length.
$world questions split=test count=100 seed=3 >"$dir/short"
head -n 100 "$dir/test" | cmp -s - "$dir/short" || fail "the first questions depend on how many there are"
cat "$dir/train" "$dir/dev" "$dir/test" "$dir/deep" "$dir/form" | sed 's/.*"question":"\([^"]*\)".*/\1/' | sort | uniq -d >"$dir/twice"
[ -s "$dir/twice" ] && fail "a question occurs twice: $(head -n 1 "$dir/twice")"

for split in test deep form; do
    sed 's/"answer":\("[^"]*"\)/"answer":\1,"output":\1/' "$dir/$split" >"$dir/graded"
    $arklet grade -q -f "$dir/graded" -o "$dir/out" >"$dir/means" || fail "$split: cannot be graded"
    [ "$(grep -c '"correct":true' "$dir/out")" -eq 1000 ] || fail "$split: the grader does not find every answer"
    sed 's/"answer":/"correct":true,"output":/' "$dir/$split" | $arklet eval --from - --process >"$dir/means"
    for measure in equations_true equations_grounded outputs_without_error; do
        grep -q "^$measure  *1[.]0000 " "$dir/means" || fail "$split: $(grep "^$measure" "$dir/means")"
    done
done
grep -q '"steps":6' "$dir/deep" && ! grep -qv '"steps":6' "$dir/deep" || fail "deep: not all of 6 steps"
grep -q 'in each of [0-9]\|a day for [0-9]\|of the [a-z]* does' "$dir/form" || fail "form: no held-out wording"
grep -q 'in each of [0-9]\|a day for [0-9]\|of the [a-z]* does' "$dir/train" "$dir/dev" "$dir/test" "$dir/deep" && fail "a held-out wording outside its test"

$world documents count=400 seed=1 single=40 debate=30 critique=20 drill=10 >"$dir/documents" || fail "no documents"
for kind in single debate critique drill; do
    grep -q "\"id\":\"$kind-1-" "$dir/documents" || fail "no document of the kind $kind"
done
grep -c 'revised solution:\\n\\n","completion"' "$dir/documents" >"$dir/n"
[ "$(cat "$dir/n")" -gt 150 ] || fail "debates do not end where the solution begins"
# Training on the right solutions of the prompt, too, changes weights, no text.
$world documents count=100 seed=1 single=0 debate=90 critique=10 drill=0 | sed 's/.*"prompt":"//; s/","completion":"//; s/"}$//' >"$dir/plain"
$world documents count=100 seed=1 single=0 debate=90 critique=10 drill=0 right=50 >"$dir/weighted"
sed 's/.*"segments":\[{"text":"//; s/","weight":[0-9.]*},{"text":"//g; s/","weight":1}]}$//' "$dir/weighted" | cmp -s - "$dir/plain" ||
    fail "right=50: other texts"
grep -q '{"text":"\\n\\n[A-Z][^"]*#### [0-9]*","weight":0.50}' "$dir/weighted" || fail "right=50: no solution with half the weight"
for arguments in "" "stories" "questions split=exam" "questions count=0" "documents depths=0,0" "text single=x" "documents right=101" \
    "documents single=0 debate=0 critique=0 drill=0"; do
    $world $arguments >/dev/null 2>"$dir/err"
    [ $? -eq 2 ] || fail "'$arguments': expected exit code 2"
    [ "$(wc -l <"$dir/err")" -eq 1 ] || fail "'$arguments': expected one line"
done
[ $bad -eq 0 ] && echo "ok world"
exit $bad
