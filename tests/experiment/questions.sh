#!/bin/sh
# Questions from the world's generator (tests/world): with their answers alone; those of the demo with solutions, as GSM8K.
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
    for set in 'train 1800 301' 'dev 200 302' 'test 500 303'; do
        set -- $set
        "$world" questions split="$1" count="$2" seed="$3" | sed 's/^{"v":1,/{/; s/,"steps":[0-9]*}/}/' >"$dir/$1.jsonl"
    done
elif [ $# -eq 3 ]; then
    bare "$@"
else
    sed -n '2,5s/^# //p' "$here" >&2
    exit 2
fi
