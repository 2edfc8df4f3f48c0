#!/bin/sh
# Builds the base models of fixtures/ from nothing: tokenizer, random weights, and a chain of training stages each.
#     sh tests/world/build.sh [DIR [MODEL...]]        DIR build/base, models student teacher
#
#   DIR/text.txt -> DIR/tokenizer.gguf -> DIR/MODEL-0/model.gguf -> DIR/MODEL-1/model.gguf -> ... the table below
#   -> DIR/MODEL.gguf, the last stage's result as Q8_0: the bytes of fixtures/demo/MODEL.gguf
#
# A stage starts from the float result of the one before it, on documents of its own (a seed no other stage uses). Stages
# that are done are passed over, one that was interrupted goes on from its checkpoint, and the results do not depend on
# threads, processor or interruptions: the same table gives the same bytes. Where fixtures/base/MODEL-N.gguf is
# kept, the chain goes on from it instead of from nothing; FROM_NOTHING=1 ignores it.
# From the environment: ARKLET and WORLD, the programs; THREADS; LAST, the number of the last stage to run; PROBE=1: the
# first 20 steps of the first stage alone, into DIR/MODEL-probe (the same steps: the same records and learning rates).
dir=${1:-build/base}
[ $# -gt 0 ] && shift
arklet=${ARKLET:-./arklet} world=${WORLD:-build/release-$(uname -m)/world}
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../make_file.sh"
kept=$here/../../fixtures/base
set -e
mkdir -p "$dir"

# name stage seed documents  single debate critique drill  depths  right  peers copies  lr schedule
# right: weight of the right solutions in a debate's prompt, in percent of the completion's
# peers: questions that the model debates itself, three agents, two rounds; each round whose answers differ becomes
#        `copies` documents
stages='
student 1 101  8000  55  0 0 45  30,35,20,10,5    0     0 1  0.02  constant
student 2 102  6000  50 38 0 12  10,30,32,17,11   0     0 1  0.02  linear
student 3 103   600  75  0 0 25  5,27,35,20,13    0  2400 1  0.012 linear
teacher 1 201  8000  55  0 0 45  30,35,20,10,5    0     0 1  0.02  constant
teacher 2 202  6000  75  5 0 20  15,30,30,15,10   0     0 1  0.02  constant
teacher 3 203 24000  65 20 2 13  10,28,32,18,12   0     0 1  0.02  constant
teacher 4 204  7500  30 63 0  7  3,27,35,22,13   50  1500 1  0.02  linear
teacher 5 205  1200  80  0 0 20  3,27,35,22,13    0  4000 2  0.012 linear
'

make_file "$dir/text.txt" "$world" text count=4000 seed=1 single=50 debate=30 critique=15 drill=5
[ -f "$dir/tokenizer.gguf" ] ||
    "$arklet" tokenizer -q -f "$dir/text.txt" -o "$dir/tokenizer.gguf" --vocab-size 847 --pre gpt-2

init_model() {
    result=$dir/$1-0/model.gguf
    [ -f "$result" ] && return
    mkdir -p "$dir/$1-0"
    "$arklet" init -q "$here/$1.json" "$result" --tokenizer "$dir/tokenizer.gguf" --seed 1
}

# STEM MODEL COUNT SEED WEIGHT COPIES: the documents of a stage, and behind them debates that the model held
make_turns() {
    make_file "$1-questions.jsonl" "$world" questions split=train count="$3" seed="$4"
    "$arklet" debate -q -m "$2" -f "$1-questions.jsonl" -o "$1-debates.jsonl" --plain --agents 3 --rounds 2 \
        --temp 0.7 --max-new 160 --seed "$4" -t "${THREADS:-2}"
    make_file "$1-turns.jsonl" "$world" turns debates="$1-debates.jsonl" questions="$1-questions.jsonl" seed="$4" \
        right="$5" copies="$6"
    make_file "$1-all.jsonl" cat "$1.jsonl" "$1-turns.jsonl"
}

# MODEL STAGE: is the result of this stage, or of one that comes after it, among the kept ones? Takes its own.
is_kept() {
    if [ -f "$kept/$1-$2.gguf" ]; then
        mkdir -p "$dir/$1-$2"
        cp "$kept/$1-$2.gguf" "$dir/$1-$2/model.gguf"
        return 0
    fi
    for later in "$kept/$1"-*.gguf; do
        number=${later##*-}
        [ -f "$later" ] && [ "${number%.gguf}" -gt "$2" ] && return 0
    done
    return 1
}

train() {
    name=$1 stage=$2 seed=$3 count=$4 weight=${10} peers=${11} copies=${12} lr=${13} schedule=${14}
    run=$dir/$name-$stage from=$dir/$name-$((stage - 1))/model.gguf
    probe=
    if [ -n "$PROBE" ]; then
        [ "$stage" -eq 1 ] || return 0
        run=$dir/$name-probe probe="--epochs 0.08 --warmup 0.4 -q" # of 250 steps, 8 of them to warm up
    fi
    [ -f "$run/model.gguf" ] && return
    if [ -z "$PROBE$FROM_NOTHING" ] && is_kept "$name" "$stage"; then
        return 0
    fi
    [ -f "$from" ] || { [ "$stage" -gt 1 ] && return; init_model "$name"; }
    data=$dir/$name-$stage.jsonl
    make_file "$data" "$world" documents count="$count" seed="$seed" \
        single="$5" debate="$6" critique="$7" drill="$8" depths="$9" right="$weight"
    if [ "$peers" -gt 0 ]; then
        make_turns "$dir/$name-$stage" "$from" "$peers" "$seed" "$weight" "$copies"
        data=$dir/$name-$stage-all.jsonl
    fi
    resume=
    [ -d "$run/checkpoint" ] && resume=--resume
    "$arklet" sft --full -m "$from" -f "$data" -o "$run" --optim muon --lr "$lr" \
        --schedule "$schedule" --weight-decay 0.05 --batch 32 --max-len 1024 --micro-tokens 4096 --seed "$seed" \
        --save-every 20 -t "${THREADS:-2}" $probe $resume
}

for model in ${*:-student teacher}; do
    echo "$stages" | while read -r name stage rest; do
        if [ "$name" = "$model" ] && [ "$stage" -le "${LAST:-99}" ]; then
            train "$name" "$stage" $rest
        fi
    done
    last=$dir/$model-$(echo "$stages" | sed -n "s/^$model \([0-9]*\).*/\1/p" | tail -n 1)/model.gguf
    [ ! -f "$last" ] || [ -f "$dir/$model.gguf" ] || "$arklet" quantize -q "$last" "$dir/$model.gguf" Q8_0
done
