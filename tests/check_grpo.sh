#!/bin/sh
# grpo as a user meets it: rewards that rise, the modes, the same bytes on other threads and after a kill, lengths, bad
# input. ARKLET names the program.
suite=grpo
. tests/expect.sh

# Sums, and a model that was taught a right and a wrong answer to each: groups then differ within themselves.
awk -v q="$dir/q.jsonl" -v t="$dir/t.jsonl" -v s="$dir/s.jsonl" 'BEGIN {
    for (a = 1; a <= 9; a++) {
        question = "Ann has " a " apples and gets 2. How many?"
        printf "{\"question\":\"%s\",\"answer\":\"#### %d\"}\n", question, a + 2 >q
        for (n = 2; n <= 3; n++) {
            head = "{\"prompt\":\"Question: " question "\\n\\nSolution:\\n\\n\","
            printf "%s\"completion\":\"#### %d\"}\n", head, a + n >t
            printf "%s\"completions\":[\"#### %d\"],\"labels\":[%s]}\n", head, a + n, n == 2 ? "true" : "false" >s
        }
    }
}'
"$arklet" sft --full -q -m fixtures/models/qwen3/model.gguf -f "$dir/t.jsonl" -o "$dir/base" --epochs 40 --batch 9 --lr 5e-3 >"$dir/out" 2>"$dir/err"
code=$?
expect 'a model that knows two answers' '[ $code -eq 0 ]'
model=$dir/base/model.gguf
"$arklet" prm -q -m "$model" -f "$dir/s.jsonl" -o "$dir/prm" --epochs 2 --batch 9 --rank 2 --lr 1e-2 >"$dir/out" 2>"$dir/err"
code=$?
expect 'a reward model' '[ $code -eq 0 ]'
# Takes the place of its (sub)shell, so that a kill meets the program.
start() {
    out=$1
    shift
    exec "$arklet" grpo -m "$model" -f "$dir/q.jsonl" -o "$dir/$out" --prompts 3 --group 4 --max-new 12 --truncated keep --lr 3e-3 --warmup 0 \
        --rank 4 -q "$@" >"$dir/out" 2>"$dir/err" </dev/null
}
grpo() {
    (start "$@")
    code=$?
}
# The numbers of metrics.csv without step_time, its last column, and the adapter.
same() {
    cmp -s "$dir/$1/adapter_model.safetensors" "$dir/$2/adapter_model.safetensors" &&
        [ "$(sed 's/,[^,]*$//' "$dir/$1/metrics.csv")" = "$(sed 's/,[^,]*$//' "$dir/$2/metrics.csv")" ]
}

# A column of metrics.csv, without its head.
column() {
    awk -F, -v name="$2" 'NR == 1 { for (i = 1; i <= NF; i++) if ($i == name) c = i } NR > 1 { print $c }' "$dir/$1/metrics.csv"
}
without_gradient() { # are there rows without a gradient?
    column "$1" grad_norm | grep -qx 0
}

grpo toy --prompts 9 --group 8 --steps 24 --schedule constant --resample 0
rise=$(column toy reward | awk '{ s[NR] = $1 } END { for (i = 1; i <= 5; i++) d += s[NR - 5 + i] - s[i]; print d / 5 }')
expect "the reward rises (by $rise)" '[ $code -eq 0 ] && awk "BEGIN { exit !($rise > 0.2) }"'
grpo whole --epochs 2 --kl-beta 0.01 --prm "$dir/prm" -t 1 --save-every 1 --dev "$dir/q.jsonl" --eval-every 2
expect 'two passes over nine questions, three a step' '[ $code -eq 0 ] && [ "$(wc -l <"$dir/whole/metrics.csv")" -eq 7 ] &&
    head -n 1 "$dir/whole/metrics.csv" | grep -q "step,loss,reward,reward_std.*kl,entropy,completions/mean_length" &&
    ! without_gradient whole'
grpo spoilt --epochs 1 --lr 0.5 --dev "$dir/q.jsonl" --eval-every 1
expect 'keeps what it started from when no step is better' '[ $code -eq 0 ] && grep -q "^best_step 0$" "$dir/out"'
grpo threads --epochs 2 --kl-beta 0.01 --prm "$dir/prm" -t 3 --save-every 1 --dev "$dir/q.jsonl" --eval-every 2
expect 'the same on three threads' '[ $code -eq 0 ] && same whole threads'
tries=0
while [ $((tries += 1)) -le 20 ]; do
    start killed --epochs 2 --kl-beta 0.01 --prm "$dir/prm" -t 1 --save-every 1 --dev "$dir/q.jsonl" --eval-every 2 --resume &
    pid=$!
    sleep "0.0$((tries % 10))"
    kill -$([ $((tries % 2)) -eq 0 ] && echo KILL || echo INT) $pid 2>/dev/null # at once, or in the middle of a step
    wait $pid 2>/dev/null
done
grpo killed --epochs 2 --kl-beta 0.01 --prm "$dir/prm" -t 1 --save-every 1 --dev "$dir/q.jsonl" --eval-every 2 --resume
expect 'killed, interrupted and resumed' '[ $code -eq 0 ] && same whole killed'
for mode in pure grpo; do
    grpo $mode --mode $mode --steps 2 --kl-beta 0.001 --prm "$dir/prm"
    expect "mode $mode" '[ $code -eq 0 ] && [ "$(wc -l <"$dir/$mode/metrics.csv")" -eq 3 ] && ! without_gradient $mode && ! same whole $mode'
done
grpo constant --steps 2 --updates-per-rollout 2 --prm "$dir/prm"
for flags in '--loss sample' '--loss dapo' '--credit vppo' '--credit outcome' '--lambda-p 1' '--kl-beta 0.1' \
    '--clip-eps 0.01 --clip-eps-high 0.01' '--temp 0.8'; do
    grpo other --steps 2 --updates-per-rollout 2 --prm "$dir/prm" $flags
    expect "$flags" '[ $code -eq 0 ] && ! without_gradient other && ! same constant other'
    rm -rf "$dir/other"
done
grpo kl --steps 2 --kl-beta 0.1
grpo corrected --steps 2 --kl-beta 0.1 --kl-corrected
expect "the corrected KL" '[ $code -eq 0 ] && ! same kl corrected'
# A ratio of 1 in exact arithmetic: no clip, however narrow, can hold in the first update on fresh samples.
grpo narrow --steps 1 --clip-eps 0 --clip-eps-high 0 --temp 0.7
expect 'the first update has ratios of exactly 1' '[ $code -eq 0 ] && ! without_gradient narrow && [ "$(column narrow clip_ratio/region_mean)" = 0 ]'
grpo twice --steps 1 --clip-eps 0 --clip-eps-high 0 --temp 0.7 --updates-per-rollout 2
expect 'the second one has not' '[ $code -eq 0 ] && column twice clip_ratio/region_mean | grep -q "^0[.].*[1-9]"'
# The reward in the table is the one that is learnt from: of the answer, of both, of the steps (one in each answer here).
grpo outcome --steps 1 --prm "$dir/prm" --credit outcome
grpo softmin --steps 1 --prm "$dir/prm"
grpo scores --steps 1 --prm "$dir/prm" --mode grpo
expect 'the reward of each credit' '[ "$(column outcome reward)" = "$(column outcome rewards/answer/mean)" ] &&
    [ "$(column softmin reward)" != "$(column softmin rewards/answer/mean)" ] && [ "$(column scores reward)" = "$(column scores rewards/prm/mean)" ]'
for flags in '--mode grpo' '--credit vppo' "--prm-model $model"; do
    grpo x $flags
    expect "$flags without a reward model" 'refused 2 "expected --prm"'
done
grpo x --lora "$dir/whole"
expect 'a rank for an adapter that has one' 'refused 2 rank "has its own"'
grpo answers --steps 1
sed 's/#### 3/#### 4/' "$dir/q.jsonl" >"$dir/other.jsonl"
grpo answers --steps 1 --resume -f "$dir/other.jsonl"
expect 'goes on with the same answers alone' 'refused 1 state.bin "other data"'
grpo x --lora a --lora b
expect 'two policies' 'refused 2 "one policy"'
grpo x --epochs 1 --steps 2
expect 'epochs and steps' 'refused 2 epochs steps'
grpo x --max-len 10
expect 'no room for a prompt' 'refused 2 max-len "found 10"'
grpo x --max-len 14
expect 'only longer questions' 'refused 1 q.jsonl "at most 2 tokens"'
grpo x -c 20 --max-new 16
expect 'a context that is too small' 'refused 1 "q.jsonl:1: the longest prompt" "context of 20"'
grpo x --prm fixtures/adapters/qwen3
expect 'a reward model without a head' 'refused 1 "score head"'
# A reward model on a base of its own: the same base changes nothing, another one the rewards.
printf '{"prompt":"Ann has 3.","completions":["3 + 2 = 5","3 + 2 = 6"],"labels":[true,false]}\n' >"$dir/steps.jsonl"
"$arklet" init -q fixtures/models/qwen3/config.json "$dir/other.gguf" --tokenizer $model --seed 5 >"$dir/out" 2>"$dir/err"
for base in $model "$dir/other.gguf"; do
    "$arklet" prm -q -m $base -f "$dir/steps.jsonl" -o "$dir/prm-$(basename $base .gguf)" --rank 2 --lr 1e-2 --epochs 5 >"$dir/out" 2>"$dir/err"
done
grpo prm --steps 2 --prm "$dir/prm-model"
grpo prm-same --steps 2 --prm "$dir/prm-model" --prm-model $model
expect 'a reward model on the policy'"'"'s base' '[ $code -eq 0 ] && same prm prm-same'
grpo prm-other --steps 2 --prm "$dir/prm-other" --prm-model "$dir/other.gguf"
expect 'a reward model on another base' '[ $code -eq 0 ] && ! same prm prm-other'
grpo x --prm-model fixtures/models/llama/model.gguf --prm "$dir/prm-model"
expect 'a reward model with another vocabulary' 'refused 1 vocabulary'
# The plan: told, refused when it is above the limit, and kept below it by fewer sequences, which changes no result.
grpo() {
    "$arklet" grpo -m "$model" -f "$dir/q.jsonl" -o "$dir/$1" --prompts 3 --group 4 --max-new 12 --steps 2 --dev "$dir/q.jsonl" \
        --prm "$dir/prm-model" --rank 4 $2 >"$dir/out" 2>"$dir/err" </dev/null
    code=$?
}
told() { sed -n "s/^$1: .*memory \([0-9.]*\) MB = weights .* + work .* + tokenizer, program .*/\1/p" "$dir/err"; }
grpo free
all=$(told grpo)
expect 'the memory is told' '[ $code -eq 0 ] && grep -q "^grpo: [0-9]* parameters in training, 12 sequences; memory " "$dir/err"'
grpo alone '-b 1'
least=$(told grpo)
grpo small "--mem-limit ${least}9M"
expect "a limit between $least and $all MB" '[ $code -eq 0 ] && grep -q "[,] [1-6] sequences;" "$dir/err" && same free small'
grpo x '--mem-limit 6M'
expect 'a limit that nothing fits into' 'refused 1 "mem-limit 6M" "are needed" "6.0 are allowed" && [ ! -e "$dir/x/config.txt" ]'
echo '{"question": "x"}' >"$dir/q.jsonl"
grpo y
expect 'a question without an answer' 'refused 1 q.jsonl:1'
exit $failed
