#!/bin/sh
# The experiment's tables on a run folder whose figures are known: two seeds, four questions, three rows. BUILD from the
# environment.
build=${BUILD:-build/release-$(uname -m)}
dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT
failed=0
mkdir -p "$dir/questions" "$dir/out" "$dir/seed-1/eval" "$dir/seed-2/eval" "$dir/seed-1/rl" "$dir/seed-2/rl"

expect() {
    if eval "$2"; then
        echo "ok experiment $1"
    else
        echo "FAIL experiment $1: $(head -n 3 "$dir/err" | tr '\n' ' ')"
        failed=1
    fi
}
row() { grep "^| $1 | " "$dir/out/results.md" | head -n "${2:-1}" | tail -n 1; }

for set in test form deep; do
    for q in 0 1 2 3; do
        printf '{"id":"%s","question":"Ann has 5 books and gets 3, then 2.","answer":"%s","steps":2}\n' $set-$q \
            'Ann has 5 + 3 = 8.\n\nAnn has 8 + 2 = 10.\n\n#### 10'
    done >"$dir/questions/$set.solved.jsonl"
done
# answers SEED ROW SET RIGHT...: a right answer takes the solution's steps, a wrong one has one step that is not in it
answers() {
    seed=$1 name=$2 set=$3 file=$3
    [ $set = form ] && file=ood1
    [ $set = deep ] && file=ood2
    shift 3
    q=0
    for right in "$@"; do
        output='Ann has 3 + 5 = 8.\n\nAnn has 8 + 2 = 10.\n\n#### 10' truth=true tokens=20
        [ $right = 0 ] && output='Ann has 5 + 3 = 8.\n\nAnn has 8 - 2 = 6.\n\n#### 6' truth=false
        [ $name = debate ] && tokens=200
        printf '{"v":1,"id":"%s","output":"%s","correct":%s,"tokens":%s}\n' $set-$q "$output" $truth $tokens
        q=$((q + 1))
    done >"$dir/seed-$seed/eval/$name.$file.jsonl"
}
for seed in 1 2; do
    for set in test form deep; do
        answers $seed base $set 0 0 0 1
        answers $seed debate $set 1 1 1 1
    done
    echo '{"v":1,"rows":[{"row":"base","set":"test","sampled":{"value":0.2,"low":0,"high":1,"n":4}}],"stages":[{"stage":"held-debates","tokens":77,"single":0.5}]}' \
        >"$dir/seed-$seed/summary.json"
    printf 'step,reward,completions/mean_length,rewards/answer/mean,step_time\n1,0.5,30,0.25,1\n2,0.7,31,0.5,1\n' >"$dir/seed-$seed/rl/metrics.csv"
done
answers 1 da test 1 1 0 1
answers 2 da test 0 1 0 1
for seed in 1 2; do # the answers of a student that had more questions
    mkdir -p "$dir/more/seed-$seed/eval"
    answers $seed more test 1 1 0 1
    mv "$dir/seed-$seed/eval/more.test.jsonl" "$dir/more/seed-$seed/eval/da.test.jsonl"
done
echo '{"v":1,"rows":[{"row":"da","set":"test","training_tokens":900}]}' >"$dir/more/seed-1/summary.json"
"$build/results" "$dir" "$dir/out" 1 2 >"$dir/out.txt" 2>"$dir/err"
code=$?
expect 'a run folder' '[ $code -eq 0 ] && [ ! -s "$dir/err" ]'
# 3 and 2 of 4: mean 62.5, half width 12.706 * 17.678 / sqrt 2 = 158.8; against base 37.5
expect 'means, Student over two seeds' 'row da | grep -q "^| da | 62.5 | 158.8 | " && row da | grep -q " | +37.5 (" && row base | grep -q "^| base | 25.0 | 0.0 |"'
expect 'a row of other run folders' 'row da-more | grep -q "^| da-more | 75.0 | 0.0 | .* | 900 |" && grep -q "^| da-more - da | test | +12.5 | " "$dir/out/results.md"'
expect 'wrong steps against the solution' 'row base | grep -q " | - | 20.0 | - | 20 | 0.75 |" && row da | grep -q " | 20 | 0.38 |" && row debate | grep -q " | 200 | 0.00 |"'
# (62.5 - 25) / (100 - 25), a tenth of the tokens
expect 'the gain recovered' 'grep -q "^| da | teacher.s debate | test | 50 % | .* | 1/10.0 |$" "$dir/out/results.md"'
# of all pairs of both seeds: 3 right in da alone, none in base alone: 2 / 2^3
expect 'McNemar' 'row da | grep -q " | 0.250 |"'
expect 'curves' 'grep -q "<polyline" "$dir/out/reward.svg" && grep -q "rl</text>" "$dir/out/accuracy.svg" && grep -q "!\[.*\](length.svg)" "$dir/out/results.md"'
expect 'the same figures as JSON' 'grep -q "{\"row\":\"da\",\"set\":\"test\",\"seeds\":2,\"questions\":4,\"accuracy\":{\"value\":0.625,.*\"p_mcnemar\":0.25" "$dir/out/results.json" &&
    grep -q "\"debates\":{\"stage\":\"held-debates\",\"tokens\":77,\"single\":0.5},\"reward_model\":null" "$dir/out/results.json"'
sed -i.bak 's/"id":"test-2"/"id":"test-9"/' "$dir/seed-1/eval/da.test.jsonl"
"$build/results" "$dir" "$dir/out" 1 2 >"$dir/out.txt" 2>"$dir/err"
code=$?
expect 'answers to other questions' '[ $code -eq 1 ] && grep -q "da.test.jsonl:3: expected the answer to test-2, found test-9" "$dir/err"'
sh -n tests/experiment/experiment.sh
code=$?
expect 'the script' '[ $code -eq 0 ]'
exit $failed
