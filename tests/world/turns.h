/* turns.h - training documents from real debates: what a model said in the first round, and the right solution.
 *
 *   debates (arklet debate), questions with solutions  ->  {"prompt": question, solutions, tail, "completion":
 * solution}
 *
 * The peers' errors are then those that the model makes, not planted ones. */
#ifndef ARKLET_WORLD_TURNS_H
#define ARKLET_WORLD_TURNS_H

#include "document.h"

/* The file's records in turn; a debate's question is looked for behind the one of the debate before it. Debates whose
 * agents all gave the right answer are left out: none would be held. put_line writes a record; 0: it could not. */
enum status turns_convert(const char *debates, const char *questions, uint64_t seed,
                          int (*put_line)(const struct buffer *line), struct diag *diag);

#endif
