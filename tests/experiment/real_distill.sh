#!/bin/sh
# The whole loop at a real size on four real questions: every stage runs, and none takes more memory than was told.
#     MODEL=qwen2.5-0.5b-q4_0.gguf DATA=../shared/data sh tests/experiment/real_distill.sh [RUN [OUT]]
#
#   RUN/questions.jsonl        the four shortest problems of GSM8K's training set
#   RUN/taught/                an adapter that has learnt their answers by heart, so that a model with random weights
#   RUN/teacher.gguf           (tests/bench/make_models.py) has right traces to distil: Q8_0 with it folded in,
#   RUN/student.gguf           and Q4_0. TAUGHT=1: MODEL can answer already, and is student and teacher's origin as it is
#   RUN/distill/               arklet distill, all rows
#   RUN/memory.txt             stage, largest resident memory in kB while it ran (Linux: /proc/PID/clear_refs)
#   OUT/real_distill.md        stages, seconds, memory and plan; exit code 1 when a stage took more than its plan
#
# Stopped at any moment it goes on when it is started again. From the environment: ARKLET, THREADS (1), FLAGS for distill.
run=${1:-build/real_distill} out=${2:-fixtures/results}
data=${DATA:-../shared/data} model=${MODEL:?a GGUF, for instance of the Qwen2.5-0.5B shape}
arklet=${ARKLET:-./arklet} threads=${THREADS:-1}
LC_ALL=C
export LC_ALL
set -e
mkdir -p "$run" "$out"

# ---- Four questions, and models that know the answers ----

if [ ! -f "$run/questions.jsonl" ]; then
    awk '{ printf "%d\t%s\n", length($0), $0 }' "$data/gsm8k/train.jsonl" | sort -n | head -n 4 | cut -f 2- >"$run/questions.part"
    mv "$run/questions.part" "$run/questions.jsonl"
fi
sed 's/<<[^>]*>>//g; s/\\n/\\n\\n/g
     s/"question": "/"prompt":"Question: /; s/", "answer": "/\\n\\nSolution:\\n\\n","completion":"/' "$run/questions.jsonl" >"$run/teach.jsonl"
if [ -z "$TAUGHT" ] && [ ! -f "$run/taught/adapter.gguf" ]; then
    "$arklet" sft -m "$model" -f "$run/teach.jsonl" -o "$run/taught" --lr 3e-3 --rank 16 --alpha 32 --batch 4 --epochs 40 \
        --save-every 5 -t "$threads" --resume
fi
fold() { # OUTPUT TYPE
    [ -f "$run/$1" ] && return
    if [ -n "$TAUGHT" ]; then
        "$arklet" quantize -q "$model" "$run/$1.part" "$2" >&2
    else
        "$arklet" merge -q -m "$model" --lora "$run/taught" -o "$run/$1.part" "$2" >&2
    fi
    mv "$run/$1.part" "$run/$1"
}
fold teacher.gguf Q8_0
fold student.gguf Q4_0

# ---- The loop, with an eye on it ----

# Whenever a stage is complete: the most memory since the last look. The look is a little late, so what a stage begins with
# may count for the one before it, and one that takes less than a tenth of a second is not seen alone.
watch() { # PID
    seen=" $(cd "$run/distill/stages" 2>/dev/null && echo *.json || true) "
    while :; do
        alive=$(kill -0 "$1" 2>/dev/null && echo 1 || true)
        now=$(sed -n 's/^VmHWM:[^0-9]*\([0-9]*\).*/\1/p' "/proc/$1/status" 2>/dev/null || true)
        most=${now:-$most}
        for file in "$run"/distill/stages/*.json; do
            stage=$(basename "$file")
            case $seen in *" $stage "*) continue ;; esac
            [ -f "$file" ] || continue
            seen="$seen$stage "
            echo "${stage%.json} $most" >>"$run/memory.txt"
            { echo 5 >"/proc/$1/clear_refs"; } 2>/dev/null || true
        done
        [ -n "$alive" ] || break
        sleep 0.1
    done
}
"$arklet" distill -m "$run/student.gguf" --teacher "$run/teacher.gguf" -f "$run/questions.jsonl" --dev "$run/questions.jsonl" \
    --test "$run/questions.jsonl" -o "$run/distill" --plain --max-new 48 --agents 2 --rounds 2 --vote 2 --min-correct 1 \
    --epochs 1 --steps 1 --prompts 2 --group 2 -t "$threads" $FLAGS >"$run/summary.txt" 2>"$run/told.txt" &
pid=$!
watch $pid
wait $pid || { tail -n 1 "$run/told.txt" >&2; exit 1; }

# ---- The table ----

beyond=0 # 1: a stage took more than its plan
# Which line of the plan is a stage's.
awk -v run="$run" '
    FILENAME ~ /told/ && / MB = weights / {
        sub(/^distill: /, "")
        name = $0; sub(/  +[0-9].*/, "", name)
        sub(/ MB =.*/, ""); sub(/.* /, ""); plan[name] = $0
        next
    }
    FILENAME ~ /memory/ { if (!($1 in kb)) order[++n] = $1; if ($2 > kb[$1]) kb[$1] = $2 }
    function line_of(stage) {
        if (stage ~ /^(held-debates|samples|eval-teacher|eval-debate)$/) return "debates, teacher"
        if (stage ~ /^(answer|self|sampled|rsft|da)$/) return "fine-tuning"
        if (stage == "prm") return "reward model"
        if (stage ~ /^(rl|pad|da-pad)$/) return "reinforcement"
        return stage ~ /^(eval|self)-/ ? "evaluation" : ""
    }
    END {
        print "# `arklet distill` at the 0.5B shape on four questions of GSM8K\n"
        print "| stage | seconds | peak memory, MB | plan, MB |\n|---|---|---|---|"
        for (i = 1; i <= n; i++) {
            file = run "/distill/stages/" order[i] ".json"
            getline json <file
            match(json, /"seconds":[0-9.]*/)
            told = line_of(order[i])
            printf "| %s | %.1f | %.1f | %s |\n", order[i], substr(json, RSTART + 10, RLENGTH - 10), kb[order[i]] / 1024,
                told == "" ? "-" : plan[told] " (" told ")"
            if (told != "" && kb[order[i]] / 1024 > plan[told] + 0) { printf "%s: beyond its plan\n", order[i] >"/dev/stderr"; bad = 1 }
        }
        exit bad
    }' "$run/told.txt" "$run/memory.txt" >"$out/real_distill.md.part" || beyond=1
mv "$out/real_distill.md.part" "$out/real_distill.md"
exit $beyond
