/* turns.h - training documents from real debates: what the agents said in a round, and the right solution.
 *
 *   debates (arklet debate), questions with solutions  ->  {"prompt": question, solutions, tail, "completion":
 * solution}
 *
 * The peers' errors are then those that the model makes, not planted ones. */
#ifndef ARKLET_WORLD_TURNS_H
#define ARKLET_WORLD_TURNS_H

#include "document.h"

/* The file's records in turn; a debate's question is looked for behind the one of the debate before it. Each round
 * whose agents disagree makes a document for one of them: what the next round asks. put_line writes the records of a
 * debate, with newlines between them; 0: it could not. weight: see document_debate_put. Of `copies`
 * documents of a round all but the first have the solutions in another order. */
enum status turns_convert(const char *debates, const char *questions, uint64_t seed, int weight, int copies,
                          int (*put_line)(const struct buffer *line), struct diag *diag);

#endif
