# Halves of debates by a hash of the question, and what is to be judged apart from them. Lines of JSON in, lines out:
# no string is decoded, so only ASCII letters and digits of a question count (escapes and accents differ between files).
#     awk -v half=0|1 -f real_input.awk DEBATES                the debates of a half
#     awk -v without=DEBATES -f real_input.awk STEPS           labelled steps on questions that DEBATES do not have
#     awk -v texts=1 -f real_input.awk DEBATES                 {prompt, completion} of every turn, question included
# A question runs from "question": (or "input":) to the next key.
function question_of(line) {
    if (!match(line, /"(question|input)": ?"/))
        return ""
    line = substr(line, RSTART + RLENGTH)
    match(line, /", ?"[a-z_]+":/)
    return substr(line, 1, RSTART - 1)
}
function key_of(question) {
    gsub(/\\u[0-9a-fA-F][0-9a-fA-F][0-9a-fA-F][0-9a-fA-F]/, "", question)
    gsub(/\\./, "", question)
    gsub(/[^A-Za-z0-9]/, "", question)
    return question
}
function hash_of(key, i, h) {
    for (i = 1; i <= length(key); i++)
        h = (h * 31 + index(letters, substr(key, i, 1))) % 65521
    return h
}
# Every turn behind its question, all of it to be learnt.
function put_texts(line, question, n, parts, i) {
    n = split(line, parts, /"text":"/)
    for (i = 2; i <= n; i++) {
        match(parts[i], /","answer":/)
        printf "{\"prompt\":\"Question: \",\"completion\":\"%s\\n\\nSolution:\\n\\n%s\"}\n", question,
            substr(parts[i], 1, RSTART - 1)
    }
}
BEGIN {
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
    while (without != "" && (getline line < without) > 0)
        seen[key_of(question_of(line))] = 1
}
{
    question = question_of($0)
    key = key_of(question)
    if (texts)
        put_texts($0, question)
    else if (without != "" ? !(key in seen) : int(hash_of(key) / 7) % 2 == half)
        print
}
