#!/bin/sh
# sft, merge and export as a user meets them, and runs killed at random moments. ARKLET names the program.
suite=sft
. tests/expect.sh
models=fixtures/models

done_well() { [ $code -eq 0 ] && [ -s "$dir/out" ]; }

# ---- Killed or interrupted at random moments, resumed until done: the bytes of a run that nobody disturbed ----
cat >"$dir/data.jsonl" <<'END'
{"prompt": "Ann has 12 apples.", "completion": " The answer is 7."}
{"prompt": "Ben has 3 books.", "completion": " The answer is 4.", "weight": 0.5}
{"messages": [{"role": "user", "content": "How many?"}, {"role": "assistant", "content": "7"}]}
{"segments": [{"text": "She gives 5", "weight": 0}, {"text": " Step 1: 12 - 5 = 7.", "weight": 2}]}
{"prompt": "Step 1", "completion": " is 3 * 4 = 12 books."}
END
# Takes the place of its (sub)shell, so that a kill meets the program.
train() {
    exec "$arklet" sft -m $models/qwen3/model.gguf -f "$dir/data.jsonl" --dev "$dir/data.jsonl" --eval-every 7 -o "$dir/$1" \
        --chat-template chatml --batch 2 --epochs 24 --save-every 2 --lr 5e-3 --weight-decay 0.01 --rank 2 --lora-dropout 0.2 -t 1 -q \
        --resume >>"$dir/log" 2>&1
}
# The numbers of metrics.csv without step_time, its last column.
steps() { sed 's/,[^,]*$//' "$dir/$1/metrics.csv"; }
same_run() {
    for file in adapter_model.safetensors adapter.gguf adapter_config.json checkpoint/state.bin; do
        cmp -s "$dir/whole/$file" "$dir/$1/$file" || return 1
    done
    [ "$(steps whole)" = "$(steps "$1")" ] && [ -s "$dir/$1/metrics.csv" ]
}
begun=$(date +%s%N)
(train whole)
code=$?
whole_ms=$((($(date +%s%N) - begun) / 1000000))
expect 'a whole run' '[ $code -eq 0 ] && [ "$(steps whole | wc -l)" -eq 61 ]'
rounds=${QUICK:+1}
for round in $(seq 1 "${rounds:-4}"); do
    tries=0 kills=0 longest=$whole_ms
    while :; do
        train "killed$round" &
        pid=$!
        # Up to the time of a whole run, growing with the tries, so that a machine that became slow gets there too.
        sleep "$(od -An -N2 -tu2 /dev/urandom | awk -v n=$tries -v ms="$longest" '{ printf "%.3f", $1 / 65536 * ms / 1000 * (1 + n / 16) }')"
        kill -$([ $((tries % 2)) -eq 0 ] && echo KILL || echo INT) $pid 2>/dev/null
        wait $pid 2>/dev/null
        code=$?
        [ $code -eq 137 ] || [ $code -eq 130 ] && kills=$((kills + 1))
        tries=$((tries + 1))
        [ $tries -lt 200 ] || break
        [ $code -ne 0 ] && continue
        [ $kills -gt 0 ] && break
        # It was done before the kill: not what is to be seen. From the start, with less patience.
        rm -rf "$dir/killed$round"
        longest=$((longest / 2 + 1))
    done
    expect "killed or interrupted, and resumed, round $round" '[ $code -eq 0 ] && [ $kills -gt 0 ] && same_run killed$round'
done

# ---- Interrupted: what is half-trained does not stand under the name of a result ----
"$arklet" sft -m $models/qwen3/model.gguf -f "$dir/data.jsonl" -o "$dir/cut" --chat-template chatml --batch 2 --epochs 100000 -t 1 -q \
    >"$dir/out" 2>"$dir/err" &
pid=$!
tries=0
while [ $((tries += 1)) -le 300 ] && [ "$(wc -l 2>/dev/null <"$dir/cut/metrics.csv" || echo 0)" -lt 3 ]; do sleep 0.1; done
kill -INT $pid
wait $pid
code=$?
expect 'an interrupted run' '[ $code -eq 130 ] && grep -q "resume goes on" "$dir/err" && [ -s "$dir/cut/checkpoint/state.bin" ] && [ ! -e "$dir/cut/adapter.gguf" ]'

# ---- One transcript by heart ----
echo '{"prompt": "Ann has 12 apples and gives 5 to Ben.", "completion": " 12 - 5 = 7. The answer is 7."}' >"$dir/one.jsonl"
run sft -m $models/qwen2/model.gguf -f "$dir/one.jsonl" -o "$dir/heart" --epochs 100 --batch 1 --lr 1e-2 --rank 4 -q
run run -m $models/qwen2/model.gguf --lora "$dir/heart" -p 'Ann has 12 apples and gives 5 to Ben.' -n 40 --temp 0 -q
expect 'says what it was taught' '[ "$(cat "$dir/out")" = " 12 - 5 = 7. The answer is 7." ]'
run run -m $models/qwen2/model.gguf --lora "$dir/heart/adapter.gguf" -p 'Ann has 12 apples and gives 5 to Ben.' -n 40 --temp 0 -q
expect 'from the GGUF too' '[ "$(cat "$dir/out")" = " 12 - 5 = 7. The answer is 7." ]'

# ---- Complete runs ----
run sft -m $models/qwen2/model.gguf -f "$dir/one.jsonl" -o "$dir/heart" --epochs 100 --batch 1 --lr 1e-2 --rank 4 --resume
expect 'a complete run says so' '[ $code -eq 0 ] && [ "$(cat "$dir/out")" = "steps 100" ] && grep -q "was complete" "$dir/err"'

# ---- A checkpoint of another run ----
again() { run sft -m $models/qwen3/model.gguf -f "$dir/data.jsonl" --dev "$dir/data.jsonl" --eval-every 7 -o "$dir/whole" \
    --chat-template chatml --batch 2 --epochs 24 --save-every 2 --lr 5e-3 --weight-decay 0.01 --rank 2 --lora-dropout 0.2 -t 2 -q --resume "$@"; }
cp "$dir/whole/config.txt" "$dir/config.txt"
again --lr 6e-3
expect 'another learning rate' 'refused 1 state.bin "lr = 5e-3" "lr = 6e-3" && cmp -s "$dir/whole/config.txt" "$dir/config.txt"'
again --rank 3
expect 'another rank' 'refused 1 "rank = 2" "rank = 3"'
again --lora-dropout 0.1
expect 'another dropout' 'refused 1 "lora-dropout = 0.2" "lora-dropout = 0.1"'
again -m $models/qwen2/model.gguf
expect 'another base' 'refused 1 "another base model"'
head -n 4 "$dir/data.jsonl" >"$dir/four.jsonl"
again -f "$dir/four.jsonl"
expect 'other data' 'refused 1 "other data"'
cp "$dir/data.jsonl" "$dir/moved.jsonl"
again -f "$dir/moved.jsonl"
expect 'the same data under another name, on two threads' 'done_well && same_run whole'

# ---- Bad input: one line, nothing lost ----
sft() { run sft -m $models/qwen3/model.gguf -f "$dir/data.jsonl" -o "$dir/x" --chat-template chatml -q "$@"; }
printf '{"prompt": "a"}\n' >"$dir/bad.jsonl"
sft -f "$dir/bad.jsonl"
expect 'a record without completion' 'refused 1 bad.jsonl:1 completion'
: >"$dir/empty.jsonl"
sft -f "$dir/empty.jsonl"
expect 'an empty file' 'refused 1 empty.jsonl "at least one record"'
sft -f "$dir/none.jsonl"
expect 'no such file' 'refused 1 none.jsonl "No such file"'
sft --rank 0
expect 'a rank of 0' 'refused 1 rank "found 0"'
sft --rank 41
expect 'a rank above the matrix' 'refused 1 rank "at most 24" "found 41"'
sft --rank many
expect 'a rank that is no number' 'refused 2 rank'
sft --lr nan
expect 'a learning rate of NaN' 'refused 2 lr'
sft --targets q_proj,x_proj
expect 'an unknown target' 'refused 2 x_proj'
sft -o "$dir/data.jsonl/x"
expect 'a folder that cannot be made' 'refused 1 data.jsonl "cannot create folder"'
sft --lora fixtures/adapters/qwen2
expect 'an adapter of another base' 'refused 1 "adapters/qwen2" "expected 3 x 40, found 4 x 56\|another base\|rank"'
sft --lora fixtures/adapters/qwen3 --rank 8
expect 'a rank for an adapter that has one' 'refused 2 rank'
sft --lora fixtures/adapters/qwen3 --lora fixtures/adapters/qwen3
expect 'two adapters' 'refused 2 "one adapter"'
sft --full --lora fixtures/adapters/qwen3
expect '--full with an adapter' 'refused 2 merge'
sft --full --lora-dropout 0.1
expect '--full with dropout of an adapter' 'refused 2 lora-dropout'
sft --max-len 3 --epochs 1
expect 'nothing left within --max-len' 'refused 1 max-len'
sft --max-len 9 --epochs 1
expect 'records that are cut are counted' '[ $code -eq 0 ] && grep -q "warning: [1-5] records were longer than 9 tokens" "$dir/err"'
sft --lr 100 --alpha 1e6 --warmup 0 --epochs 8 --save-every 1
expect 'a learning rate that explodes' 'refused 1 "step [0-9]*: " "is kept" && [ -s "$dir/x/checkpoint/state.bin" ]'
run sft -m $models/qwen3/model.gguf -o "$dir/x"
expect 'no data' 'refused 2 file'
# A NaN in an adapter: the first element of the first tensor.
cp -R fixtures/adapters/qwen3 "$dir/nan"
chmod -R u+w "$dir/nan"
size=$(od -An -N8 -tu8 "$dir/nan/adapter_model.safetensors" | tr -d ' ')
printf '\0\0\300\177' | dd of="$dir/nan/adapter_model.safetensors" bs=1 seek=$((size + 8)) conv=notrunc 2>/dev/null
run perplexity -m $models/qwen3/model.gguf -f fixtures/README.md -c 64 --lora "$dir/nan"
expect 'a NaN in an adapter' 'refused 1 finite lora_'
sft --lora "$dir/none"
expect 'no such adapter' 'refused 1 none'

# ---- Adapters in all forms, merged, exported ----
near() {
    awk "BEGIN { exit !($1 / $2 < 1 + $3 && $2 / $1 < 1 + $3) }"
}
for name in llama qwen3; do
    ppl() { run perplexity -m "$@" -f fixtures/README.md -c 64 -ctk f32 -ctv f32 -q && value=$(sed 's/.*= //' "$dir/out"); }
    model=$models/$name/model.gguf
    ppl $model && plain=$value
    ppl $model --lora fixtures/adapters/$name && folder=$value
    run export -m $model --lora fixtures/adapters/$name -o "$dir/$name.gguf"
    ppl $model --lora "$dir/$name.gguf" && gguf=$value
    run merge -m $model --lora fixtures/adapters/$name -o "$dir/$name-merged.gguf" F32 -q
    ppl "$dir/$name-merged.gguf" && merged=$value
    run merge -m $model --lora fixtures/adapters/$name -o "$dir/$name-q.gguf" Q4_0 --ppl fixtures/README.md -c 64 -ctk f32 -ctv f32 -q
    cp "$dir/out" "$dir/loss"
    ppl "$dir/$name-q.gguf"
    expect "$name: the loss of merging is printed" 'grep -q "^PPL apart = $folder$" "$dir/loss" &&
        grep -q "^PPL merged = $value$" "$dir/loss" && grep -Eq "^change = [+-][0-9]+\.[0-9]{3} %$" "$dir/loss"'
    run merge -m $models/$name --lora "$dir/$name.gguf" -o "$dir/$name-merged2.gguf" F32 -q
    ppl "$dir/$name-merged2.gguf" && merged2=$value
    expect "$name: folder, GGUF and merged agree" '[ -n "$plain" ] && [ "$plain" != "$folder" ] && [ "$folder" = "$gguf" ] &&
        near $folder $merged 1e-4 && near $merged $merged2 1e-6'
    run export -m $model --lora "$dir/$name.gguf:0.5" -o "$dir/$name-half"
    ppl $model --lora fixtures/adapters/$name:0.5 && half=$value
    ppl $model --lora "$dir/$name-half"
    expect "$name: the strength is exported" 'near $half $value 1e-6 && ! near $half $folder 1e-3'
done
run export -m $models/qwen3/model.gguf -o "$dir/y"
expect 'export without an adapter' 'refused 2 lora'

if [ -e /dev/zero ]; then
    run sft -m $models/qwen3/model.gguf -f /dev/zero -o "$dir/y" -q
    expect 'a line without end' 'refused 1 /dev/zero:1 "at most 256 MB"'
fi

# ---- All weights ----
for name in llama gemma3; do
    for form in $models/$name $models/$name/model.gguf; do
        run sft -m $form -f "$dir/data.jsonl" --chat-template chatml -o "$dir/full" --full --epochs 8 --batch 5 --lr 3e-3 \
            -q -ctk f32 -ctv f32
        before=$loss loss=$(sed -n 's/^loss //p' "$dir/out")
        # One more step from the written model begins with a lower loss than the last one had.
        run sft -m "$dir/full/model.gguf" -f "$dir/data.jsonl" --chat-template chatml -o "$dir/more" --full --epochs 1 \
            --batch 5 --lr 0 -q -ctk f32 -ctv f32
        last=$next next=$(sed -n 's/^loss //p' "$dir/out")
    done
    expect "$name: --full of folder and GGUF agree" '[ -n "$loss" ] && [ "$loss" = "$before" ] && [ "$next" = "$last" ]'
    expect "$name: model.gguf has what was learnt" 'awk "BEGIN { exit !($next < $loss && $next > $loss - 0.5) }"'
done
exit $failed
