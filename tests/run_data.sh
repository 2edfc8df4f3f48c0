#!/bin/sh
# Checks against the real data in $DATA (never committed). Each tests/data_*.sh prints ok/FAIL lines.
if [ ! -d "$DATA" ]; then
    echo "test-data: no folder '$DATA', nothing to do"
    exit 0
fi
out=$(mktemp) || exit 1
trap 'rm -f "$out"' EXIT
for script in tests/data_*.sh; do
    [ -e "$script" ] && DATA="$DATA" sh "$script" 2>&1 | tee -a "$out"
done
passed=$(grep -c '^ok ' "$out")
failed=$(grep -c '^FAIL ' "$out")
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
