/* step_tokens.c - step ends among tokens, in one pass over their bytes. */
#include "step_tokens.h"

#include <string.h>

/* What the bytes so far amount to. */
struct scan {
    int has_text; /* the running step has something beside white space */
    int newlines; /* since its last text: 0, 1, 2 = a blank line is complete */
};

static void scan_bytes(struct scan *scan, const char *text, size_t length)
{
    size_t i;

    for (i = 0; i < length; i++) {
        if (text[i] == '\n') {
            if (scan->has_text && scan->newlines < 2)
                scan->newlines++;
        } else if (!strchr(" \t\r", text[i]) || text[i] == 0) {
            if (scan->newlines < 2) {
                scan->has_text = 1;
                scan->newlines = 0;
            }
        }
    }
}

static void put(struct step_end *steps, size_t room, size_t *n_steps, size_t end, size_t count)
{
    if (*n_steps < room) {
        steps[*n_steps].end = end;
        steps[*n_steps].count = count;
    }
    (*n_steps)++;
}

size_t step_tokens(const struct tokenizer *tokenizer, const int32_t *ids, size_t n, struct step_end *steps, size_t room)
{
    struct scan scan = {0, 0};
    size_t i, start = 0, n_steps = 0, length;
    int ended = n > 0 && tokenizer_is_eog(tokenizer, ids[n - 1]);

    for (i = 0; i < n - (size_t)ended; i++) {
        const char *piece = tokenizer_piece(tokenizer, ids[i], &length);

        if (piece && tokenizer_type(tokenizer, ids[i]) != TOKEN_CONTROL)
            scan_bytes(&scan, piece, length);
        if (scan.newlines < 2)
            continue;
        put(steps, room, &n_steps, i, i - start);
        start = i + 1;
        scan.has_text = scan.newlines = 0;
    }
    if (scan.has_text)
        put(steps, room, &n_steps, n - 1, n - start - (size_t)ended);
    else if (n_steps && n_steps <= room) /* a blank line at the very end: the last step is scored at the end */
        steps[n_steps - 1].end = n - 1;
    return n_steps;
}
