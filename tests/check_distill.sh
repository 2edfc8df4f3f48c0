#!/bin/sh
# distill and demo as a user meets them: a teacher that knows sums by heart, a student that knows them less, the whole
# loop, and runs killed at random moments. ARKLET names the program.
suite=distill
. tests/expect.sh
model=fixtures/models/qwen3/model.gguf

# The last run failed with this exit code, nothing on standard output, and a last line that holds all these words.
refused() {
    [ $code -eq "$1" ] && [ ! -s "$dir/out" ] || return 1
    shift
    for word in "$@"; do tail -n 1 "$dir/err" | grep -q -e "$word" || return 1; done
}

awk -v q="$dir/q.jsonl" -v t="$dir/t.jsonl" 'BEGIN {
    split("Ann Ben Cat Dan", names)
    for (n = 1; n <= 4; n++)
        for (a = 2; a < 8; a += 2) {
            question = names[n] " has " a " books and 3 apples."
            printf "{\"question\":\"%s\",\"answer\":\"#### %d\"}\n", question, a + 3 >q
            head = "{\"prompt\":\"Question: " question "\\n\\nSolution:\\n\\n\",\"completion\":\""
            printf "%s%d + 3 = %d\\n\\n#### %d\"}\n", head, a, a + 3, a + 3 >t
            printf "%s3 + %d = %d\\n\\nThe answer is %d.\\n\\n#### %d\"}\n", head, a, a + 3, a + 3, a + 3 >t
            printf "%s%d + 3 = %d\\n\\n#### %d\"}\n", head, a, a + 4, a + 4 >t
        }
}'
mkdir "$dir/demo"
run sft --full -q -m $model -f "$dir/t.jsonl" -o "$dir/demo/teacher" --epochs 30 --batch 9 --lr 5e-3
expect 'a teacher' '[ $code -eq 0 ]'
run sft --full -q -m $model -f "$dir/t.jsonl" -o "$dir/demo/student" --epochs 10 --batch 9 --lr 5e-3
expect 'a student' '[ $code -eq 0 ]'

flags="--max-new 32 --test-share 0.3 --agents 3 --rounds 2 --steps 3 --group 4 --prompts 2 --epochs 6 --lr 5e-3 --rl-lr 1e-3
    -c 400 --eval-every 2 --save-every 2 --rank 4 --vote 3"
# Takes the place of its (sub)shell, so that a kill meets the program.
distill() {
    name=$1
    shift
    exec "$arklet" distill -m "$dir/demo/student/model.gguf" --teacher "$dir/demo/teacher/model.gguf" -f "$dir/q.jsonl" \
        -o "$dir/$name" $flags "$@"
}
# All files of a run but for the times in them.
contents() {
    (cd "$dir/$1" && find . -type f ! -name '*.bin' ! -name '*.tmp.*' | sort | while read -r file; do
        case $file in
        *metrics.csv) echo "$file $(sed 's/,[^,]*$//' "$file" | cksum)" ;;
        ./stages/*.json | ./summary.*) echo "$file $(sed 's/,"seconds":[0-9.]*//; s/,"training_seconds":[0-9.]*//; s/tok, [0-9]* s/tok/; s/^ *//' "$file" | tr -s ' ' | cksum)" ;;
        ./config.txt) ;;
        *) echo "$file $(cksum <"$file")" ;;
        esac
    done)
}
begun=$(date +%s%N)
(distill whole -t 1 >"$dir/out" 2>"$dir/err")
code=$?
whole_ms=$((($(date +%s%N) - begun) / 1000000))
contents whole >"$dir/whole.sums"
expect 'the whole loop' '[ $code -eq 0 ] && (for row in base teacher debate self-debate answer self sampled rsft da rl pad da-pad; do has "^$row  *test " || exit 1; done)'
expect 'memory is told before the start' 'head -n 1 "$dir/err" | grep -q "^distill: debates, teacher .* MB = weights .* + work" && grep -q "^distill: reinforcement  *[0-9]" "$dir/err"'
expect 'the summary in three forms' 'cmp -s "$dir/out" "$dir/whole/summary.txt" && grep -q "^| da-pad | test | " "$dir/whole/summary.md" &&
    grep -q "\"row\":\"da\",.*\"against_base\":{.*\"p_mcnemar\":.*\"training_tokens\":" "$dir/whole/summary.json" && grep -q "\"stage\":\"prm\",.*\"held_out\":{" "$dir/whole/summary.json"'
expect 'the run folder' '[ -s "$dir/whole/debate.jsonl" ] && [ -s "$dir/whole/da/adapter.gguf" ] && [ -s "$dir/whole/prm/adapter_model.safetensors" ] &&
    [ -s "$dir/whole/pad/metrics.csv" ] && grep -q "^teacher = " "$dir/whole/config.txt" && [ "$(cat "$dir"/whole/questions/*.jsonl | wc -l)" -eq 12 ]'
expect 'no question is in two parts' '[ "$(cat "$dir"/whole/questions/*.jsonl | sort -u | wc -l)" -eq 12 ] && [ "$(wc -l <"$dir/whole/questions/test.jsonl")" -eq 4 ] &&
    grep -q "^{\"id\":\"q:[0-9]*\",\"question\":" "$dir/whole/questions/test.jsonl"'
(distill whole -t 3 >"$dir/out" 2>"$dir/err")
code=$?
contents whole >"$dir/again.sums"
expect 'complete stages are skipped' '[ $code -eq 0 ] && cmp -s "$dir/whole.sums" "$dir/again.sums" && [ "$(grep -c ": complete$" "$dir/err")" -ge 25 ] && ! grep -q "^distill: da (" "$dir/err"'
rounds=${QUICK:+1}
for round in $(seq 1 "${rounds:-2}"); do
    tries=0 kills=0 longest=$((whole_ms / 3))
    while :; do
        distill "killed$round" -t 2 -q >"$dir/out" 2>"$dir/err" &
        pid=$!
        sleep "$(od -An -N2 -tu2 /dev/urandom | awk -v n=$tries -v ms="$longest" '{ printf "%.3f", $1 / 65536 * ms / 1000 * (1 + n / 16) }')"
        kill -9 $pid 2>/dev/null
        wait $pid 2>/dev/null
        code=$?
        [ $code -eq 137 ] && kills=$((kills + 1))
        tries=$((tries + 1))
        [ $code -ne 0 ] && [ $tries -lt 200 ] || break
    done
    contents "killed$round" >"$dir/killed.sums"
    expect "killed and continued, round $round" '[ $code -eq 0 ] && [ $kills -gt 0 ] && cmp -s "$dir/whole.sums" "$dir/killed.sums"'
done
(distill whole --lr 1e-3 >"$dir/out" 2>"$dir/err")
code=$?
expect 'another configuration' 'refused 1 config.txt "lr = 5e-3" "lr = 1e-3"'
(distill whole -m "$dir/demo/teacher/model.gguf" >"$dir/out" 2>"$dir/err")
code=$?
expect 'another student' 'refused 1 config.txt "student/model.gguf" "teacher/model.gguf"'
(distill dropout --rows base,da --lora-dropout 0.5 --vote 1 -q >"$dir/out" 2>"$dir/err")
code=$?
expect 'dropout in fine-tuning' '[ $code -eq 0 ] && ! cmp -s "$dir/dropout/da/adapter_model.safetensors" "$dir/whole/da/adapter_model.safetensors"'
# At a low temperature the samples, and the policy that learns from them, are surer.
(distill cool --rows base,rl --rl-temp 0.2 --vote 1 -q >"$dir/out" 2>"$dir/err")
code=$?
entropy() {
    awk -F, 'NR == 1 { for (i = 1; i <= NF; i++) if ($i == "entropy") n = i } NR == 2 { print $n }' "$dir/$1/rl/metrics.csv"
}
expect 'a temperature of reinforcement' '[ $code -eq 0 ] && awk "BEGIN { exit !($(entropy cool) < $(entropy whole) / 2) }"'
for copy in 1 2 3; do cat "$dir/q.jsonl"; done >"$dir/thrice.jsonl"
(distill thrice -f "$dir/thrice.jsonl" --rows base --vote 1 -q >"$dir/out" 2>"$dir/err")
code=$?
questions() { sed 's/.*"question":\("[^"]*"\).*/\1/' "$dir/thrice/questions/$1.jsonl" | sort -u; }
expect 'a question that is there three times is in one part' '[ $code -eq 0 ] && [ "$(questions train | wc -l)" -gt 0 ] && [ "$(questions test | wc -l)" -gt 0 ] &&
    [ "$( (questions train; questions dev; questions test) | sort | uniq -d | wc -l)" -eq 0 ]'
mkdir -p "$dir/foreign"
echo mine >"$dir/foreign/summary.txt"
(distill foreign >"$dir/out" 2>"$dir/err")
code=$?
expect 'a folder of something else' 'refused 1 "foreign/summary.txt" "expected an empty folder" && [ "$(cat "$dir/foreign/summary.txt")" = mine ]'
(distill small --mem-limit 600K >"$dir/out" 2>"$dir/err")
code=$?
expect 'a memory limit' 'refused 1 "more than the limit"'
# The stages of other rows do not count.
(distill whole -t 1 >"$dir/out" 2>"$dir/err")
most() { sed -n "s/^distill: $1  *\([0-9.]*\) MB = .*/\1/p" "$dir/err"; }
expect 'what fine-tuning and reinforcement take' 'awk "BEGIN { exit !($(most reinforcement) > $(most fine-tuning) && $(most fine-tuning) > 0) }"'
limit=$(most fine-tuning)9M
(distill few --rows base,answer --vote 1 --mem-limit "$limit" >"$dir/out" 2>"$dir/err")
code=$?
expect "rows that need less than $limit" '[ $code -eq 0 ] && ! grep -q "^distill: re" "$dir/err" && grep -q "^distill: fine-tuning  *[0-9]" "$dir/err"'

# ---- Rows that cannot be made are left out; one model in both roles ----
run distill -m $model -f "$dir/q.jsonl" -o "$dir/none" --max-new 8 -c 400 --agents 2 --rounds 1 --steps 1 --group 2 --prompts 1 \
    --rows base,teacher,debate,rsft,rl,da-pad --vote 1
expect 'without a right debate' '[ $code -eq 0 ] && has "^rsft is left out: no trace was selected" && has "^da-pad is left out: there is no" && has "^rl  *test " && ! has "^teacher" && ! has "^self" && ! has "^pad"'

# ---- demo ----
{
    echo 'model = student/model.gguf'
    echo 'teacher = teacher/model.gguf'
    echo 'file = ../q.jsonl'
    printf 'max-new = 32\nagents = 3\nrounds = 1\nctx-size = 400\nrows = base,debate,da\nepochs = 2\n'
} >"$dir/demo/distill.txt"
sed -i.bak 's|^model = |model = demo/|; s|^teacher = |teacher = demo/|; s|^file = ../|file = |' "$dir/demo/distill.txt"
run demo --fixtures "$dir" -o "$dir/shown" --vote 1
expect 'demo' '[ $code -eq 0 ] && has "^  student, one answer  *[0-9]" && has "^  debates, up to 3 different ones (DA) .* s\$" && ! has "(PAD) " &&
    has "distill -m small.gguf" && cmp -s "$dir/out" "$dir/shown/story.txt" && [ -s "$dir/shown/summary.md" ]'
run demo --fixtures "$dir/nowhere" -o "$dir/x"
expect 'demo without its files' 'refused 1 "nowhere/demo/distill.txt"'

# ---- Usage ----
run distill -m $model -f "$dir/q.jsonl"
expect 'no run folder' 'refused 2 -o'
run distill -m $model -f "$dir/q.jsonl" -o "$dir/x" --rows base,x
expect 'an unknown row' 'refused 2 rows'
run distill -m $model -f "$dir/none.jsonl" -o "$dir/x" -q
expect 'no questions' 'refused 1 none.jsonl'
echo '{"question":"x","answer":"1"}' >"$dir/one.jsonl"
run distill -m $model -f "$dir/one.jsonl" -o "$dir/y" -q
expect 'too few questions' 'refused 1 one.jsonl "more than 2 questions, found 1"'
exit $failed
