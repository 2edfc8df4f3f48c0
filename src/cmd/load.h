/* load.h - what every command that runs a model does first: threads, kernels, the model, the memory that it may take.
 *
 * The flags are those of args_model and args_common (args.h). The functions report their own failures in one line on
 * standard error and return the exit code, or -1 when the command is to go on. */
#ifndef ARKLET_LOAD_H
#define ARKLET_LOAD_H

#include <stddef.h>
#include "args.h"
#include "dtype.h"
#include "exec.h"
#include "model.h"

struct memory_plan; /* memory_plan.h */

/* Start from {0}; free with load_free in every case. */
struct load {
    int quiet, verbose;
    struct exec exec;
    struct model *model;
    size_t context; /* -c, or the trained length */
    enum dtype k_type, v_type;
    const char *limit_text;                /* --mem-limit as given, NULL: none */
    size_t mem_limit;                      /* bytes; 0: none */
    struct adapter **loaded;               /* --lora, NULL: none */
    const struct adapter *const *adapters; /* the same, for readers */
    size_t n_adapters;
    int shares_exec; /* threads and kernels belong to another load */
};

/* Threads and kernels alone. */
int load_exec(struct load *load, const struct args *args);
/* load_exec and the model; `context` is used when -c is not given, 0: the trained length. Warns above that. */
int load_model(struct load *load, const struct args *args, size_t context);
/* A further model from `path`, with the threads, kernels and flags of `first`, which must outlive it; mem_limit (0:
 * none) is what it may take. Without adapters. */
int load_another(struct load *load, const struct load *first, const struct args *args, const char *path,
                 size_t mem_limit);
/* An adapter of the load's model from "FILE[:SCALE]". */
int load_adapter(struct adapter **adapter, const struct load *load, const char *text);
/* The reward model of --prm, which the caller frees; *beta: of an implicit one, 0: it has a head. */
int load_prm(struct adapter **adapter, double *beta, const struct model *model, const struct args *args);
void load_free(struct load *load);

size_t load_adapter_bytes(const struct load *load); /* of --lora */
/* What the load's model takes in memory with so much work (memory_plan.h). */
struct memory_plan load_plan(const struct load *load, size_t work);
/* Prints "<command>: <what>memory 412.3 MB = ..." unless quiet, and compares it with --mem-limit; a failure tells what
 * would take less. */
int load_check_plan(const struct load *load, const char *command, const char *what, const struct memory_plan *plan,
                    const char *advice);

/* Bytes of work memory (cache, workspace) that the command needs for a context. */
typedef size_t load_bytes(const void *user, size_t context);
/* Compares the weights and bytes(user, context) with --mem-limit; a failure names the largest -c that would fit, if
 * any. Prints the plan with -v. */
int load_check_memory(const struct load *load, size_t context, load_bytes *bytes, const void *user);

#endif
