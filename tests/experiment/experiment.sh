#!/bin/sh
# The controlled experiment: does distilling debates work, how much does each part contribute, what does it cost?
#     sh tests/experiment/experiment.sh [RUN [OUT]]        defaults build/experiment fixtures/results
#
#   RUN/questions/{train,dev,test,form,deep,ablation}.jsonl   drawn from the world's splits (tests/world), seeds 401..405
#   RUN/seed-N/           arklet distill: every row of the table, with this seed
#   RUN/more/seed-N/      arklet distill: da on more questions, those of seed-N among them
#   RUN/majority/         majorities of agents x rounds samples
#   RUN/ablation/         one seed, fewer questions: agents, traces, credits, the reward model's base, merged adapters
#   OUT/results.md results.json *.svg                         by the program `results` of this folder
#
# Stopped at any moment it goes on when it is started again: a step that is complete has its output under the final name,
# and each command continues its own streams and checkpoints. From the environment: ARKLET, WORLD, RESULTS, the programs;
# STUDENT, TEACHER, models; SEEDS; TRAIN, MORE, DEV, TEST, ABLATION_TRAIN, ABLATION_TEST, numbers of questions; SETTINGS, a file;
# FLAGS, further flags of distill; THREADS; FAST=1: the same on a few questions, in a minute or two.
run=${1:-build/experiment} out=${2:-fixtures/results}
here=$(cd "$(dirname "$0")" && pwd)
build=build/release-$(uname -m)
arklet=${ARKLET:-$build/arklet} world=${WORLD:-$build/world} results=${RESULTS:-$build/results}
student=${STUDENT:-fixtures/demo/student.gguf} teacher=${TEACHER:-fixtures/demo/teacher.gguf}
settings=${SETTINGS:-$here/settings.txt}
if [ -n "$FAST" ]; then
    : "${SEEDS:=1 2}" "${TRAIN:=60}" "${MORE:=120}" "${DEV:=10}" "${TEST:=20}" "${ABLATION_TRAIN:=40}" "${ABLATION_TEST:=20}"
    : "${FLAGS:=--steps 3 --eval-every 3 --prompts 2 --group 4 --vote 3 --epochs 1}"
fi
seeds=${SEEDS:-1 2 3}
threads=${THREADS:-0}
set -e
mkdir -p "$run/questions" "$run/majority" "$run/ablation"

say() {
    echo "experiment: $* ($(date '+%H:%M'))" >&2
}

# Questions without their solutions: the answer alone is used. A file appears when it is whole.
questions() { # NAME SPLIT COUNT SEED
    file=$run/questions/$1.jsonl
    [ -f "$file" ] && return
    "$world" questions split="$2" count="$3" seed="$4" >"$run/questions/$1.solved.jsonl"
    WORLD=$world sh "$here/questions.sh" "$2" "$3" "$4" >"$file.part"
    mv "$file.part" "$file"
}

# A file that a command writes under another name first, when it is not there yet. DONE COMMAND...
once() {
    done=$1
    shift
    [ -f "$done" ] && return
    "$@"
    : >"$done"
}

distill() { # RUN SEED FURTHER...
    folder=$1 seed=$2
    shift 2
    [ -f "$folder/summary.json" ] && return
    say "$folder"
    "$arklet" distill -m "$student" --teacher "$teacher" -o "$folder" --config "$settings" --seed "$seed" -t "$threads" \
        --dev "$run/questions/dev.jsonl" $FLAGS "$@" >"$folder.txt"
}

# The answers of a model to a test set; further flags: --lora, --vote.
evaluate() { # OUTPUT MODEL QUESTIONS FURTHER...
    output=$1 model=$2 file=$3
    shift 3
    once "$output.done" "$arklet" eval -q -m "$model" -f "$file" -o "$output" --plain --max-new 160 --process -b 64 \
        -t "$threads" "$@" >/dev/null
}

# A flag's value among the settings, the last one given: FLAGS win.
setting() {
    value=$(sed -n "s/^$1 = //p" "$settings" | tail -n 1)
    given=$(echo " $FLAGS " | sed -n "s/.* --$1 \([^ ]*\) .*/\1/p")
    echo "${given:-${value:-$2}}"
}

questions train train "${TRAIN:-8000}" 401
questions more train "${MORE:-24000}" 401 # begins with the same ones
questions dev dev "${DEV:-200}" 402
questions test test "${TEST:-1000}" 403
questions form form "${TEST:-1000}" 404
questions deep deep "${TEST:-1000}" 405
[ -f "$run/questions/ablation.jsonl" ] ||
    { head -n "${ABLATION_TRAIN:-2000}" "$run/questions/train.jsonl" >"$run/questions/ablation.part"
      head -n "${ABLATION_TEST:-500}" "$run/questions/test.jsonl" >"$run/questions/ablation_test.jsonl"
      mv "$run/questions/ablation.part" "$run/questions/ablation.jsonl"; }

# ---- The table, once for every seed ----

tests="--test $run/questions/test.jsonl --ood $run/questions/form.jsonl --ood $run/questions/deep.jsonl"
for seed in $seeds; do
    distill "$run/seed-$seed" "$seed" -f "$run/questions/train.jsonl" $tests
done

# More questions: the debates that were held are not held again.
for seed in $seeds; do
    more=$run/more/seed-$seed
    if [ ! -f "$more/debate.jsonl" ]; then
        mkdir -p "$more"
        cp "$run/seed-$seed/debate.jsonl" "$more/debate.part"
        mv "$more/debate.part" "$more/debate.jsonl"
    fi
    distill "$more" "$seed" -f "$run/questions/more.jsonl" $tests --rows da
done

# Majorities of as many samples as a debate has turns at most, beside the debates' votes.
samples=$(($(setting agents 5) * $(setting rounds 3)))
for seed in $seeds; do
    for role in student teacher; do
        [ $role = student ] && model=$student || model=$teacher
        [ -f "$run/majority/$role.$seed.jsonl.done" ] || say "majority of $samples, $role, seed $seed"
        evaluate "$run/majority/$role.$seed.jsonl" "$model" "$run/questions/test.jsonl" --vote "$samples" --seed "$seed" \
            --temp "$(setting temp 0.8)"
    done
done

# ---- Ablations, with the first seed ----

seed=${seeds%% *}
ablation=$run/ablation
for agents in 3 5 10; do
    rows=base,debate,rsft,da # traces: one, and up to three
    [ $agents -eq 5 ] && rows=$rows,pad # and a reward model, for what follows
    distill "$ablation/agents-$agents" "$seed" -f "$run/questions/ablation.jsonl" --test "$run/questions/ablation_test.jsonl" \
        --rows $rows --agents $agents --vote 1
done
five=$ablation/agents-5

# Reinforced as the row pad is, with another credit or reward model.
reinforce() { # NAME FURTHER...
    name=$1
    shift
    if [ ! -f "$ablation/$name.done" ]; then
        say "$ablation/$name"
        "$arklet" grpo -q -m "$student" -f "$run/questions/ablation.jsonl" --dev "$run/questions/dev.jsonl" \
            -o "$ablation/$name" --plain --max-new 160 --steps "$(setting steps 100)" --lr "$(setting rl-lr 0.00005)" \
            --temp "$(setting rl-temp 1)" --group "$(setting group 8)" --prompts "$(setting prompts 8)" \
            --rank "$(setting rank 8)" --alpha "$(setting alpha 16)" --lambda-p "$(setting lambda-p 0.3)" \
            --eval-every "$(setting eval-every 10)" --save-every 20 --seed "$seed" -t "$threads" --resume "$@" >/dev/null
        : >"$ablation/$name.done"
    fi
    evaluate "$ablation/$name.jsonl" "$student" "$run/questions/ablation_test.jsonl" --lora "$ablation/$name"
}
for credit in vppo sum outcome; do
    reinforce credit-$credit --prm "$five/prm" --credit $credit
done

# The reward model on the teacher's base, from the same labelled steps: how well it scores, and what it teaches (on the
# student's base: the row pad).
reward() { # NAME MODEL
    if [ ! -f "$ablation/$1.done" ]; then
        say "$ablation/$1"
        "$arklet" prm -q -m "$2" -f "$five/prm/steps.jsonl" -o "$ablation/$1" --plain --rank "$(setting rank 8)" \
            --alpha "$(setting alpha 16)" --lr "$(setting prm-lr 0.0002)" --epochs "$(setting prm-epochs 1)" \
            --batch "$(setting records 8)" --seed "$seed" -t "$threads" --resume >/dev/null
        : >"$ablation/$1.done"
    fi
    [ -f "$ablation/$1.txt" ] && return
    "$arklet" score -q -m "$2" --prm "$ablation/$1" -f "$five/prm/dev_steps.jsonl" -o "$ablation/$1.scored.jsonl" --plain \
        -t "$threads" >"$ablation/$1.part"
    mv "$ablation/$1.part" "$ablation/$1.txt"
}
reward prm-student "$student"
reward prm-teacher "$teacher"
reinforce base-teacher --prm "$ablation/prm-teacher" --prm-model "$teacher"

# The adapter beside the weights, and folded into them.
for type in F32 Q8_0; do
    once "$ablation/merged-$type.merged" "$arklet" merge -q -m "$student" --lora "$five/da" -o "$ablation/merged-$type.gguf" $type \
        >/dev/null
    evaluate "$ablation/merged-$type.jsonl" "$ablation/merged-$type.gguf" "$run/questions/ablation_test.jsonl"
done

# ---- Tables and curves ----

mkdir -p "$out"
"$results" "$run" "$out" $seeds
cp "$settings" "$out/settings.txt"
say "$out/results.md"
