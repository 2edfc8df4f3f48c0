#!/bin/sh
# Questions with their answers and without solutions, from the world's generator (tests/world).
#     sh tests/experiment/questions.sh SPLIT COUNT SEED       to standard output
#     sh tests/experiment/questions.sh demo [DIR]             fixtures/demo/{train,dev,test}.jsonl
# From the environment: WORLD, the program.
world=${WORLD:-build/release-$(uname -m)/world}
here=$0

bare() {
    "$world" questions split="$1" count="$2" seed="$3" |
        sed 's/^{"v":1,/{/; s/"answer":"[^"]*\(#### [0-9]*\)","steps":[0-9]*}/"answer":"\1"}/'
}

if [ "$1" = demo ]; then
    dir=${2:-fixtures/demo}
    bare train 2000 301 >"$dir/train.jsonl"
    bare dev 200 302 >"$dir/dev.jsonl"
    bare test 500 303 >"$dir/test.jsonl"
elif [ $# -eq 3 ]; then
    bare "$@"
else
    sed -n '2,5s/^# //p' "$here" >&2
    exit 2
fi
