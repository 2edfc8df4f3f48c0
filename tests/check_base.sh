#!/bin/sh
# The first 20 steps of the student that fixtures/ ships, from nothing: tokenizer, random weights, training. The bytes must be
# those of the run that made it, on every machine: a change of arithmetic, of the world or of its tokenizer shows here.
#     sh tests/check_base.sh        BUILD and ARKLET from the environment
dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT
PROBE=1 FROM_NOTHING=1 WORLD=${BUILD:-build/release-x86_64}/world sh "$(dirname "$0")/world/build.sh" "$dir" student >"$dir/out" 2>&1 || {
    echo "FAIL base: $(tail -n 1 "$dir/out")"
    exit 1
}
found=$(cksum <"$dir/student-probe/model.gguf")
expected='1509508321 3216800'
if [ "$found" != "$expected" ]; then
    echo "FAIL base: the student after 20 steps: expected cksum $expected, found $found"
    exit 1
fi
echo "ok base"
