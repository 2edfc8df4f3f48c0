# expect.sh - what the scripts share that try the program as a user would: `suite=NAME; . tests/expect.sh`, from the top
# folder. ARKLET names the program. $dir is a folder for one's files; after the checks: exit $failed.
arklet=${ARKLET:-./arklet}
dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT
failed=0

# The program with nothing to read: its exit code in $code, what it wrote in $dir/out and $dir/err.
run() {
    "$arklet" "$@" >"$dir/out" 2>"$dir/err" </dev/null
    code=$?
}
# expect NAME CONDITION: about the last run
expect() {
    if eval "$2"; then
        echo "ok $suite $1"
    else
        echo "FAIL $suite $1: exit $code, stdout '$(head -c 200 "$dir/out" | head -n 2 | tr '\n' ' ')', stderr '$(tail -n 2 "$dir/err" | tr '\n' ' ')'"
        failed=1
    fi
}
# The last run failed with this exit code, nothing on standard output, and one line that holds all these words.
refused() {
    [ $code -eq "$1" ] && [ ! -s "$dir/out" ] && [ "$(wc -l <"$dir/err")" -eq 1 ] || return 1
    shift
    for word in "$@"; do grep -q -e "$word" "$dir/err" || return 1; done
}
silent() { [ $code -eq 0 ] && [ ! -s "$dir/err" ]; }
has() { grep -q -e "$1" "$dir/out"; }
