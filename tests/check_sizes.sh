#!/bin/sh
# Ceilings: 600 lines a file (900 for files of one instruction set), 60 lines a function (150 for the layer functions of
# forward*.c and backward*.c), 120 columns. Tests are exempt.
#     sh tests/check_sizes.sh [ROOT]
here=$(cd "$(dirname "$0")" && pwd)
cd "${1:-.}" || exit 1
bad=0
for file in include/*.h quant/*.[ch] src/*/*.[ch]; do
    [ -f "$file" ] || continue
    lines=600 body=60
    case $file in
    quant/avx* | quant/neon* | quant/x86*) lines=900 ;;
    src/model/forward*.c | src/model/backward*.c) body=150 ;;
    src/model/unicode_table.h) lines=1500 ;; # generated: tests/oracle/unicode_tables.py
    esac
    n=$(wc -l <"$file")
    if [ "$n" -gt $lines ]; then
        echo "FAIL sizes: $file: $n lines, at most $lines"
        bad=1
    fi
    # A function's head starts in column 1 and its body with a lone brace there.
    found=$(awk -f "$here/strip.awk" "$file" | awk -v file="$file" -v body=$body '
        length($0) > 120 { print "FAIL sizes: " file ":" NR ": " length($0) " columns, at most 120" }
        /^[A-Za-z_].*\(/ { head = ""; name = $0; sub(/\(.*/, "", name); sub(/.*[ *]/, "", name) }
        /^[A-Za-z_]/ || head != "" { head = head $0 }
        /^{/ && head ~ /\(/ {
            start = NR
        }
        /^[;}]/ || /;$/ { if (!start) head = "" }
        /^}/ {
            if (start && NR - start + 1 > body)
                print "FAIL sizes: " file ":" start ": " name " has " NR - start + 1 " lines, at most " body
            start = 0
            head = ""
        }')
    if [ -n "$found" ]; then
        echo "$found"
        bad=1
    fi
done
[ $bad -eq 0 ] && echo "ok sizes"
exit $bad
