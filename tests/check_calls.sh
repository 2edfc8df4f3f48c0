#!/bin/sh
# Who may call what: memory only through src/base/arena.c, printing and exiting only in src/cmd, the operating system only
# in src/base and quant/cpu.c, threads only in pool.c, intrinsics only in the files of one instruction set.
#     sh tests/check_calls.sh [ROOT]
here=$(cd "$(dirname "$0")" && pwd)
cd "${1:-.}" || exit 1
bad=0

# Every source and header of the library and the program without comments and strings: lines FILE:LINE:TEXT.
plain=$(mktemp) || exit 1
trap 'rm -f "$plain"' EXIT
for file in include/*.h quant/*.[ch] src/*/*.[ch]; do
    [ -f "$file" ] || continue
    awk -f "$here/strip.awk" "$file" | sed 's/format(printf/format(/' | awk -v file="$file" '{ print file ":" NR ":" $0 }'
done >"$plain"

# forbid NAME EXCEPT PATTERN: no text of a file whose path does not match EXCEPT matches PATTERN
forbid() {
    hits=$(EXCEPT=$2 PATTERN=$3 awk 'BEGIN { except = ENVIRON["EXCEPT"]; pattern = ENVIRON["PATTERN"] }
    {
        file = $0; sub(/:.*/, "", file)
        if (file ~ except) next
        text = substr($0, length(file) + 2); sub(/^[0-9]*:/, "", text)
        if (text ~ pattern && !(file in seen)) { seen[file] = 1; print }
    }' "$plain")
    if [ -n "$hits" ]; then
        echo "$hits" | sed "s|^\([^:]*:[0-9]*\):|FAIL calls: \1: $1: |"
        bad=1
    fi
}

word='(^|[^A-Za-z0-9_])'
forbid 'allocation outside arena.c' '^src/base/arena\.c$' \
    "${word}(malloc|calloc|realloc|free|aligned_alloc|posix_memalign|strdup|strndup|asprintf) *\\("
forbid 'printing outside src/cmd' '^src/cmd/' \
    "${word}(printf|fprintf|vprintf|vfprintf|dprintf|puts|fputs|putchar|putc|fputc|fwrite|perror|stdout|stderr)[^A-Za-z0-9_]"
forbid 'exiting below main' '^src/cmd/main\.c$' "${word}(exit|_exit|abort|quick_exit|atexit) *\\("
forbid 'getenv or argv outside src/cmd' '^src/cmd/' "${word}(getenv|setenv|argv)[^A-Za-z0-9_]"
forbid 'setlocale, rand or system' '^$' "${word}(setlocale|rand|srand|random|system|popen|signal_r) *\\("
forbid 'operating system outside src/base' '^src/base/|^quant/cpu\.c$|^src/cmd/' \
    "# *include *<(unistd|fcntl|pthread|signal|sched|dirent|sys/[a-z]+|time)\\.h>"
forbid 'files outside src/base' '^src/base/' "${word}(fopen|fread|fclose|fgets|fscanf|mmap) *\\("
forbid 'threads outside pool.c' '^src/base/pool\.c$' "${word}(pthread_[a-z_]*|fork) *\\("
forbid 'intrinsics outside the tiers' '^quant/(avx|x86|neon)[a-z0-9_]*\.[ch]$' \
    '# *include *<(immintrin|x86intrin|emmintrin|avx[a-z0-9]*|arm_neon|arm_acle)\.h>'
[ $bad -eq 0 ] && echo "ok calls"
exit $bad
