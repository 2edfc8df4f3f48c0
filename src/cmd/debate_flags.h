/* debate_flags.h - the agents of a debate from flags: how many, which models, adapters, temperatures, personas. */
#ifndef ARKLET_DEBATE_FLAGS_H
#define ARKLET_DEBATE_FLAGS_H

#include "args.h"
#include "ask_flags.h"
#include "debate.h"
#include "load.h"

extern const struct arg args_debate[]; /* --agents --rounds --agent ... */

struct team_model { /* a model that agents speak with */
    const char *path;
    struct load *load; /* `first` of the team, or its own */
    struct load own;
    struct chat_template chat;
    struct prompt_style style;
    struct debate_speaker speaker;
};

struct team_adapter { /* lora=FILE[:SCALE] */
    const char *text; /* as it stands in the specification */
    const struct team_model *model;
    struct adapter *adapter;
};

/* Start from {0}; team_close in every case. Does not move once opened. */
struct team {
    const struct args *args;
    struct load *first;
    struct team_model models[DEBATE_MAX_AGENTS];
    size_t n_models;
    struct team_adapter adapters[DEBATE_MAX_AGENTS];
    size_t n_adapters;
    struct debate_agent agents[DEBATE_MAX_AGENTS];
    const struct adapter *agent_adapters[DEBATE_MAX_AGENTS];
    struct debate_options options; /* but for progress, stop and evaluation */
    struct arena arena;
};

/* Loads what the agents need beside `first`, which holds the model of -m, or threads alone when there is none; makes an
 * engine for every model. Reports in one line and returns an exit code, or -1 to go on. */
int team_open(struct team *team, struct load *first, const struct args *args);
void team_close(struct team *team);
/* A warning about prompts that were shortened. */
void team_warn(const struct debate_summary *summary, const struct args *args);

#endif
