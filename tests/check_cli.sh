#!/bin/sh
# The program as a user meets it, without a model: help, version, usage errors, closed pipes. ARKLET names it.
suite=cli
. tests/expect.sh
one_line() {
    [ ! -s "$dir/out" ] && [ "$(wc -l <"$dir/err")" -eq 1 ]
}

run
expect 'without a command' '[ $code -eq 2 ] && [ ! -s "$dir/out" ] && grep -q "^Usage: arklet" "$dir/err"'
run --help
expect 'help' '[ $code -eq 0 ] && [ ! -s "$dir/err" ] && grep -q "^Usage: arklet COMMAND" "$dir/out"'
cp "$dir/out" "$dir/help"
run --version
expect 'version' '[ $code -eq 0 ] && grep -Eq "^arklet [0-9]+\.[0-9]+\.[0-9]+$" "$dir/out"'
run frobnicate
expect 'unknown command' '[ $code -eq 2 ] && one_line && grep -q "unknown command .frobnicate." "$dir/err"'
run --frobnicate
expect 'unknown flag' '[ $code -eq 2 ] && one_line'

# Every command in the help: its own help on standard output, an unknown flag is a usage error in one line.
for command in $(sed -n '/^Commands:/,$ s/^  \([a-z]*\) .*/\1/p' "$dir/help"); do
    run "$command" --help
    expect "$command --help" '[ $code -eq 0 ] && [ ! -s "$dir/err" ] && grep -q "^Usage: arklet $command" "$dir/out"'
    longest=$(awk '{ if (length($0) > n) n = length($0) } END { print n + 0 }' "$dir/out")
    expect "$command --help fits" '[ "$longest" -le 110 ]'
    run "$command" --no-such-flag
    expect "$command --no-such-flag" '[ $code -eq 2 ] && one_line && grep -q -e --no-such-flag "$dir/err"'
done

# A reader that has gone away, and a full disk, are errors and no crash.
(sleep 1; "$arklet" --help 2>"$dir/err"; echo $? >"$dir/code") | true
code=$(cat "$dir/code")
expect 'closed pipe' '[ $code -eq 1 ] && grep -q "standard output: cannot write" "$dir/err"'
if [ -e /dev/full ]; then
    "$arklet" --help >/dev/full 2>"$dir/err"
    code=$?
    expect 'full disk' '[ $code -eq 1 ] && grep -q "standard output: cannot write" "$dir/err"'
fi
exit $failed
