#!/bin/sh
# Trials on dev questions alone: what makes reinforcement, the reward model and fine-tuning better or worse?
#     sh tests/experiment/remedies.sh RUN [WORK [TRIAL...]]        WORK: build/remedies; all trials unless some are named
#
# RUN is a complete distill folder (of experiment.sh: build/experiment/seed-1): its adapters rsft, da, sampled, its reward
# model prm, its traces. WORK gets dev.jsonl (1,000 questions; reinforcement chooses its step on the first 500), check.jsonl
# (1,000 others, for the figures alone), train.jsonl, an adapter a trial, and check/TRIAL.txt: the answers to check.jsonl
# beside the base's. A trial that is complete is not run again. From the environment: ARKLET, WORLD, THREADS.
# fixtures/results/remedies.md has what came of it.
[ $# -ge 1 ] || { sed -n '2,9s/^# \{0,1\}//p' "$0" >&2; exit 2; }
run=$1 work=${2:-build/remedies}
shift $(($# < 2 ? $# : 2))
here=$(cd "$(dirname "$0")" && pwd)
build=build/release-$(uname -m)
arklet=${ARKLET:-$build/arklet} world=${WORLD:-$build/world}
student=fixtures/demo/student.gguf teacher=fixtures/demo/teacher.gguf
wanted=" $* "
set -e
mkdir -p "$work/check"

questions() { # SPLIT COUNT SEED
    WORLD=$world sh "$here/questions.sh" "$@"
}
text_of() {
    sed 's/.*"question":\("[^"]*"\).*/\1/' "$1"
}
[ -f "$work/train.jsonl" ] || {
    questions dev 1000 512 >"$work/dev.jsonl"
    head -n 500 "$work/dev.jsonl" >"$work/dev500.jsonl"
    text_of "$work/dev.jsonl" >"$work/seen"
    questions dev 1300 513 | grep -vFf "$work/seen" | head -n 1000 >"$work/check.jsonl"
    questions train 8000 511 >"$work/train.part"
    mv "$work/train.part" "$work/train.jsonl"
}

# The answers of a model to check.jsonl, beside the base's; further flags: --lora.
check() { # NAME FURTHER...
    name=$1
    shift
    [ -f "$work/check/$name.txt" ] && return
    [ "$name" = base ] || set -- "$@" --compare "$work/check/base.jsonl"
    "$arklet" eval -q -m $student -f "$work/check.jsonl" -o "$work/check/$name.jsonl" --plain --max-new 160 --process -b 64 \
        -t "${THREADS:-0}" "$@" >"$work/check/$name.part"
    mv "$work/check/$name.part" "$work/check/$name.txt"
}
trial() { # NAME COMMAND FLAGS...
    name=$1 command=$2
    shift 2
    case $wanted in "  " | *" $name "*) ;; *) return ;; esac
    [ -f "$work/$name.done" ] || {
        "$arklet" "$command" -q -m $student -o "$work/$name" --rank 32 --alpha 64 --seed 1 -t "${THREADS:-0}" "$@" >"$work/$name.out"
        : >"$work/$name.done"
    }
    check "$name" --lora "$work/$name"
    echo "$name: $(sed -n 's/^accuracy  */right /p; s/^difference  */gain /p' "$work/check/$name.txt" | tr -s ' ' | tr '\n' ' ')"
}
reinforce() { # NAME QUESTIONS FLAGS...
    name=$1 file=$2
    shift 2
    trial "$name" grpo -f "$file" --dev "$work/dev500.jsonl" --plain --max-new 160 --eval-every 10 --resume "$@"
}
