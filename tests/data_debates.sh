#!/bin/sh
# data_debates.sh - real debates on GSM8K through import and select: every turn is there and graded as its source's gold
# says, corrections are found. The counts were compared, turn by turn, with a reading of the last box of every text; the
# three turns that differ hold boxes with words, times or sums in them.
# Environment: DATA, BUILD, RUN. Prints ok/FAIL lines.
program="$RUN $BUILD/arklet"
debates=$DATA/debates
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT

report() { # name, what is wrong (empty: nothing)
    if [ -z "$2" ]; then echo "ok data_debates: $1"; else echo "FAIL data_debates: $1: $2"; fi
}

# File, debates, turns, right in the first and in the last round of how many, wrong to right, right to wrong.
while read -r file n_debates n_turns first last n to_right to_wrong; do
    name=${file%.json}
    $program import du "$debates/$file" -o "$work/debate.jsonl" -q >"$work/out" 2>"$work/err"
    wrong=
    for line in "debates $n_debates" "turns $n_turns" "wrong_to_right $to_right" "right_to_wrong $to_wrong" \
        "first_round $(awk "BEGIN { printf \"%.4f\", $first / $n }") $n" \
        "last_round $(awk "BEGIN { printf \"%.4f\", $last / $n }") $n"; do
        grep -qx -e "$line" "$work/out" || wrong="$wrong expected '$line';"
    done
    [ -s "$work/err" ] && wrong="$wrong $(head -n 1 "$work/err")"
    report "import $name" "$wrong"

    # What is kept and dropped adds up, nothing wrong is kept, spliced traces are bounded.
    $program select -f "$work/debate.jsonl" -o "$work/traces.jsonl" -q --spliced >"$work/counts" 2>"$work/err"
    wrong=$(awk '
        { v[$1] = $2 }
        /^turns_/ { left += $2 }
        END {
            if (v["consensus"] + v["corrective"] + left != v["turns"]) print "turns do not add up"
            if (v["kept"] + v["dropped_few_correct"] + v["dropped_no_candidate"] != v["debates"])
                print "debates do not add up"
            if (v["consensus"] + v["corrective"] + v["spliced"] != v["traces"]) print "traces do not add up"
            if (v["spliced_share"] > 0.2) print "spliced share " v["spliced_share"]
            if (v["kept"] < 0.6 * v["debates"]) print "only " v["kept"] " kept"
        }' "$work/counts")
    [ "$(wc -l <"$work/traces.jsonl")" -eq "$(sed -n 's/^traces //p' "$work/counts")" ] || wrong="$wrong lines"
    report "select $name" "$wrong"
    cat "$work/counts" >>"$work/all"
done <<END
gsm_3_2__43990e1__Qwen2.5-7B.json 100 600 265 270 300 7 2
gsm_3_2__5399ee9__Qwen2.5-3B.json 100 600 239 247 300 18 10
gsm_3_2__788730b__Qwen2.5-1.5B.json 100 600 188 204 300 36 20
gsm_Mistral-7B-Instruct-v0.3_persona_kantian+gothic+deep-sea+resource+expert_agents5_rounds3.json 20 300 61 75 100 30 16
gsm_Qwen3-0.6B_persona_kantian+deep-sea+renaissance_agents3_rounds3.json 20 180 48 51 60 4 1
END

wrong=$(awk '{ v[$1] += $2 } END { if (v["corrective"] < 10 || v["spliced"] < 10) print v["corrective"] " corrective, " v["spliced"] " spliced" }' "$work/all")
report "corrections" "$wrong"
