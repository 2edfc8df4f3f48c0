#!/bin/sh
# Runs the test programs given as arguments, then the tests/check_*.sh scripts; prints one line per test and ends with
# "N passed, N failed". A program that dies, hangs beyond TEST_TIMEOUT seconds, or runs no test counts as a failure.
#
# From the environment: RUN, an emulator or tool in front of each program (the scripts are then left out, as they are in
# the sanitizer builds); MODE, CC, BUILD, LIB, ARKLET for the scripts. `make test` sets them.
out=$(mktemp) || exit 1
trap 'rm -f "$out" "$out.one" "$out.err"' EXIT
trap 'exit 130' INT TERM
limit=
command -v timeout >/dev/null 2>&1 && limit="timeout ${TEST_TIMEOUT:-900}"

# run_one NAME COMMAND...: shows its ok and FAIL lines, each with the program's name.
run_one() {
    name=$1
    shift
    "$@" >"$out.one" 2>"$out.err" </dev/null
    status=$?
    sed -nE "s/^(ok|FAIL) /\1 $name: /p" "$out.one" | tee -a "$out"
    if [ $status -ne 0 ] && ! grep -q '^FAIL ' "$out.one"; then
        [ $status -eq 124 ] && why='too slow' || why="exit status $status"
        echo "FAIL $name: $why" | tee -a "$out"
        tail -n 30 "$out.err" >&2
    elif ! grep -Eq '^(ok|FAIL) ' "$out.one"; then
        echo "FAIL $name: ran no test" | tee -a "$out"
    fi
    rm -f "$out.one" "$out.err"
}

for program in "$@"; do
    name=$(basename "$program")
    corpus=
    case $name in
    replay_*) [ -d "fixtures/fuzz/${name#replay_}" ] && corpus="fixtures/fuzz/${name#replay_}" ;;
    esac
    run_one "$name" $limit $RUN "$program" $corpus
done
if [ -z "$RUN$ONLY" ] && [ "${MODE:-release}" = release ] && [ -n "$LIB" ]; then
    for script in tests/check_*.sh; do
        [ -e "$script" ] && run_one "$(basename "$script" .sh)" $limit sh "$script"
    done
fi
passed=$(grep -c '^ok ' "$out")
failed=$(grep -c '^FAIL ' "$out")
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
