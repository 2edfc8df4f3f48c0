#!/bin/sh
# data_run.sh - real models through the program: the story of stories260K, and the Qwen3 adders on random sums.
# Environment: DATA (the data folder), BUILD (where the program is), RUN (an emulator, or empty). Prints ok/FAIL lines.
program="$RUN $BUILD/arklet"
models=$DATA/models
pairs=${PAIRS:-300}
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT

report() { # name, what is wrong (empty: nothing)
    if [ -z "$2" ]; then echo "ok data_run: $1"; else echo "FAIL data_run: $1: $2"; fi
}

# The greedy story from BOS alone, byte for byte, on one and on two threads.
story=$models/stories260K-f32.gguf
for threads in 1 2; do
    $program run -q -m "$story" -p '' -n 200 --temp 0 -c 512 -ctk f32 -ctv f32 -t $threads >"$work/story" 2>"$work/err"
    if cmp -s "$work/story" "$models/expected_greedy_200.txt"; then
        report "story, $threads threads" ""
    else
        report "story, $threads threads" "differs from expected_greedy_200.txt; $(head -c 200 "$work/err")"
    fi
done

# The same seed gives the same text, on every tier; another seed another one.
first=$($program run -q -m "$story" -p 'Once upon' -n 60 -s 7 2>&1)
for kernels in scalar avx2 avx512 neon; do
    found=$($program run -q -m "$story" -p 'Once upon' -n 60 -s 7 --kernels $kernels -t 1 2>"$work/err")
    grep -q 'on this processor' "$work/err" && continue
    [ "$first" = "$found" ] || report "seeded text with $kernels" "differs from the default tier's"
done
other=$($program run -q -m "$story" -p 'Once upon' -n 60 -s 8 2>&1)
if [ "$first" != "$other" ]; then report "seeded text" ""; else report "seeded text" "seeds 7 and 8 agree"; fi

# Sums: prompt 0 a0..a9 0 0 b0..b9 0, answer s0..s10, least significant digit first.
awk -v n="$pairs" 'BEGIN {
    srand(20240517)
    for (i = 0; i < n; i++) {
        a = b = sum = ""; carry = 0
        for (d = 0; d < 10; d++) {
            x = int(rand() * 10); y = int(rand() * 10); t = x + y + carry
            a = a " " x; b = b " " y; sum = sum (d ? " " : "") t % 10; carry = t > 9
        }
        print "0" a " 0 0" b " 0:" sum " " carry
    }
}' >"$work/pairs"
for model in "$models"/qwen3_adder/*/; do
    name=$(basename "$model")
    right=0
    while IFS=: read -r prompt sum; do
        found=$($program run -q -m "$model" --ids "$prompt" -n 11 --temp 0 -t 1 2>&1 </dev/null)
        if [ "$found" = "$sum" ]; then
            right=$((right + 1))
        elif [ "$right" -ge 0 ] && [ ! -s "$work/wrong" ]; then
            echo "prompt $prompt: expected $sum, found $found" >"$work/wrong"
        fi
    done <"$work/pairs"
    if [ "$right" -eq "$pairs" ]; then
        report "$name" ""
    else
        report "$name" "$right of $pairs sums right; first $(head -c 300 "$work/wrong")"
    fi
    rm -f "$work/wrong"
done
