/* tokenizer_parts.h - private to the files that write vocabularies. */
#ifndef ARKLET_TOKENIZER_PARTS_H
#define ARKLET_TOKENIZER_PARTS_H

#include "arena.h"

/* Appends the "pre_tokenizer" of a tokenizer.json that splits as this pre-tokeniser does. Contract: it can. */
void tokenizer_put_splitting(struct buffer *json, const char *pre);
int tokenizer_can_write_splitting(const char *pre);
const char *tokenizer_written_splittings(void); /* their names, space separated */

#endif
