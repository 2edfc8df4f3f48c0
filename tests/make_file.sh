# make_file.sh - sourced by scripts: a file that a command prints appears when it is whole; one that is there is left as it
# is.
make_file() { # FILE COMMAND...
    file=$1
    shift
    [ -f "$file" ] && return
    "$@" >"$file.part"
    mv "$file.part" "$file"
}
