/* spm.c - cutting text for SentencePiece vocabularies.
 *
 * SentencePiece merges over a whole text; a space (U+2581 in the files, a plain space here) is a character like others
 * and one more, the dummy space, stands in front of the text. Since every merge makes a piece of the vocabulary, no
 * merge crosses a place whose two characters are neighbours in no piece: the text is cut there, which keeps the parts
 * short (words, mostly) and their repetitions recognisable. The set of neighbours is hashed; a false hit only leaves
 * two parts together.
 *
 * U+2581 itself, written in a text, is no space: it goes to byte tokens, so that decoding gives it back. */
#include <string.h>
#include "lexicon.h"
#include "utf8.h"

/* The end of the part that begins at pos. *previous is the character in front of pos, 0 at a cut. */
static size_t part_end(const struct tokenizer *t, const char *text, size_t length, size_t pos, uint32_t previous)
{
    uint32_t code;
    int valid;

    for (size_t n; pos < length; pos += n, previous = code) {
        n = utf8_decode(text + pos, length - pos, &code, &valid);
        if (previous && !are_adjacent(t, previous, code))
            break;
    }
    return pos;
}

/* The first part with the dummy space; returns its end in the text. */
static size_t encode_with_space(struct encoder *e, const char *text, size_t length)
{
    size_t end = part_end(e->tokenizer, text, length, 0, ' ');
    char *word = memory_alloc(end + 1);
    struct known_word *known = e->known;

    if (!word) {
        e->status = diag_fail(e->diag, STATUS_MEMORY, "%s: no memory for tokenising", e->tokenizer->name);
        return length;
    }
    word[0] = ' ';
    memcpy(word + 1, text, end);
    e->known = NULL; /* the copy does not outlive this call */
    encode_word(e, word, end + 1);
    e->known = known;
    memory_free(word);
    return end;
}

static void encode_parts(struct encoder *e, const char *text, size_t length, int space)
{
    size_t pos = space ? encode_with_space(e, text, length) : 0, end;

    for (; pos < length && !e->status; pos = end) {
        end = part_end(e->tokenizer, text, length, pos, 0);
        encode_word(e, text + pos, end - pos);
    }
}

void encode_pieces(struct encoder *e, const char *text, size_t length, int space)
{
    if (e->tokenizer->kind == VOCABULARY_BYTES)
        pretokenize(e->tokenizer->pre, text, length, encode_word, e);
    else
        encode_parts(e, text, length, space);
}
