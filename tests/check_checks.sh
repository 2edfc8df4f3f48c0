#!/bin/sh
# The structural checks can fail: a copy of the tree passes, and fails after each planted breach.
top=$PWD
copy=$(mktemp -d) || exit 1
trap 'rm -rf "$copy"' EXIT
bad=0

fresh() {
    rm -rf "$copy/tree"
    mkdir -p "$copy/tree/src/base" "$copy/tree/src/nn" "$copy/tree/src/model" "$copy/tree/src/cmd" "$copy/tree/quant" \
        "$copy/tree/include" "$copy/tree/.ci"
    cd "$copy/tree" || exit 1
    for module in base/low nn/middle model/high cmd/top; do
        stem=${module#*/}
        guard=ARKLET_$(echo "$stem" | tr a-z A-Z)_H
        printf '#ifndef %s\n#define %s\nint %s_do(int x);\n#endif\n' "$guard" "$guard" "$stem" >"include/$stem.h"
        printf '#include "%s.h"\n\nint %s_do(int x)\n{\n    return x;\n}\n' "$stem" "$stem" >"src/$module.c"
    done
    printf '#include "low.h"\n' >>src/nn/middle.c
    printf 'int kernel_table(void);\n' >quant/avx2.c
    printf 'all:\n' >Makefile
}

# expect CHECK WHAT: the tree as it is now must fail the check
expect() {
    out=$(CC="${CC:-cc}" sh "$top/tests/check_$1.sh" "$copy/tree" 2>&1)
    if ! echo "$out" | grep -q "^FAIL $1"; then
        echo "FAIL checks: check_$1.sh does not see $2"
        bad=1
    fi
}

fresh
for check in layers headers calls words sizes; do
    out=$(CC="${CC:-cc}" sh "$top/tests/check_$check.sh" "$copy/tree" 2>&1)
    if [ "$out" != "ok $check" ]; then
        echo "FAIL checks: check_$check.sh refuses a clean tree: $out"
        bad=1
    fi
done
fresh; echo '#include "high.h"' >>src/base/low.c; expect layers 'base including model'
fresh; echo '#include "low.h"' >>quant/avx2.c; expect layers 'quant including base'
fresh; echo '# include "top.h"' >>include/middle.h; expect layers 'a header including a higher one'
fresh; echo '#include "../model/private.h"' >>src/nn/middle.c; expect layers 'a path in an include'
fresh; echo '#define X' >include/orphan.h; expect layers 'a header without a source file'
fresh; sed -i.bak 's/int middle_do(int x);/int middle_do(size_t x);/' include/middle.h; expect headers 'a missing include'
fresh; sed -i.bak 's/_MIDDLE_H/_OTHER_H/' include/middle.h; expect headers 'a wrong guard'
fresh; echo 'void *low_get(void) { return malloc (3); }' >>src/base/low.c; expect calls 'malloc'
fresh; echo 'void low_say(void) { printf("x"); }' >>src/model/high.c; expect calls 'printf'
fresh; echo 'void low_say(void) { fputs("x", stderr); }' >>src/nn/middle.c; expect calls 'stderr'
fresh; echo 'void low_end(void) { abort(); }' >>src/model/high.c; expect calls 'abort'
fresh; echo '#include <immintrin.h>' >>src/nn/middle.c; expect calls 'intrinsics'
fresh; echo '#include <unistd.h>' >>src/model/high.c; expect calls 'unistd.h'
fresh; echo 'void low_run(void) { pthread_create(0, 0, 0, 0); }' >>src/nn/middle.c; expect calls 'a thread'
fresh; echo "void low_copy(char *a) { str""cpy(a, a); }" >>src/base/low.c; expect words 'an unsafe copy'
fresh; echo "/* TO""DO: later */" >>src/base/low.c; expect words 'a note to oneself'
fresh; echo "CFLAGS = -Of""ast" >>Makefile; expect words 'a forbidden flag'
fresh; echo "https://py""pi.org/simple" >README.md; expect words 'a host'
fresh; yes 'int x;' | head -n 601 >>src/nn/middle.c; expect sizes 'a long file'
fresh; { printf 'int middle_long(int a)\n{\n'; yes '    a++;' | head -n 58; printf '    return a;\n}\n'; } >>src/nn/middle.c
expect sizes 'a long function'
fresh; printf '/* */ int x = %0120d;\n' 7 >>src/nn/middle.c; expect sizes 'a long line'

# Symbols: a library with a foreign name, and one with writable data.
cd "$top" || exit 1
for source in 'int foreign_thing(void); int foreign_thing(void) { return 1; }' 'int arena_count = 3;' 'int arena_zero;'; do
    echo "$source" >"$copy/x.c"
    rm -f "$copy/x.a"
    ${CC:-cc} -c -o "$copy/x.o" "$copy/x.c" && ar rcs "$copy/x.a" "$copy/x.o"
    if ! sh tests/check_symbols.sh "$copy/x.a" | grep -q '^FAIL symbols'; then
        echo "FAIL checks: check_symbols.sh does not see '$source'"
        bad=1
    fi
done
[ $bad -eq 0 ] && echo "ok checks"
exit $bad
