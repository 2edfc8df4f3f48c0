#!/bin/sh
# run, logprobs, perplexity and bench as a user meets them, on the small models of fixtures/. ARKLET names the program.
suite=run
. tests/expect.sh
models=fixtures/models

same() { cmp -s "$dir/first" "$dir/out"; }

# ---- run ----
run run -m $models/qwen3 -p 'Ann has' -n 40 -s 3 -t 1
expect 'text from a folder' 'silent && [ -s "$dir/out" ]'
mv "$dir/out" "$dir/first"
run run -m $models/qwen3/model.gguf -p 'Ann has' -n 40 -s 3 -t 3
expect 'the same text from the GGUF, on three threads' 'silent && same'
run run -m $models/qwen3/model.gguf -p 'Ann has' -n 40 -s 3 --kernels scalar
expect 'the same text from the scalar tier' 'silent && same'
run run -m $models/qwen3/model.gguf -p 'Ann has' -n 40 -s 4
expect 'another text from another seed' 'silent && ! same'
printf 'Ann has\n' >"$dir/prompt"
run run -m $models/qwen3/model.gguf -f "$dir/prompt" -n 40 -s 3
expect 'the same text from a prompt file with a final newline' 'silent && same'
run run -m $models/qwen3/model.gguf -p 'Ann has' -n 0
expect '-n 0' 'silent && [ ! -s "$dir/out" ]'
run run -m $models/gemma3 --ids '2 5,9' -n 11 --temp 0
expect '--ids' 'silent && [ "$(wc -w <"$dir/out")" -eq 11 ] && [ "$(wc -l <"$dir/out")" -eq 1 ]'
run run -m $models/llama -p '' -n 12
expect 'an empty prompt' 'silent'
run run -m $models/llama -p 'x' -n 2000
expect 'the end of the context ends the text' '[ $code -eq 0 ] && [ -s "$dir/out" ]'

run run -m $models/qwen3 -p "$(head -c 2000 fixtures/README.md)"
expect 'a prompt longer than the context' 'refused 1 "context holds 256"'
run run -m $models/qwen3 -p x -c 300 -n 1
expect '-c above the trained length warns' '[ $code -eq 0 ] && grep -q "warning.*300.*256" "$dir/err"'
run run -m "$dir/none.gguf" -p x
expect 'no such file' 'refused 1 none.gguf "No such file"'
run run -m "$dir/prompt" -p x
expect 'no model' 'refused 1 prompt'
run run -m $models/qwen3 --ids '1 2 300'
expect 'an id outside the vocabulary' 'refused 1 "0..299" "300"'
run run -m $models/qwen3 --ids '1 2 x'
expect 'an id that is none' 'refused 2 "found .x."'
run run -m $models/qwen3 --ids '1' -p x
expect '--ids and -p' 'refused 2 --ids'
run run -m $models/qwen3 -p x -f "$dir/prompt"
expect '-p and -f' 'refused 2 -f'
run run -m $models/qwen3 -p x --temp -1
expect 'a negative temperature' 'refused 2 temp'
run run -m $models/qwen3 -p x --kernels mmx
expect 'an unknown tier' 'refused 2 kernels scalar mmx'
run run -m $models/qwen3 -p x --mem-limit 1K
expect 'a memory limit below the weights' 'refused 1'
run run -m $models/qwen3 -p x --mem-limit 2x
expect 'a memory limit that is no size' 'refused 2 mem-limit'
run run -m $models/qwen3 -p x --mem-limit 700K
expect 'a memory limit tells what would fit' 'refused 1 "would fit"'
run run -m $models/qwen3 --chat --chat-template nonsense -p x
expect 'an unknown chat template' 'refused 1 nonsense'
run run -m $models/qwen3 --stop '' -p x
expect 'an empty stop string' 'refused 2 stop'

(sleep 0.2; "$arklet" run -m $models/qwen3 -p 'Ann has' -n 100 2>"$dir/err"; echo $? >"$dir/code") | true
code=$(cat "$dir/code")
: >"$dir/out"
expect 'a closed pipe' 'refused 1 "standard output"'
if [ -e /dev/full ]; then
    "$arklet" run -m $models/qwen3 -p 'Ann has' -n 100 >/dev/full 2>"$dir/err"
    code=$?
    expect 'a full disk' 'refused 1 "standard output"'
fi

# ---- logprobs ----
cat >"$dir/records.jsonl" <<'END'
{"id": "a b", "prompt": "Ann has", "completion": " five apples", "extra": [1]}
{"uuid": 17, "prompt": "", "completion": "x"}

{"prompt": "x", "completion": ""}
END
run logprobs -q -m $models/llama -f "$dir/records.jsonl"
expect 'logprobs: a line a record, ids survive' '[ $code -eq 0 ] && [ "$(wc -l <"$dir/out")" -eq 3 ] &&
    grep -q "^{\"v\":1,\"id\":\"a b\",\"tokens\":\[[0-9,]*\],\"logprobs\":\[[-0-9.,]*\],\"sum\":-[0-9.]*}$" "$dir/out" &&
    grep -q "\"id\":17," "$dir/out" && grep -q "\"id\":\"records:2\",\"tokens\":\[\],\"logprobs\":\[\],\"sum\":0}" "$dir/out"'
mv "$dir/out" "$dir/first"
run logprobs -q -m $models/llama -f "$dir/records.jsonl" -t 3 -o "$dir/file"
mv "$dir/file" "$dir/out"
expect 'logprobs: the same into a file, on three threads' 'silent && same'
"$arklet" logprobs -q -m $models/llama/model.gguf -f - <"$dir/records.jsonl" 2>"$dir/err" | sed 's/stdin:2/records:2/' >"$dir/out"
code=$?
expect 'logprobs: the same from standard input' 'silent && same'
printf '%s\n' '{"prompt":"a","completion":"b"}' '{"prompt":"a"}' >"$dir/bad.jsonl"
run logprobs -q -m $models/llama -f "$dir/bad.jsonl"
expect 'logprobs: a missing field' '[ $code -eq 1 ] && [ "$(wc -l <"$dir/out")" -eq 1 ] && [ "$(wc -l <"$dir/err")" -eq 1 ] &&
    grep -q "bad.jsonl:2: .*completion.*expected a string" "$dir/err"'
echo '{"prompt":"a","completion":7}' >"$dir/bad.jsonl"
run logprobs -q -m $models/llama -f "$dir/bad.jsonl"
expect 'logprobs: an ill-typed field' 'refused 1 "bad.jsonl:1:" "found a number"'
echo '{"prompt":"a","completion":"b"' >"$dir/bad.jsonl"
run logprobs -q -m $models/llama -f "$dir/bad.jsonl"
expect 'logprobs: broken JSON' 'refused 1 "bad.jsonl:1:"'
run logprobs -q -m $models/llama -f "$dir/records.jsonl" -c 3
expect 'logprobs: a record longer than the context' 'refused 1 "records.jsonl:1:" "context holds 3"'

# ---- perplexity ----
run perplexity -q -m $models/llama -f fixtures/README.md -c 64 -t 1
expect 'perplexity' 'silent && grep -Eq "^PPL = [0-9]+\.[0-9]{4}$" "$dir/out"'
mv "$dir/out" "$dir/first"
run perplexity -q -m $models/llama/model.gguf -f fixtures/README.md -c 64 -t 2 --kernels scalar
expect 'perplexity: the same from the GGUF and the scalar tier' 'silent && same'
printf '%s' "$(cat fixtures/README.md)" >"$dir/text"
run perplexity -q -m $models/llama -f "$dir/text" -c 64
expect 'perplexity: the same without the final newline' 'silent && same'
run perplexity -q -m $models/llama -f "$dir/prompt" -c 64
expect 'perplexity: a text of less than two windows' 'refused 1 prompt "two windows of 64"'
run perplexity -q -m $models/llama -f fixtures/README.md -c 2
expect 'perplexity: a window without scored tokens' 'refused 2 "at least 3"'

# ---- bench ----
run bench -q -m $models/qwen3 -p 16 -n 4 -b 1,3 -r 2 -o json
expect 'bench: JSON' 'silent && [ "$(grep -c "\"test\"" "$dir/out")" -eq 3 ] && grep -q "\"tg4 x 3\"" "$dir/out" &&
    head -n 1 "$dir/out" | grep -q "^\[" && grep -q "\"avg_ts\": [0-9.]*, \"stddev_ts\": [0-9.]*, \"gbps\"" "$dir/out"'
run bench -m $models/qwen3 -p 0 -n 4 -b 2 -r 1 -o json --no-limits
expect 'bench: without limits' '[ $code -eq 0 ] && ! grep -q "^machine" "$dir/err" && grep -q "\"bandwidth_share\": null" "$dir/out"'
run bench -q -m $models/qwen3 -p 0 -n 4 -b 2 -r 1 -o csv -d 5
expect 'bench: CSV' 'silent && [ "$(wc -l <"$dir/out")" -eq 2 ] && grep -q "^tg4 x 2 @ d5,0,4,2," "$dir/out"'
run bench -q -m $models/qwen3 -p 0 -n 0 -r 2 -o csv --train --train-tokens 20,48 --train-sequences 3 --micro-tokens 100 --prompts 2 \
    --group 3 --max-new 5 --prompt-tokens 7
expect 'bench: training' 'silent && [ "$(wc -l <"$dir/out")" -eq 4 ] && grep -q "^sft20 x 3,20,0,3,[1-9]" "$dir/out" &&
    grep -q "^sft48 x 3,48,0,3,[1-9]" "$dir/out" && grep -q "^grpo,7,5,6,[1-9]" "$dir/out"'
run bench -q -m $models/qwen3 -p 0 -n 0 -r 1 -o json --train --full --train-tokens 20 --prompts 0
expect 'bench: full training' 'silent && grep -q "\"test\": \"full20\".*\"peak_share\": 0\.[0-9]" "$dir/out"'
run bench -q -m $models/qwen3 --train --train-tokens 20,1
expect 'bench: a step of one token' 'refused 2 train-tokens'
run bench -q -m $models/qwen3 -p x
expect 'bench: a length that is none' 'refused 2 n-prompt'
exit $failed
