#!/bin/sh
# Every public header compiles alone, as C99 and without warnings, and has a guard named after it.
#     sh tests/check_headers.sh [ROOT]
cd "${1:-.}" || exit 1
log=$(mktemp) || exit 1
trap 'rm -f "$log"' EXIT
bad=0
for header in include/*.h; do
    name=$(basename "$header")
    guard=ARKLET_$(basename "$header" .h | tr 'a-z-' 'A-Z_')_H
    printf '#include "%s"\n#include "%s"\n' "$name" "$name" |
        ${CC:-cc} -std=c99 -pedantic -Wall -Wextra -Werror -fsyntax-only -Iinclude -x c - 2>"$log"
    if [ $? -ne 0 ]; then
        echo "FAIL headers: $header does not compile alone: $(grep -m 1 'error' "$log")"
        bad=1
    fi
    if ! grep -q "^#ifndef $guard\$" "$header"; then
        echo "FAIL headers: $header: expected the guard $guard"
        bad=1
    fi
done
[ $bad -eq 0 ] && echo "ok headers"
exit $bad
