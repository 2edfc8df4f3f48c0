/* tokenizer_hf.h - recognising the parts of a tokenizer.json (private to src/model). */
#ifndef ARKLET_TOKENIZER_HF_H
#define ARKLET_TOKENIZER_HF_H

#include "json.h"
#include "tokenizer.h"

/* Sets kind, pre and dummy_space from "pre_tokenizer" and "normalizer". STATUS_UNSUPPORTED names what is unknown. */
enum status recognise_splitting(struct vocabulary *vocabulary, const struct json *root, struct diag *diag);

/* Where the tokenizer at `path` has its file of this name: in the folder, or beside a `path` that is itself a
 * tokenizer.json. A .json of another name is "tokenizer.json" and has nothing beside it: 0, *out empty. Check
 * out->failed. */
int tokenizer_hf_file(struct buffer *out, const char *path, const char *file);

#endif
