#!/bin/sh
# Trials on dev questions alone: what makes reinforcement, fine-tuning and the reward model better or worse?
#     sh tests/experiment/remedies.sh RUN DEMO [WORK [TRIAL...]]   WORK: build/remedies; all trials unless some are named
#
# RUN and DEMO are complete folders of arklet distill (build/experiment/seed-1, build/demo): adapters, reward model, traces.
# WORK gets dev.jsonl (1,000 dev questions, to choose a step by; dev500.jsonl: its first half), check.jsonl (1,000 others, for
# the figures alone), train.jsonl, an adapter a trial, and check/NAME.txt: its answers to check.jsonl beside the base's. A trial
# that is complete is not run again. From the environment: ARKLET, WORLD, THREADS.
# What came of it: fixtures/results/remedies.md.
if [ $# -lt 2 ]; then
    sed -n '2,9s/^# \{0,1\}//p' "$0" >&2
    exit 2
fi
run=$1 demo=$2 work=${3:-build/remedies}
shift $(($# < 3 ? $# : 3))
wanted=" $* "
here=$(cd "$(dirname "$0")" && pwd)
build=build/release-$(uname -m)
arklet=${ARKLET:-$build/arklet} world=${WORLD:-$build/world}
student=fixtures/demo/student.gguf
set -e
mkdir -p "$work/check"

questions() { # SPLIT COUNT SEED
    WORLD=$world sh "$here/questions.sh" "$@"
}
if [ ! -f "$work/train.jsonl" ]; then
    questions dev 1000 512 >"$work/dev.jsonl"
    head -n 500 "$work/dev.jsonl" >"$work/dev500.jsonl"
    sed 's/.*"question":\("[^"]*"\).*/\1/' "$work/dev.jsonl" >"$work/seen"
    questions dev 1300 513 | grep -vFf "$work/seen" | head -n 1000 >"$work/check.jsonl"
    questions train 8000 511 >"$work/train.part"
    cat "$demo/traces/da.jsonl" "$demo/traces/sampled.jsonl" >"$work/mix.jsonl"
    mv "$work/train.part" "$work/train.jsonl"
fi

# The answers of a model to check.jsonl, beside the base's, and one line of it; further flags: --lora.
check() { # NAME FURTHER...
    name=$1
    shift
    if [ ! -f "$work/check/$name.txt" ]; then
        [ "$name" = base ] || set -- "$@" --compare "$work/check/base.jsonl"
        "$arklet" eval -q -m $student -f "$work/check.jsonl" -o "$work/check/$name.jsonl" --plain --max-new 160 --process -b 64 \
            -t "${THREADS:-0}" "$@" >"$work/check/$name.part"
        mv "$work/check/$name.part" "$work/check/$name.txt"
    fi
    echo "$name: $(sed -n '/^accuracy \|^outputs_without\|^difference /p' "$work/check/$name.txt" | tr -s ' ' | tr '\n' ' ')"
}
trial() { # NAME COMMAND FLAGS...
    name=$1 command=$2
    shift 2
    case $wanted in "  " | *" $name "*) ;; *) return 0 ;; esac
    if [ ! -f "$work/$name.done" ]; then
        "$arklet" "$command" -q -m $student -o "$work/$name" --seed "$seed" -t "${THREADS:-0}" "$@" >"$work/$name.out"
        : >"$work/$name.done"
    fi
    check "$name" --lora "$work/$name"
}
reinforce() { # NAME FLAGS...
    name=$1
    shift
    seed=1
    trial "$name" grpo --plain --max-new 160 --save-every 10000 "$@"
}
tune() { # NAME TRACES FLAGS...
    name=$1 traces=$2
    shift 2
    seed=0
    trial "$name" sft -f "$traces" --lr 3e-3 --batch 16 "$@"
}

check base
for row in self sampled rsft da rl pad da-pad; do
    check "demo-$row" --lora "$demo/$row"
    check "run-$row" --lora "$run/$row"
done

new="-f $work/train.jsonl" old="-f $run/questions/train.jsonl"
[ -f "$run/questions/train.jsonl" ] || old="-f $run/../questions/train.jsonl"
half="--dev $work/dev500.jsonl --eval-every 10" cool="--temp 0.7 --prompts 32 --steps 50" fresh="--rank 32 --alpha 64"
reinforce rl-lr1e-3 $fresh $new --dev "$work/dev.jsonl" --eval-every 20 --steps 60 --lr 1e-3
reinforce rl-lr3e-3 $fresh $new --dev "$work/dev.jsonl" --eval-every 40 --steps 120 --lr 3e-3
reinforce rl-cool $fresh $new $half $cool --lr 1e-3
reinforce rl-cool-rank4 $new $half $cool --lr 2e-3 --rank 4 --alpha 8
reinforce pad-softmin $fresh $new $half $cool --lr 1e-3 --prm "$run/prm"
reinforce pad-vppo $fresh $new $half $cool --lr 1e-3 --prm "$run/prm" --credit vppo --wrong-below 0.63
reinforce sampled-rl $new $half --lora "$run/sampled" --prompts 32 --steps 50 --lr 3e-4
reinforce da-rl-lr1e-3 $old $half --lora "$run/da" --temp 0.7 --prompts 32 --steps 40 --lr 1e-3
reinforce da-rl-lr3e-4 $old $half --lora "$run/da" --temp 0.7 --prompts 16 --steps 40 --lr 3e-4 --schedule constant

tune rsft-4epochs "$demo/traces/rsft.jsonl" --epochs 4 --rank 32 --alpha 64
tune rsft-4epochs-rank64 "$demo/traces/rsft.jsonl" --epochs 4 --rank 64 --alpha 128
tune mix "$work/mix.jsonl" --epochs 2 --rank 32 --alpha 64
tune mix-4epochs "$work/mix.jsonl" --epochs 4 --rank 32 --alpha 64

"$arklet" score -q --from "$run/prm/dev_scored.jsonl" -o /dev/null | grep 'auc\|first_error\|found\|threshold\|of_n'
