#!/bin/sh
# data_tokenizers.sh - published vocabularies and chat templates: the vectors of llama.cpp, the commands on them, texts
# that must not take long. Environment: DATA, BUILD, RUN. Prints ok/FAIL lines.
program="$RUN $BUILD/arklet"
vocabularies=$DATA/tokenizers
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT

report() { # name, what is wrong (empty: nothing)
    if [ -z "$2" ]; then echo "ok data_tokenizers: $1"; else echo "FAIL data_tokenizers: $1: $2"; fi
}

# All cases of all vocabularies, and the published chat templates, inside the test programs.
for test in test_tokenizer_files test_chat; do
    DATA=$DATA $RUN "$BUILD/tests/$test" 2>&1 | grep '_published_' | sed "s/^\(ok\|FAIL\) /\1 data_tokenizers: /"
done

# The command: byte for byte, BOS as the vocabulary says, special tokens when asked for.
printf ' Hello\n\n' >"$work/text"
for vocabulary in "$vocabularies"/*.gguf; do
    name=$(basename "$vocabulary" .gguf)
    bad=
    $program tokenize -m "$vocabulary" -f "$work/text" --no-bos >"$work/ids" 2>"$work/err" || bad="exit code $?"
    $program tokenize -m "$vocabulary" -f "$work/ids" --decode >"$work/back" 2>>"$work/err" || bad="exit code $?"
    cmp -s "$work/text" "$work/back" || bad="${bad:-ids decode to another text}"
    [ "$(wc -l <"$work/ids")" -eq 1 ] || bad="${bad:-not one line}"
    report "tokenize $name" "$bad$(head -c 200 "$work/err")"
done
found=$(printf '<|im_start|>a' | $program tokenize -m "$vocabularies/ggml-vocab-qwen2.gguf" -f - --special 2>&1)
[ "$found" = "151644 64" ] && found= || found="found '$found'"
report "special tokens are parsed with --special" "$found"
found=$(printf '<|im_start|>a' | $program tokenize -m "$vocabularies/ggml-vocab-qwen2.gguf" -f - 2>&1)
[ "$found" = "27 91 318 4906 91 29 64" ] && found= || found="found '$found'"
report "special tokens are text without it" "$found"
found=$($program tokenize -m "$vocabularies/ggml-vocab-llama-spm.gguf" -f /dev/null 2>&1)
[ "$found" = 1 ] && found= || found="found '$found'"
report "an empty text is BOS alone" "$found"
found=$($program tokenize -m "$vocabularies/ggml-vocab-qwen2.gguf" -f /dev/null 2>&1 | od -c | head -n 1)
case $found in *'\n'*) found= ;; *) found="found '$found'" ;; esac
report "an empty text without BOS is an empty line" "$found"

# 10 MB of real text, and 1 MB of one letter, in seconds (measured: 1 s each; the bound leaves room for slow machines).
cat "$DATA"/eval/*.json* "$DATA"/gsm8k/*.jsonl 2>/dev/null | head -c 10000000 >"$work/long"
awk 'BEGIN { for (i = 0; i < 15625; i++) printf "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" }' >"$work/same"
for text in long same; do
    for name in qwen2 llama-spm; do
        start=$(date +%s)
        $program tokenize -m "$vocabularies/ggml-vocab-$name.gguf" -f "$work/$text" --no-bos >"$work/ids" 2>"$work/err"
        seconds=$(($(date +%s) - start))
        $program tokenize -m "$vocabularies/ggml-vocab-$name.gguf" -f "$work/ids" --decode >"$work/back" 2>>"$work/err"
        bad=
        cmp -s "$work/$text" "$work/back" || bad="decodes to another text $(head -c 100 "$work/err")"
        [ -n "$RUN" ] || [ $seconds -le 30 ] || bad="took $seconds s"
        report "$text text, $name" "$bad"
    done
done
