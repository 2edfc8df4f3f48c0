/* tokenizer_hf.h - recognising the parts of a tokenizer.json (private to src/model). */
#ifndef ARKLET_TOKENIZER_HF_H
#define ARKLET_TOKENIZER_HF_H

#include "json.h"
#include "tokenizer.h"

/* Sets kind, pre and dummy_space from "pre_tokenizer" and "normalizer". STATUS_UNSUPPORTED names what is unknown. */
enum status recognise_splitting(struct vocabulary *vocabulary, const struct json *root, struct diag *diag);

#endif
