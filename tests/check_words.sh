#!/bin/sh
# Words that no file of the project may hold: unsafe functions, flags that break the arithmetic contract, notes to
# oneself, names that belong to somebody's workplace. Patterns are built from pieces so that this file passes too.
#     sh tests/check_words.sh [ROOT]
cd "${1:-.}" || exit 1
bad=0
if git rev-parse --is-inside-work-tree >/dev/null 2>&1; then
    files=$(git ls-files)
else
    files=$(find Makefile README.md LICENSE .ci include quant src tests fixtures -type f 2>/dev/null)
fi

# forbid FLAGS PATTERN FILE...
forbid() {
    flags=$1 pattern=$2
    shift 2
    hits=$(grep -m 1 -sInH$flags -e "$pattern" "$@")
    if [ -n "$hits" ]; then
        echo "$hits" | sed 's/^/FAIL words: /' | cut -c1-160
        bad=1
    fi
}

code=$(echo "$files" | grep '\.[ch]$')
forbid E "(^|[^a-z_])(str""cpy|str""cat|strn""cat|spr""intf|vspr""intf|ge""ts|at""oi|at""ol|at""of|all""oca|str""tok) *\\(" $code
flags="-ffast""-math|-Of""ast|-march=""native|-fasso""ciative"
forbid E "$flags" Makefile .ci/run
forbid wE "TO""DO|FIX""ME|XX""X|HA""CK" $files
hosts="py""pi\\.org|pythonhos""ted\\.org|npm""js\\.(com|org)|crates""\\.io|anaconda""\\.org|ruby""gems\\.org|proxy\\.go""lang\\.org"
forbid iE "$hosts" $files
forbid iE "hel""per session|iss""ue [0-9]+|co-auth""ored-by|as an a""i (language )?model" $files
[ $bad -eq 0 ] && echo "ok words"
exit $bad
