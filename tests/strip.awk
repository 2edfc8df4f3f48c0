# strip.awk - C source with comments removed and strings emptied, line by line; used by the check scripts.
#     awk -f tests/strip.awk FILE      prints as many lines as the file has
{
    out = ""
    n = length($0)
    for (i = 1; i <= n; i++) {
        c = substr($0, i, 1)
        two = substr($0, i, 2)
        if (comment) {
            if (two == "*/") { comment = 0; i++; out = out " " }
        } else if (quote != "") {
            if (c == "\\") i++
            else if (c == quote) { out = out c; quote = "" }
        } else if (two == "/*") { comment = 1; i++ }
        else if (two == "//") break
        else {
            if (c == "\"" && $0 !~ /^[ \t]*#[ \t]*include/ || c == "'") quote = c
            out = out c
        }
    }
    quote = ""
    print out
}
