#!/bin/sh
# How many of a split's questions a model answers greedily, in all and by number of steps.
#     sh tests/world/accuracy.sh MODEL [SPLIT [COUNT [SEED]]]        defaults: dev 500 1
# From the environment: ARKLET and WORLD, the programs; FLAGS, further flags for arklet debate.
model=$1 split=${2:-dev} count=${3:-500} seed=${4:-1}
[ -n "$model" ] || { sed -n '2,4s/^# //p' "$0" >&2; exit 2; }
arklet=${ARKLET:-./arklet} world=${WORLD:-build/release-$(uname -m)/world}
dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT
"$world" questions split="$split" count="$count" seed="$seed" >"$dir/questions" || exit 1
"$arklet" debate -q -m "$model" -f "$dir/questions" -o "$dir/debate" --plain --agents 1 --rounds 1 --temp 0 \
    --max-new 160 $FLAGS >/dev/null || exit 1
sed 's/.*"steps":\([0-9]*\).*/\1/' "$dir/questions" >"$dir/steps"
sed 's/.*"vote":{.*"correct":\([a-z]*\).*/\1/' "$dir/debate" | paste "$dir/steps" - | awk '
    { n[$1]++; all++; if ($2 == "true") { right[$1]++; all_right++ } }
    END {
        printf "all %.1f %% of %d", 100 * all_right / all, all
        for (k = 1; k <= 8; k++) if (n[k]) printf "   %d steps: %.1f %% of %d", k, 100 * right[k] / n[k], n[k]
        printf "\n"
    }'
