/* cmd.h - the table of commands, and what they share to talk to the user.
 *
 * A command lives in src/cmd/cmd_<name>.c as int cmd_<name>(int argc, char **argv), with argv[0] its name, and
 * returns the exit code: 0 done, 1 data or resource, 2 usage. Adding one is one line here. */
#ifndef ARKLET_CMD_H
#define ARKLET_CMD_H

#include "status.h"

/* X(name, "what it does"), in the order of the help. Only what is built is listed. */
#define COMMANDS(X)                                                                                                    \
    X(run, "complete a prompt, or hold a dialogue (--chat)")                                                           \
    X(tokenize, "text to token ids and back")                                                                          \
    X(perplexity, "perplexity of a text")                                                                              \
    X(logprobs, "log-probabilities of completions, given their prompts")                                               \
    X(inspect, "what is in a file, and the memory that running it takes")                                              \
    X(debate, "several agents answer questions in rounds")                                                             \
    X(import, "debates held elsewhere as debate records")                                                              \
    X(select, "training traces from debates")                                                                          \
    X(prm, "train a process reward model on labelled steps")                                                           \
    X(score, "score the steps of solutions with a reward model, and measure the scores")                               \
    X(grpo, "reinforce a policy on questions with known answers")                                                      \
    X(eval, "put questions to a model and grade its answers; compare evaluations")                                     \
    X(grade, "grade outputs that were made elsewhere")                                                                 \
    X(quantize, "rewrite a model's weights in another format")                                                         \
    X(tokenizer, "learn a byte-level BPE vocabulary from text")                                                        \
    X(init, "make a model of a given shape with random weights")                                                       \
    X(sft, "fine-tune on records: a LoRA adapter, or all weights")                                                     \
    X(merge, "fold an adapter into the weights")                                                                       \
    X(export, "write an adapter as a PEFT folder or a GGUF")                                                           \
    X(distill, "the whole loop: debate, select, fine-tune, reward model, reinforce, evaluate")                         \
    X(demo, "distill on the small models and questions that come with the project")                                    \
    X(bench, "speed of prompts and decoding, and its share of what the machine can do")

#define DECLARE_COMMAND(name, help) int cmd_##name(int argc, char **argv);
COMMANDS(DECLARE_COMMAND)
#undef DECLARE_COMMAND

/* Prints "arklet: <message>" on standard error and returns the exit code for it: 1, or 130 when the user
 * interrupted the work, as shells expect. */
int cmd_fail(const struct diag *diag);

#endif
