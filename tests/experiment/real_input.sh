#!/bin/sh
# Real debates: imported, selected from, a reward model trained on those of one half of the questions and judged on the
# other half and on solutions whose first wrong step people marked.
#     DATA=../shared/data sh tests/experiment/real_input.sh [RUN [OUT]]     defaults build/real_input fixtures/results
#
#   DATA/debates/*.json   {question: [[messages of an agent, ...], gold]}, on GSM8K's test questions
#   DATA/steps/*.jsonl    MR-GSM8K, BIG-Bench-Mistake          DATA/gsm8k/train.jsonl   text for a model from nothing
#
#   RUN/debates/NAME.jsonl .txt                imported, and what import counted
#   RUN/select/STRATEGY.jsonl .txt             traces, and what select counted
#   RUN/half-0.jsonl half-1.jsonl              by a hash of the question (real_input.awk): to learn from, to judge on
#   RUN/steps/NAME.jsonl                       without the questions of half-0; prompts worded as those of debates
#   RUN/base/model.gguf                        of real_input.json, on GSM8K's training text and half-0's turns
#   RUN/prm-NAME/ RUN/scored/NAME.SET.txt      reward models; what `score` measured of each on each set
#   OUT/real_input.md                          the tables: figures alone
#
# Stopped at any moment it goes on when it is started again. From the environment: ARKLET, the program; TEACHER, a model
# that knows nothing of such text; MODEL, a model of the user's own; BASES, which of them reward models are made of
# (base; also teacher, model); LABELS ("outcome debate"), where the steps' labels come from; THREADS (1).
run=${1:-build/real_input} out=${2:-fixtures/results}
data=${DATA:-../shared/data}
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../make_file.sh"
arklet=${ARKLET:-./arklet} teacher=${TEACHER:-fixtures/demo/teacher.gguf} threads=${THREADS:-1}
LC_ALL=C
export LC_ALL
set -e
if [ ! -d "$data/debates" ]; then
    echo "real_input: DATA: expected a folder with debates/, found $data" >&2
    exit 2
fi
mkdir -p "$run/debates" "$run/select" "$run/steps" "$run/scored" "$out"

say() {
    echo "real_input: $* ($(date '+%H:%M'))" >&2
}

value() { # FILE NAME [COLUMN]
    awk -v name="$2" -v column="${3:-2}" '$1 == name { print $column }' "$1"
}

# ---- Import, select ----

for file in "$data"/debates/*.json; do
    name=$(basename "$file" .json)
    make_file "$run/debates/$name.txt" "$arklet" import -q du "$file" -o "$run/debates/$name.jsonl"
done
make_file "$run/all.jsonl" cat "$run"/debates/*.jsonl
for strategy in rsft da answer sampled; do
    make_file "$run/select/$strategy.txt" "$arklet" select -q -f "$run/all.jsonl" -o "$run/select/$strategy.jsonl" --strategy $strategy
done
make_file "$run/select/spliced.txt" "$arklet" select -q -f "$run/all.jsonl" -o "$run/select/spliced.jsonl" --strategy da --spliced

# ---- Halves, and solutions in steps ----

for half in 0 1; do
    make_file "$run/half-$half.jsonl" awk -v half=$half -f "$here/real_input.awk" "$run/all.jsonl"
done
judged() { # FILE: as a debate puts the question, so that a reward model sees what it was trained on
    awk -v without="$run/half-0.jsonl" -f "$here/real_input.awk" "$1" |
        sed 's/"question": "/&Question: /; s/", "ground_truth_solution":/\\n\\nSolution:&/
             s/"input": "/&Question: /; s/", "steps":/\\n\\nSolution:&/'
}
for file in "$data"/steps/*.jsonl; do
    make_file "$run/steps/$(basename "$file")" judged "$file"
done

# ---- A model from nothing that has read such text ----

gsm8k() {
    sed 's/<<[^>]*>>//g; s/\\n\(\\n\)*/\\n\\n/g
         s/"question": "/"prompt":"Question: ","completion":"/; s/", "answer": "/\\n\\nSolution:\\n\\n/' "$data/gsm8k/train.jsonl"
}
make_file "$run/gsm8k.jsonl" gsm8k
make_file "$run/turns.jsonl" awk -v texts=1 -f "$here/real_input.awk" "$run/half-0.jsonl"
make_file "$run/text.jsonl" cat "$run/gsm8k.jsonl" "$run/turns.jsonl"
if [ ! -f "$run/base/model.gguf" ]; then
    say "a model from nothing"
    [ -f "$run/vocab.gguf" ] || "$arklet" tokenizer -q -f "$run/text.jsonl" -o "$run/vocab.gguf" --vocab-size 2048 --pre smollm
    [ -f "$run/start.gguf" ] || "$arklet" init -q "$here/real_input.json" "$run/start.gguf" --tokenizer "$run/vocab.gguf" --seed 1
    resume=
    [ -d "$run/base/checkpoint" ] && resume=--resume
    "$arklet" sft --full -m "$run/start.gguf" -f "$run/text.jsonl" -o "$run/base" --optim muon --lr 2e-2 --weight-decay 0.05 \
        --schedule linear --batch 32 --micro-tokens 2048 --save-every 50 -t "$threads" $resume >"$run/base.txt"
fi

# ---- Reward models ----

# Trains one and scores everything with it.
reward() { # NAME MODEL LABELS
    name=$1 model=$2 labels=$3
    if [ ! -f "$run/prm-$name.txt" ]; then
        say "reward model $name"
        "$arklet" prm -m "$model" -f "$run/half-0.jsonl" -o "$run/prm-$name" --labels "$labels" --plain --rank 16 --alpha 32 \
            --lr 1e-3 --batch 8 --save-every 20 -t "$threads" --resume >"$run/prm-$name.part"
        mv "$run/prm-$name.part" "$run/prm-$name.txt"
    fi
    score "$name" "$model" debates "$run/half-1.jsonl"
    for set in "$run"/steps/*.jsonl; do
        score "$name" "$model" "$(basename "$set" .jsonl)" "$set"
    done
}

score() { # NAME MODEL SET FILE
    make_file "$run/scored/$1.$3.txt" "$arklet" score -q -m "$2" --prm "$run/prm-$1" -f "$4" -o "$run/scored/$1.$3.jsonl" \
        --plain -t "$threads"
}
names=
each() { # NAME MODEL
    for labels in ${LABELS:-outcome debate}; do
        reward "$1-$labels" "$2" $labels
        names="$names $1-$labels"
    done
}
for base in ${BASES:-base}; do
    case $base in
    base) each base "$run/base/model.gguf" ;;
    teacher) each teacher "$teacher" ;;
    model) each model "$MODEL" ;;
    esac
done

# ---- Tables ----

# A measure as the program prints it, and of how many; "-" where the set has none.
cell() { # FILE NAME
    awk -v name="$2" '$1 == name { printf "%.3f (%d)", $2, $3; found = 1 } END { if (!found) printf "-" }' "$1"
}

tables() {
    echo '# Real debates, real solutions'
    echo
    echo "Made by \`tests/experiment/real_input.sh\`, which says what each of these is."
    echo
    echo '| debates | n | turns | first round right | last round right | vote | wrong to right | right to wrong |'
    echo '|---|---|---|---|---|---|---|---|'
    for counts in "$run"/debates/*.txt; do
        name=$(basename "$counts" .txt)
        printf '| %s |' "$(echo "$name" | sed 's/_persona.*_agents/, agents /; s/.*__//; s/^gsm_//; s/_rounds/, rounds /')"
        for count in debates turns first_round last_round vote wrong_to_right right_to_wrong; do
            printf ' %s |' "$(value "$counts" $count)"
        done
        echo
    done
    echo
    echo '| select | debates kept | too few right | traces | of these corrective, spliced | turns: wrong | lean on others | double | bare | alike | surplus |'
    echo '|---|---|---|---|---|---|---|---|---|---|---|'
    for strategy in rsft da spliced answer sampled; do
        counts=$run/select/$strategy.txt
        printf '| %s | %s of %s | %s | %s | %s, %s |' $strategy "$(value "$counts" kept)" "$(value "$counts" debates)" \
            "$(value "$counts" dropped_few_correct)" "$(value "$counts" traces)" "$(value "$counts" corrective)" \
            "$(value "$counts" spliced)"
        for count in wrong leans_on_others duplicate bare similar surplus; do
            printf ' %s |' "$(value "$counts" turns_$count)"
        done
        echo
    done
    echo
    echo '| reward model | debates to learn from | turns | steps right | wrong | not known |'
    echo '|---|---|---|---|---|---|'
    for name in $names; do
        printf '| %s | %s |' "$name" "$(wc -l <"$run/half-0.jsonl" | tr -d ' ')"
        awk '{ n++; sub(/.*"labels":\[/, ""); sub(/\].*/, ""); right += gsub(/true/, ""); wrong += gsub(/false/, ""); rest += gsub(/null/, "") }
            END { printf " %d | %d | %d | %d |\n", n, right, wrong, rest }' "$run/prm-$name/labels.jsonl"
    done
    echo
    echo '| reward model | judged on | step AUC | AUC to the first error | first error named | F1 | calibration error | solution AUC | mean of n | best of n | any of n |'
    echo '|---|---|---|---|---|---|---|---|---|---|---|'
    for name in $names; do
        for measured in "$run/scored/$name".*.txt; do
            set=$(basename "$measured" .txt)
            printf '| %s | %s |' "$name" "${set#"$name".}"
            for measure in step_auc step_auc_to_first_error first_error_accuracy first_error_f1 calibration_error solution_auc mean_of_n best_of_n any_of_n; do
                printf ' %s |' "$(cell "$measured" $measure)"
            done
            echo
        done
    done
}
tables >"$out/real_input.md.part"
mv "$out/real_input.md.part" "$out/real_input.md"
say "$out/real_input.md"
