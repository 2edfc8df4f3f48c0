#!/bin/sh
# tokenizer and init as a user meets them: from a text to a trained model, and what they refuse. ARKLET names the program.
suite=init
. tests/expect.sh

quiet_and_done() { [ $code -eq 0 ] && [ ! -s "$dir/out" ] && [ ! -s "$dir/err" ]; }

# ---- A vocabulary ----
cat README.md fixtures/README.md >"$dir/text.txt"
run tokenizer -f README.md -f fixtures/README.md -o "$dir/v.gguf" --vocab-size 400 --special '<|endoftext|>' --special '<|user|>'
expect 'a vocabulary' '[ $code -eq 0 ] && [ ! -s "$dir/out" ] && grep -q "400 pieces, 142 merges" "$dir/err"'
run tokenizer -f "$dir/text.txt" -o "$dir/v" --vocab-size 400 --special '<|endoftext|>' --special '<|user|>' -q
expect 'as a folder, quietly' 'quiet_and_done && [ -s "$dir/v/tokenizer.json" ] && [ -s "$dir/v/tokenizer_config.json" ]'
for form in v.gguf v v/tokenizer.json; do
    run tokenize -m "$dir/$form" -f "$dir/text.txt"
    cp "$dir/out" "$dir/ids"
    run tokenize -m "$dir/$form" --decode -f "$dir/ids"
    expect "$form: text, ids and back" '[ $code -eq 0 ] && [ "$(wc -w <"$dir/ids")" -gt 100 ] && cmp -s "$dir/out" "$dir/text.txt"'
done
run tokenize -m "$dir/v.gguf" -p '<|user|> 12' --special
expect 'specials come first, then bytes' '[ "$(cat "$dir/out" | cut -d" " -f1)" = 1 ]'
cat README.md fixtures/README.md | "$arklet" tokenizer -f - -o "$dir/w" --vocab-size 400 --special '<|endoftext|>' --special '<|user|>' -q
expect 'from standard input, the same bytes' 'cmp -s "$dir/v/tokenizer.json" "$dir/w/tokenizer.json"'
printf '%s\n' '{"prompt": "apples apples apples", "meta": "zzzz zzzz"}' '{"messages": [{"content": "apples"}]}' >"$dir/t.jsonl"
run tokenizer -f "$dir/t.jsonl" -o "$dir/j.gguf" --vocab-size 1000 --eos '<|endoftext|>'
expect 'texts of records, fewer pieces than wanted' 'grep -q "from 26 bytes" "$dir/err" && grep -q "warning" "$dir/err"'
for pre in smollm qwen2; do
    printf '12 apples 12 12 pears 12 12 apples 1212' >"$dir/digits.txt"
    run tokenizer -f "$dir/digits.txt" -o "$dir/d.gguf" --vocab-size 300 --pre $pre -q
    run tokenize -m "$dir/d.gguf" -p '12'
    expect "$pre splits digits" '[ "$(wc -w <"$dir/out")" -eq 2 ]'
done
run tokenizer -f "$dir/digits.txt" -o "$dir/d.gguf" --vocab-size 300 --pre gpt-2 -q
run tokenize -m "$dir/d.gguf" -p '12'
expect 'gpt-2 does not' '[ "$(wc -w <"$dir/out")" -eq 1 ]'
run tokenizer -o "$dir/x.gguf"
expect 'no text' 'refused 2 file'
run tokenizer -f "$dir/none.txt" -o "$dir/x.gguf"
expect 'no such text' 'refused 1 none.txt "No such file"'
run tokenizer -f README.md -o "$dir/x.gguf" --pre gpt-5
expect 'an unknown pre-tokeniser' 'refused 2 pre gpt-5'
run tokenizer -f README.md -o "$dir/x.gguf" --vocab-size 257 --special '<a>' --special '<b>'
expect 'too small a vocabulary' 'refused 1 "258" "found 257"'
run tokenizer -f README.md -o "$dir/x.gguf" --eos '</s>'
expect 'an EOS that is no special token' 'refused 1 "</s>"'
run tokenizer -f README.md -o "$dir/none/x.gguf" -q
expect 'a folder that does not exist' 'refused 1 "none/x.gguf"'
echo '{"prompt": 3' >"$dir/bad.jsonl"
run tokenizer -f "$dir/bad.jsonl" -o "$dir/x.gguf" -q
expect 'a record that is no JSON' 'refused 1 "bad.jsonl:1"'

cat >"$dir/chatml.jinja" <<'END'
{% for message in messages %}{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}
END
for form in c.gguf c; do
    run tokenizer -f README.md -o "$dir/$form" --vocab-size 300 --special '<|im_end|>' --special '<|im_start|>' --chat-template "$dir/chatml.jinja" -q
    echo "{\"model_type\": \"llama\", \"hidden_size\": 16, \"intermediate_size\": 16, \"num_hidden_layers\": 1, \"num_attention_heads\": 2}" >"$dir/tiny.json"
    run init "$dir/tiny.json" "$dir/chat.gguf" --tokenizer "$dir/$form" -q
    run run -m "$dir/chat.gguf" --chat -p 'Hello' -n 1 --temp 0 -q
    turn=$code
    run inspect "$dir/chat.gguf"
    expect "$form: with a chat template" '[ $turn -eq 0 ] && grep -q "tokenizer.chat_template .*im_start" "$dir/out"'
done
echo 'no template' >"$dir/none.jinja"
run tokenizer -f README.md -o "$dir/x.gguf" --chat-template "$dir/none.jinja"
expect 'a chat template that nobody knows' 'refused 1 template'

# ---- A model of it, trained ----
shape='"hidden_size": 48, "intermediate_size": 96, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 128'
i=0
while [ $i -lt 8 ]; do
    echo '{"prompt": "Ann has 12 apples.", "completion": " The answer is 7."}'
    i=$((i + 1))
done >"$dir/data.jsonl"
ppl() { run perplexity -m "$1" -f "$dir/text.txt" -c 64 -q && value=$(sed 's/.*= //' "$dir/out"); }
for family in llama qwen2 qwen3 gemma3_text; do
    echo "{\"model_type\": \"$family\", \"head_dim\": 12, \"tie_word_embeddings\": true, $shape}" >"$dir/config.json"
    run init "$dir/config.json" "$dir/model.gguf" --tokenizer "$dir/v.gguf" -s 3
    expect "$family: a model" '[ $code -eq 0 ] && [ ! -s "$dir/out" ] && grep -q "vocabulary 400 (tied head), context 128: 0.0" "$dir/err"'
    ppl "$dir/model.gguf"
    expect "$family: knows nothing" 'awk "BEGIN { exit !($value > 340 && $value < 470) }"'
    run sft --full -m "$dir/model.gguf" -f "$dir/data.jsonl" -o "$dir/run" --lr 5e-3 --epochs 60 --batch 8 -q
    run run -m "$dir/run/model.gguf" -p 'Ann has 12 apples.' -n 20 --temp 0 -q
    expect "$family: learns" '[ "$(cat "$dir/out")" = " The answer is 7." ]'
    rm -rf "$dir/run"
done
run quantize "$dir/model.gguf" "$dir/q.gguf" Q8_0 -q
plain=$value
ppl "$dir/q.gguf"
expect 'quantised' 'awk "BEGIN { exit !($value / $plain > 0.99 && $value / $plain < 1.01) }"'
run inspect "$dir/model.gguf"
expect 'inspected' 'grep -q "gemma3.embedding_length  *u32  *48" "$dir/out"'
plans() { sed -n 's/^  \([a-z]*\)  *[0-9.]* MB = weights [0-9.]* + work [0-9.]* + tokenizer, program [0-9.]*  (.*)$/\1/p' "$dir/out" | tr '\n' ' '; }
expect 'a plan for each use' '[ "$(plans)" = "run debate sft prm grpo " ]'
run init "$dir/config.json" "$dir/again.gguf" --tokenizer "$dir/v" -s 3 --type F16 -q
expect 'another form of tokenizer, F16' 'quiet_and_done'
ppl "$dir/again.gguf"
expect 'nearly the same model' 'awk "BEGIN { exit !($value / $plain > 0.999 && $value / $plain < 1.001) }"'
echo "{\"model_type\": \"llama\", $shape}" >"$dir/config.json"
run init "$dir/config.json" "$dir/x.gguf"
expect 'no tokenizer and no vocab_size' 'refused 1 vocab_size'
run init "$dir/config.json" "$dir/x.gguf" --tokenizer "$dir/v.gguf" --type Q8_0
expect 'a quantised type' 'refused 2 type Q8_0'
run init "$dir/config.json"
expect 'no output' '[ $code -eq 2 ]'
run init "$dir/none.json" "$dir/x.gguf"
expect 'no such configuration' 'refused 1 none.json'
exit $failed
