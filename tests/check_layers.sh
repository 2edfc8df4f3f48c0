#!/bin/sh
# Layers, high to low: cmd > ark > model > nn > (base | quant). A source file includes only headers of its own or a lower
# layer, base and quant not each other's; public headers by their bare name, private ones from their own folder.
#     sh tests/check_layers.sh [ROOT]
cd "${1:-.}" || exit 1

folder_of_header() {
    case $1 in
    exec) echo src/nn ;;
    elementary) echo quant ;;
    *) ls -d quant/"$1".c src/*/"$1".c quant/"$1"_*.c src/*/"$1"_*.c 2>/dev/null | sed 's:/[^/]*$::' | head -n 1 ;;
    esac
}

rank() {
    case $1 in
    src/cmd) echo 5 ;; src/ark) echo 4 ;; src/model) echo 3 ;; src/nn) echo 2 ;; src/base | quant) echo 1 ;;
    esac
}

# may_include FOLDER OTHER
may_include() {
    [ "$1" = "$2" ] || [ "$(rank "$1")" -gt "$(rank "$2")" ]
}

map=$(mktemp) || exit 1
trap 'rm -f "$map"' EXIT
bad=0
for header in include/*.h; do
    stem=$(basename "$header" .h)
    folder=$(folder_of_header "$stem")
    if [ -z "$folder" ]; then
        echo "FAIL layers: $header: no source file tells its layer"
        bad=1
    fi
    echo "$stem.h $folder $header" >>"$map"
done

# check_file FILE FOLDER: every #include "..." of a file that belongs to FOLDER
check_file() {
    for name in $(sed -n 's/^[ \t]*#[ \t]*include[ \t]*"\([^"]*\)".*/\1/p' "$1"); do
        target=$(awk -v name="$name" '$1 == name { print $2 }' "$map")
        case $1/$name in
        include/*) ;;
        *) [ -f "$(dirname "$1")/$name" ] && [ "${name##*/}" = "$name" ] && target=$2 ;;
        esac
        if [ -z "$target" ]; then
            echo "FAIL layers: $1: \"$name\" is neither a public header nor one of its own folder"
            bad=1
        elif ! may_include "$2" "$target"; then
            echo "FAIL layers: $1 ($2) includes \"$name\" ($target)"
            bad=1
        fi
    done
}

for file in quant/*.[ch] src/*/*.[ch]; do
    [ -f "$file" ] && check_file "$file" "$(dirname "$file")"
done
while read -r _ folder header; do
    [ -n "$folder" ] && check_file "$header" "$folder"
done <"$map"
[ $bad -eq 0 ] && echo "ok layers"
exit $bad
