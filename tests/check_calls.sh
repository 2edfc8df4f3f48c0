#!/bin/sh
# Who may call what: memory only through src/base/arena.c, printing and exiting only in src/cmd, the operating system only
# in src/base and quant/cpu.c, threads only in pool.c, intrinsics only in the files of one instruction set.
#     sh tests/check_calls.sh [ROOT]
here=$(cd "$(dirname "$0")" && pwd)
cd "${1:-.}" || exit 1
bad=0

# forbid NAME PATTERN FILE...: no line of the files, without comments and strings, matches
forbid() {
    name=$1 pattern=$2
    shift 2
    for file in "$@"; do
        [ -f "$file" ] || continue
        hit=$(awk -f "$here/strip.awk" "$file" | sed 's/format(printf/format(/' | grep -nE "$pattern" | head -n 1)
        if [ -n "$hit" ]; then
            echo "FAIL calls: $file:${hit%%:*}: $name:${hit#*:}"
            bad=1
        fi
    done
}

# all_but PATTERN: the library's and the program's sources and headers whose path does not match
all_but() {
    ls include/*.h quant/*.[ch] src/*/*.[ch] 2>/dev/null | grep -Ev "$1"
}

word='(^|[^A-Za-z0-9_])'
forbid 'allocation outside arena.c' "${word}(malloc|calloc|realloc|free|aligned_alloc|posix_memalign|strdup|strndup|asprintf) *\\(" \
    $(all_but '^src/base/arena\.c$')
forbid 'printing outside src/cmd' "${word}(printf|fprintf|vprintf|vfprintf|dprintf|puts|fputs|putchar|putc|fputc|fwrite|perror|stdout|stderr)[^A-Za-z0-9_]" \
    $(all_but '^src/cmd/')
forbid 'exiting below main' "${word}(exit|_exit|abort|quick_exit|atexit) *\\(" $(all_but '^src/cmd/main\.c$')
forbid 'getenv or argv outside src/cmd' "${word}(getenv|setenv|argv)[^A-Za-z0-9_]" $(all_but '^src/cmd/')
forbid 'setlocale, rand or system' "${word}(setlocale|rand|srand|random|system|popen|signal_r) *\\(" $(all_but '^$')
forbid 'operating system outside src/base' \
    "# *include *<(unistd|fcntl|pthread|signal|sched|dirent|sys/[a-z]+|time)\\.h>" \
    $(all_but '^src/base/|^quant/cpu\.c$|^src/cmd/')
forbid 'files outside src/base' "${word}(fopen|fread|fclose|fgets|fscanf|mmap) *\\(" $(all_but '^src/base/')
forbid 'threads outside pool.c' "${word}(pthread_[a-z_]*|fork) *\\(" $(all_but '^src/base/pool\.c$')
forbid 'intrinsics outside the tiers' '# *include *<(immintrin|x86intrin|emmintrin|avx[a-z0-9]*|arm_neon|arm_acle)\.h>' \
    $(all_but '^quant/(avx|x86|neon)[a-z0-9_]*\.[ch]$')
[ $bad -eq 0 ] && echo "ok calls"
exit $bad
