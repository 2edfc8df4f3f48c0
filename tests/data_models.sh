#!/bin/sh
# data_models.sh - real model files: each loads, and survives a rewriting in every type.
# Environment: DATA (the data folder), BUILD (where the program is), RUN (an emulator, or empty). Prints ok/FAIL lines.
program="$RUN $BUILD/arklet"
models=$DATA/models
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT

report() { # name, what is wrong (empty: nothing)
    if [ -z "$2" ]; then echo "ok data_models: $1"; else echo "FAIL data_models: $1: $2"; fi
}

# A GGUF, six folders: the plan at the end says that every tensor was found with its shape.
for model in "$models/stories260K-f32.gguf" "$models"/qwen3_adder/*/; do
    $program inspect "$model" >"$work/out" 2>"$work/err" && grep -q '^memory' "$work/out" && [ ! -s "$work/err" ]
    [ $? -eq 0 ] && report "inspect $(basename "$model")" "" || report "inspect $model" "$(head -c 200 "$work/err")"
done

# Vocabularies without a model are well-formed files too.
bad=
for file in "$DATA"/tokenizers/*.gguf; do
    $program inspect "$file" >"$work/out" 2>"$work/err" || bad="$bad $file"
    grep -q 'tokenizer.ggml.tokens' "$work/out" || bad="$bad $file"
done
report "inspect vocabularies" "$bad"

# A rewriting in F32 changes nothing; of itself into itself as well; the others still tell the story's first words.
story=$models/stories260K-f32.gguf
tell() { # model, tokens
    $program run -q -m "$1" -p '' -n "$2" --temp 0 -c 512 -ctk f32 -ctv f32 2>"$work/err"
}
for type in F32 F16 BF16 Q8_0 Q6_K Q5_1 Q5_K_M; do
    $program quantize -q "$story" "$work/m.gguf" $type 2>"$work/err" &&
        $program quantize -q "$work/m.gguf" "$work/m.gguf" $type 2>>"$work/err"
    if [ $type = F32 ]; then
        tell "$work/m.gguf" 200 >"$work/out"
        cmp -s "$work/out" "$models/expected_greedy_200.txt"
    else
        tell "$work/m.gguf" 8 >"$work/out"
        [ "$(cat "$work/out")" = "$(head -c "$(wc -c <"$work/out")" "$models/expected_greedy_200.txt")" ] &&
            [ -s "$work/out" ]
    fi
    [ $? -eq 0 ] && report "story in $type" "" || report "story in $type" "$(cat "$work/out" "$work/err" | head -c 200)"
done
for type in Q4_0 Q4_1 Q5_0 Q4_K_M Q4_K_S Q3_K_M Q2_K IQ4_NL; do
    $program quantize -q "$story" "$work/m.gguf" $type 2>"$work/err" && tell "$work/m.gguf" 8 >"$work/out"
    [ $? -eq 0 ] && [ -s "$work/out" ]
    [ $? -eq 0 ] && report "runs in $type" "" || report "runs in $type" "$(cat "$work/err" | head -c 200)"
done

# A truncated file is refused in one line, wherever it was cut.
bad=
for bytes in 3 100 4000 20000 1185375; do
    head -c $bytes "$story" >"$work/cut.gguf"
    if $program run -q -m "$work/cut.gguf" -p x -n 1 >"$work/out" 2>"$work/err"; then bad="$bad $bytes"; fi
    [ "$(wc -l <"$work/err")" -eq 1 ] && [ ! -s "$work/out" ] || bad="$bad $bytes:$(head -c 100 "$work/err")"
done
report "truncated files" "$bad"
