#!/bin/sh
# Does the cost of a LoRA step grow linearly in tokens and in layers? Seconds of a step (rank 8 on all matrices, loss on the
# second half, Q8_0, dim 512, ffn 1536) as `arklet bench --train` measures them; "per unit" is constant where growth is linear,
# but for attention's part, which grows with the square of a sequence, and the head's, which no layer adds to.
#
#   ARKLET=./arklet THREADS=2 sh tests/bench/growth.sh WORK
set -eu
work=${1:?folder for the models}
arklet=${ARKLET:-./arklet} threads=${THREADS:-2}
mkdir -p "$work"

make_model() {
    [ -f "$work/$1.gguf" ] && return
    cat >"$work/$1.json" <<END
{"model_type": "llama", "hidden_size": 512, "intermediate_size": 1536, "num_hidden_layers": $1, "num_attention_heads": 8,
 "num_key_value_heads": 2, "head_dim": 64, "max_position_embeddings": 4096, "rms_norm_eps": 1e-5, "rope_theta": 10000.0,
 "tie_word_embeddings": true}
END
    [ -f "$work/text.txt" ] || cat README.md tests/world/*.c >"$work/text.txt"
    [ -f "$work/vocabulary.gguf" ] ||
        "$arklet" tokenizer -q -f "$work/text.txt" -o "$work/vocabulary.gguf" --vocab-size 2000 --pre gpt-2
    "$arklet" init -q "$work/$1.json" "$work/$1-f32.gguf" --tokenizer "$work/vocabulary.gguf" --seed 1
    "$arklet" quantize -q "$work/$1-f32.gguf" "$work/$1.gguf" Q8_0
    rm -f "$work/$1-f32.gguf"
}

# LAYERS TOKENS UNITS
row() {
    make_model "$1"
    "$arklet" bench -q -m "$work/$1.gguf" -p 0 -n 0 --train --train-tokens "$2" --prompts 0 -r 5 -t "$threads" -o csv |
        awk -F, -v layers="$1" -v tokens="$2" -v units="$3" '
            NR == 1 { for (i = 1; i <= NF; i++) if ($i == "avg_ts") speed = i }
            NR == 2 { s = tokens / $speed; printf "%6d %6d %9.3f %12.2f\n", layers, tokens, s, 1000 * s / units }'
}

echo "layers tokens   seconds  ms per unit (128 tokens, then 4 layers)"
for tokens in 128 256 512 1024 2048; do row 8 "$tokens" $((tokens / 128)); done
for layers in 4 8 16 32; do row "$layers" 512 $((layers / 4)); done
