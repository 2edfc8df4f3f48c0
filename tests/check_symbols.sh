#!/bin/sh
# Every global symbol of the static library starts with a module's name: that of a header or source file (module, then
# verb), or one on the list below. There is no writable global data: what tables there are is constant.
#     LIB=build/.../libarklet.a sh tests/check_symbols.sh
lib=${1:-$LIB}
if [ ! -f "$lib" ]; then
    echo "FAIL symbols: no library '$lib'"
    exit 1
fi

# Second names of a module, and the header that declares them.
extra='diag status.h
memory arena.h
buffer arena.h
engine batch.h
decoder tokenizer.h
tokens tokenizer.h
generation generate.h
arch model.h
step_scorer prm.h
pretokenizer tokenizer.h'

# Names inside one layer, shared by the few files of a module through a private header.
extra="$extra
fit encode_fit.h
scaled encode_fit.h
super encode_super.h
iq4nl_values blocks.h
check_tensor model_pack.h
copy_rows model_pack.h
row_is_finite model_pack.h
tensor_row_bytes model_pack.h
cursor gguf_read.h
hash_bytes lexicon.h
id_table lexicon.h
pair lexicon.h
piece lexicon.h
match pretokenize.h
recognise_splitting tokenizer_hf.h
jdict jinja.h
jlist jinja.h
jstring jinja.h
jvalue jinja.h
parse jinja.h"

modules=$(ls include/*.h quant/*.[ch] src/[abmn]*/*.[ch] 2>/dev/null | sed 's:.*/::; s:\.[ch]$::' | sort -u)
modules="$modules
$(echo "$extra" | cut -d' ' -f1)"
table=$(${NM:-nm} -g -f sysv "$lib" 2>/dev/null | awk -F'|' '
    NF >= 7 {
        gsub(/ /, "")
        if ($3 != "U" && $1 !~ /^(__asan|__odr|__tsan|__ubsan|__sanitizer|__x86\.|DW\.ref|_GLOBAL_)/) print $1, $7
    }' | sort -u)
bad=$(echo "$table" | awk -v list="$modules" '
    BEGIN { n = split(list, module, "\n") }
    {
        for (i = 1; i <= n; i++)
            if ($1 == module[i] || index($1, module[i] "_") == 1) next
        print $1
    }')
data=$(echo "$table" | awk '$2 ~ /^\.(data|bss|tdata|tbss)/ && $2 !~ /^\.data\.rel\.ro/ || $2 ~ /COM/ { print $1 }')
[ -n "$table" ] || echo "FAIL symbols: nm shows none in $lib"
[ -z "$bad" ] || echo "FAIL symbols: not named after a module:" $bad
[ -z "$data" ] || echo "FAIL symbols: writable global data:" $data
[ -n "$table" ] && [ -z "$bad$data" ] && echo "ok symbols"
