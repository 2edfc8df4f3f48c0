#!/bin/sh
# README.md's table of stops is that of the walks (tests/test_walk.c, test_walk_reward.c), and every stop's function is defined in its file.
#     BUILD=build/... sh tests/check_walk.sh
program=${BUILD:-build}/tests/test_walk
table=$(mktemp) || exit 1
trap 'rm -f "$table" "$table.readme"' EXIT
if ! { "$program" stops && "${program}_reward" stops; } >"$table"; then
    echo "FAIL walk: no $program"
    exit 1
fi
bad=0
grep -E '^\| [0-9]+ \| `[a-z]+/' README.md >"$table.readme"
if ! cmp -s "$table" "$table.readme"; then
    echo "FAIL walk: README.md: expected the table that '$program stops' prints: $(diff "$table" "$table.readme" | sed -n 2p)"
    bad=1
fi
while IFS='|' read -r _ number file function _; do
    file=$(echo "$file" | tr -d ' `') function=$(echo "$function" | tr -d ' `')
    # A definition: the name at the end of a line's type, its body's brace in column 1 further down.
    if ! awk -v name="$function" '
        $0 ~ "^[a-z].*[ *]" name "\\(" && $0 !~ /;$/ { head = 1 }
        head && /;$/ { head = 0 }
        head && /^{/ { found = 1 }
        END { exit !found }' "$file"; then
        echo "FAIL walk: stop$number: $file does not define $function"
        bad=1
    fi
done <"$table"
[ $bad -eq 0 ] && echo "ok walk"
exit $bad
