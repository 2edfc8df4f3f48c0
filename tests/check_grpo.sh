#!/bin/sh
# grpo as a user meets it: the modes, the same bytes on other threads and after a kill, lengths, bad input. ARKLET names
# the program.
arklet=${ARKLET:-./arklet}
model=fixtures/models/qwen3/model.gguf
dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT
failed=0

expect() {
    if eval "$2"; then
        echo "ok grpo $1"
    else
        echo "FAIL grpo $1: exit $code, stdout '$(head -n 2 "$dir/out" | tr '\n' ' ')', stderr '$(head -n 2 "$dir/err" | tr '\n' ' ')'"
        failed=1
    fi
}
refused() {
    [ $code -eq "$1" ] && [ ! -s "$dir/out" ] && [ "$(wc -l <"$dir/err")" -eq 1 ] || return 1
    shift
    for word in "$@"; do grep -q -e "$word" "$dir/err" || return 1; done
}
i=0
while [ $((i += 1)) -le 9 ]; do
    echo "{\"question\": \"Ann has $i apples and gets 2. How many?\", \"answer\": \"#### $((i + 2))\"}"
done >"$dir/q.jsonl"
# Takes the place of its (sub)shell, so that a kill meets the program.
start() {
    out=$1
    shift
    exec "$arklet" grpo -m $model -f "$dir/q.jsonl" -o "$dir/$out" --prompts 3 --group 4 --max-new 10 --truncated keep --lr 1e-2 \
        --rank 2 -q "$@" >"$dir/out" 2>"$dir/err" </dev/null
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

grpo whole --epochs 2 --kl-beta 0.01 -t 1 --save-every 1 --dev "$dir/q.jsonl" --eval-every 2
expect 'two passes over nine questions, three a step' '[ $code -eq 0 ] && [ "$(wc -l <"$dir/whole/metrics.csv")" -eq 7 ] &&
    head -n 1 "$dir/whole/metrics.csv" | grep -q "step,.*reward,reward_std.*kl,entropy,completions/mean_length"'
grpo threads --epochs 2 --kl-beta 0.01 -t 3 --save-every 1 --dev "$dir/q.jsonl" --eval-every 2
expect 'the same on three threads' '[ $code -eq 0 ] && same whole threads'
tries=0
while [ $((tries += 1)) -le 20 ]; do
    start killed --epochs 2 --kl-beta 0.01 -t 1 --save-every 1 --dev "$dir/q.jsonl" --eval-every 2 --resume &
    pid=$!
    sleep "0.0$((tries % 10))"
    kill -9 $pid 2>/dev/null
    wait $pid 2>/dev/null
done
grpo killed --epochs 2 --kl-beta 0.01 -t 1 --save-every 1 --dev "$dir/q.jsonl" --eval-every 2 --resume
expect 'killed and resumed' '[ $code -eq 0 ] && same whole killed'
for mode in pure grpo; do
    grpo $mode --mode $mode --steps 2 --kl-beta 0.001
    expect "mode $mode" '[ $code -eq 0 ] && [ "$(wc -l <"$dir/$mode/metrics.csv")" -eq 3 ] && ! same whole $mode'
done
grpo x --epochs 1 --steps 2
expect 'epochs and steps' 'refused 2 epochs steps'
grpo x --max-len 10
expect 'no room for a prompt' 'refused 2 max-len "found 10"'
grpo x --max-len 12
expect 'only longer questions' 'refused 1 q.jsonl "at most 2 tokens"'
grpo x -c 20 --max-new 16
expect 'a context that is too small' 'refused 1 "longest prompt" "context of 20"'
grpo x --prm fixtures/adapters/qwen3
expect 'a reward model without a head' 'refused 1 "score head"'
echo '{"question": "x"}' >"$dir/q.jsonl"
grpo x
expect 'a question without an answer' 'refused 1 q.jsonl:1'
exit $failed
