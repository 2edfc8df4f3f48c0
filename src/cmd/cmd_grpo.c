/* cmd_grpo.c - arklet grpo: reinforcement of a LoRA policy on questions with known answers. */
#include <math.h>
#include <stdio.h>
#include <string.h>
#include "adapter_file.h"
#include "args.h"
#include "ask_flags.h"
#include "cmd.h"
#include "grpo_questions.h"
#include "load.h"
#include "memory_plan.h"
#include "terminal.h"
#include "train_flags.h"

static const struct arg own_flags[] = {
    {.name = "file",
     .alias = "-f",
     .kind = ARG_TEXT,
     .value = "QUESTIONS",
     .required = 1,
     .help = "questions with answers"},
    {.name = "output", .alias = "-o", .kind = ARG_TEXT, .value = "DIR", .required = 1, .help = "run folder"},
    {.name = "prm", .kind = ARG_TEXT, .value = "DIR", .help = "reward model (arklet prm)"},
    {.name = "prm-model",
     .kind = ARG_TEXT,
     .value = "M",
     .help = "its base, with the policy's vocabulary; default: the policy's"},
    {.name = "kind", .kind = ARG_CHOICE, .value = "KIND", .choices = ANSWER_KINDS, .help = "kind of all questions"},
    {.name = "mode",
     .kind = ARG_CHOICE,
     .value = "M",
     .otherwise = "pad",
     .choices = "pad|pure|grpo",
     .help = "which advantages and loss"},
    {.name = "credit",
     .kind = ARG_CHOICE,
     .value = "C",
     .otherwise = "softmin",
     .choices = "softmin|vppo|sum|outcome",
     .help = "pad: how step scores become rewards"},
    {.name = "wrong-below",
     .kind = ARG_FLOAT,
     .value = "X",
     .otherwise = "0",
     .low = -1,
     .high = 1,
     .help = "vppo: a step is wrong when its score is below (see best_threshold of arklet score)"},
    {.name = "loss",
     .kind = ARG_CHOICE,
     .value = "L",
     .otherwise = "constant",
     .choices = "constant|sample|dapo",
     .help = "pad: divide by samples x max-new, by samples and tokens of each, by all tokens"},
    {.name = "truncated",
     .kind = ARG_CHOICE,
     .value = "T",
     .otherwise = "mask",
     .choices = "mask|penalise|keep",
     .help = "samples that hit the token limit"},
    {.name = "group",
     .kind = ARG_INT,
     .value = "N",
     .otherwise = "8",
     .low = 2,
     .high = 1024,
     .help = "samples a prompt"},
    {.name = "prompts",
     .kind = ARG_INT,
     .value = "N",
     .otherwise = "8",
     .low = 1,
     .high = 4096,
     .help = "prompts a step"},
    {.name = "steps", .kind = ARG_INT, .value = "N", .otherwise = "100", .low = 1, .high = 1e9, .help = "steps"},
    {.name = "epochs",
     .kind = ARG_FLOAT,
     .value = "N",
     .low = 0.001,
     .high = 1e6,
     .help = "as many steps as N passes have questions, instead of --steps (replaced groups not counted)"},
    {.name = "max-len",
     .kind = ARG_INT,
     .value = "N",
     .otherwise = "0",
     .low = 0,
     .high = 1048576,
     .help = "tokens of a prompt with its answer; longer questions are left out (0: all must fit)"},
    {.name = "max-new",
     .kind = ARG_INT,
     .value = "N",
     .otherwise = "256",
     .low = 1,
     .high = 1048576,
     .help = "tokens of a sample at most"},
    {.name = "temp",
     .kind = ARG_FLOAT,
     .value = "X",
     .otherwise = "1",
     .low = 0.01,
     .high = 10,
     .help = "sampling temperature, also of the log-probabilities"},
    {.name = "lambda-v",
     .kind = ARG_FLOAT,
     .value = "X",
     .otherwise = ARGS_TEXT(REWARD_LAMBDA_V),
     .low = 0,
     .high = 1000,
     .help = "weight of the answer check"},
    {.name = "lambda-p",
     .kind = ARG_FLOAT,
     .value = "X",
     .otherwise = ARGS_TEXT(REWARD_LAMBDA_P),
     .low = 0,
     .high = 1000,
     .help = "weight of the step rewards"},
    {.name = "kl-beta",
     .kind = ARG_FLOAT,
     .value = "X",
     .otherwise = "0",
     .low = 0,
     .high = 100,
     .help = "weight of the KL to the base (k3); --mode pure: of the log-ratio, 0.001 unless given"},
    {.name = "kl-corrected", .kind = ARG_FLAG, .help = "the KL times the ratio (TRL's use_bias_correction_kl)"},
    {.name = "clip-eps",
     .kind = ARG_FLOAT,
     .value = "X",
     .otherwise = ARGS_TEXT(GRPO_CLIP_EPS),
     .low = 0,
     .high = 10,
     .help = "clip of the ratio below"},
    {.name = "clip-eps-high",
     .kind = ARG_FLOAT,
     .value = "X",
     .otherwise = ARGS_TEXT(GRPO_CLIP_EPS_HIGH),
     .low = 0,
     .high = 10,
     .help = "clip of the ratio above"},
    {.name = "updates-per-rollout",
     .kind = ARG_INT,
     .value = "N",
     .otherwise = "1",
     .low = 1,
     .high = 64,
     .help = "updates on the same samples"},
    {.name = "resample",
     .kind = ARG_INT,
     .value = "N",
     .otherwise = ARGS_TEXT(GRPO_RESAMPLE),
     .low = 0,
     .high = 64,
     .help = "replace groups without signal so many times"},
    {.name = "batch",
     .alias = "-b",
     .kind = ARG_INT,
     .value = "N",
     .otherwise = "64",
     .low = 1,
     .high = 4096,
     .help = "sequences that decode together"},
    {.name = "micro-tokens",
     .kind = ARG_INT,
     .value = "N",
     .otherwise = "1024",
     .low = 16,
     .high = 1048576,
     .help = "tokens that go back through the model at once"},
    {.name = "patience",
     .kind = ARG_INT,
     .value = "N",
     .otherwise = "0",
     .low = 0,
     .high = 1e9,
     .help = "stop after so many evaluations without improvement"},
    {.name = "chat-template", .kind = ARG_TEXT, .value = "NAME", .help = "default: the model's own"},
    {.name = "plain", .kind = ARG_FLAG, .help = "plain text prompts"},
    {.name = "system", .kind = ARG_TEXT, .value = "TEXT", .help = "system message"},
    {.name = NULL},
};

static const struct arg *const groups[] = {own_flags, args_train, args_model, args_common, NULL};

static const struct args_spec spec = {
    .command = "grpo",
    .about =
        "Samples groups of answers, checks them against the gold answers (and scores their steps with --prm), and "
        "moves\n"
        "the policy towards the better ones. The policy is the adapter of --lora, or a fresh one; the reference is "
        "the\n"
        "model without it. --mode pad is strictly on-policy; pure and grpo are the published forms. With --dev the\n"
        "adapter with the best greedy accuracy there is kept. A run that was stopped goes on with --resume.",
    .groups = groups,
};

struct grpo_command {
    struct args args;
    struct load load;
    struct adapter *policy, *prm;
    struct model *prm_model;
    struct chat_template chat;
    struct grpo_questions questions;
    struct grpo_options options;
    struct buffer config;
    struct progress progress;
};

static int read_questions(struct grpo_command *c, struct grpo_task_list *list, const char *path)
{
    struct diag diag;

    return grpo_questions_read(&c->questions, list, path, args_text(&c->args, "kind"), &diag) ? cmd_fail(&diag) : -1;
}

/* ---- Set-up ---- */

/* The two models see the same token ids, so these must mean the same to both. */
static int load_prm_model(struct grpo_command *c, const char *path)
{
    const struct tokenizer *a = c->load.model->tokenizer, *b;
    size_t i, n, m;
    struct diag diag;

    if (model_load(&c->prm_model, path, &c->load.exec, c->load.mem_limit, &diag))
        return cmd_fail(&diag);
    b = c->prm_model->tokenizer;
    for (i = 0; a && b && i < tokenizer_vocab_size(a) && i < tokenizer_vocab_size(b); i++) {
        const char *left = tokenizer_piece(a, (int32_t)i, &n), *right = tokenizer_piece(b, (int32_t)i, &m);

        if (n != m || memcmp(left, right, n) != 0)
            break;
    }
    if (!a || !b || i < tokenizer_vocab_size(a) || i < tokenizer_vocab_size(b)) {
        fprintf(stderr, "arklet grpo: --prm-model %s: expected the policy's vocabulary, found another (token %zu)\n",
                path, i);
        return 1;
    }
    c->options.prm_model = c->prm_model;
    return -1;
}

/* Several policies, and what is of no use without a reward model. */
static int check_flags(const struct args *args)
{
    const char *credit = args_text(args, "credit"), *problem = NULL;

    if (args_count(args, "lora") > 1)
        problem = "--lora: one policy can be trained, not several";
    else if (args_text(args, "prm"))
        return -1;
    else if (strcmp(args_text(args, "mode"), "grpo") == 0)
        problem = "--mode grpo: its reward is the mean score of the steps: expected --prm";
    else if (args_text(args, "prm-model"))
        problem = "--prm-model: the base of a reward model: expected --prm";
    else if (args_is_given(args, "credit") && strcmp(credit, "outcome") != 0)
        problem = "--credit: how step scores are rewarded: expected --prm";
    if (!problem)
        return -1;
    fprintf(stderr, "arklet grpo: %s\n", problem);
    return 2;
}

static int prepare_adapters(struct grpo_command *c)
{
    const char *prm = args_text(&c->args, "prm"), *judge = args_text(&c->args, "prm-model");
    struct adapter_shape shape;
    struct diag diag;
    int code;

    if (c->load.n_adapters == 1) {
        c->policy = c->load.loaded[0];
        code = train_no_shape(&c->args);
        if (code >= 0)
            return code;
    } else {
        code = train_shape(&shape, &c->args);
        if (code >= 0)
            return code;
        if (adapter_create(&c->policy, c->load.model, &shape, &diag))
            return cmd_fail(&diag);
        adapter_init(c->policy, (uint64_t)args_int(&c->args, "seed"));
    }
    /* Not the adapter's own: a ratio of exactly 1 in on-policy updates is given up only when it is asked for. */
    c->policy->dropout = (float)args_float(&c->args, "lora-dropout");
    if (judge) {
        code = load_prm_model(c, judge);
        if (code >= 0)
            return code;
    }
    return prm ? load_prm(&c->prm, &c->options.prm_beta, judge ? c->prm_model : c->load.model, &c->args) : -1;
}

static int check_lengths(struct grpo_command *c)
{
    const struct grpo_task_list *train = &c->questions.train, *dev = &c->questions.dev;
    const struct grpo_task_list *longer = dev->longest > train->longest ? dev : train;
    size_t prompt = longer->longest;

    c->options.context = prompt + c->options.max_new;
    if (c->options.context > c->load.context) {
        fprintf(
            stderr,
            "arklet grpo: %s:%llu: the longest prompt takes %zu tokens; with --max-new %zu that passes the context of "
            "%zu\n",
            args_text(&c->args, longer == dev ? "dev" : "file"), (unsigned long long)longer->longest_line, prompt,
            c->options.max_new, c->load.context);
        return 1;
    }
    if (c->options.backward.max_tokens < c->options.context)
        c->options.backward.max_tokens = c->options.context;
    return -1;
}

/* --epochs in steps of --prompts questions. */
static int set_steps(struct grpo_command *c)
{
    double n = (double)c->questions.train.n * args_float(&c->args, "epochs") / (double)c->options.prompts;

    if (args_is_given(&c->args, "steps")) {
        fprintf(stderr, "arklet grpo: --epochs and --steps: expected one of them\n");
        return 2;
    }
    c->options.run.total_steps = (uint64_t)ceil(n);
    return -1;
}

/* What a question's prompt may take. */
static int limit_prompts(struct grpo_command *c)
{
    size_t max_len = (size_t)args_int(&c->args, "max-len"), max_new = (size_t)args_int(&c->args, "max-new");

    if (max_len && max_len <= max_new) {
        fprintf(stderr, "arklet grpo: --max-len: expected more than --max-new (%zu), found %zu\n", max_new, max_len);
        return 2;
    }
    c->questions.longest = max_len ? max_len - max_new : 0;
    return -1;
}

static int choice(const struct args *args, const char *name, const char *const *words)
{
    int i;

    for (i = 0; words[i]; i++)
        if (strcmp(args_text(args, name), words[i]) == 0)
            return i;
    return 0;
}

static int read_options(struct grpo_command *c)
{
    static const char *const modes[] = {"pad", "pure", "grpo", NULL}, *const losses[] = {"constant", "sample", "dapo",
                                                                                         NULL};
    static const char *const truncations[] = {"mask", "penalise", "keep", NULL};
    static const char *const credits[] = {"softmin", "vppo", "sum", "outcome", NULL};
    struct grpo_options *o = &c->options;
    const struct args *args = &c->args;

    o->mode = (enum grpo_mode)choice(args, "mode", modes);
    o->loss = (enum grpo_loss)choice(args, "loss", losses);
    o->truncated = (enum grpo_truncated)choice(args, "truncated", truncations);
    o->pad.credit = c->prm ? (enum reward_credit)choice(args, "credit", credits) : CREDIT_OUTCOME;
    o->pad.temperature = o->pure.temperature = REWARD_TEMPERATURE;
    o->pad.lambda_v = o->pure.lambda = args_float(args, "lambda-v");
    o->pad.lambda_p = args_float(args, "lambda-p");
    o->pad.wrong_below = args_float(args, "wrong-below");
    o->kl_beta = args_float(args, "kl-beta");
    o->pure.beta = args_is_given(args, "kl-beta") ? o->kl_beta : 0.001;
    o->kl_corrected = args_flag(args, "kl-corrected");
    o->group = (size_t)args_int(args, "group");
    o->prompts = (size_t)args_int(args, "prompts");
    o->max_new = (size_t)args_int(args, "max-new");
    o->temperature = args_float(args, "temp");
    o->clip_eps = args_float(args, "clip-eps");
    o->clip_eps_high = args_float(args, "clip-eps-high");
    o->updates_per_rollout = (size_t)args_int(args, "updates-per-rollout");
    o->resample = (size_t)args_int(args, "resample");
    o->max_sequences = (size_t)args_int(args, "batch");
    o->tokenizer = c->questions.style.tokenizer;
    c->questions.max_new = o->max_new;
    c->questions.policy = c->policy;
    o->prm = c->prm;
    o->backward.max_tokens = (size_t)args_int(args, "micro-tokens");
    o->backward.head_rows = BACKWARD_HEAD_ROWS;
    o->backward.k_type = c->load.k_type;
    o->backward.v_type = c->load.v_type;
    train_options(&o->train, args);
    o->run.data_hash = c->questions.train.hash ^ c->questions.dev.hash * 3;
    o->run.total_steps = (uint64_t)args_int(args, "steps");
    return train_run_flags(&o->run, args, &c->config, &c->progress);
}

/* The engines get as many sequences as fit beside everything else. */
static int plan_memory(struct grpo_command *c, struct engine_options *dev)
{
    struct engine_options engine = {.context = c->options.context, .chunk = 256};
    struct memory_plan_grpo all = {.options = &c->options, .policy = &c->policy->shape};
    struct memory_plan plan = load_plan(&c->load, 0);
    size_t together = c->options.prompts * c->options.group;
    char what[128];

    engine.k_type = c->load.k_type;
    engine.v_type = c->load.v_type;
    all.tasks = c->questions.arena.used;
    if (c->prm)
        all.prm = &c->prm->shape;
    if (c->prm_model) {
        all.judge = &c->prm_model->config;
        plan.weights += c->prm_model->weight_bytes;
        plan.aside += tokenizer_bytes(c->prm_model->tokenizer);
    }
    all.rollouts = all.dev = engine;
    all.rollouts.max_sequences = c->options.max_sequences < together ? c->options.max_sequences : together;
    all.dev.max_sequences =
        c->options.max_sequences < c->questions.dev.n ? c->options.max_sequences : c->questions.dev.n;
    plan.work =
        memory_plan_grpo(&all, &c->load.model->config, &c->load.exec, memory_plan_total(&plan), c->load.mem_limit);
    c->options.max_sequences = all.rollouts.max_sequences;
    *dev = all.dev;
    snprintf(what, sizeof what, "%zu parameters in training, %zu sequences; ", c->policy->n_params,
             all.rollouts.max_sequences);
    return load_check_plan(&c->load, "grpo", what, &plan, "a smaller --max-new, --micro-tokens or model would fit");
}

static int open_dev_engine(struct grpo_command *c, const struct engine_options *options)
{
    struct diag diag;

    return c->questions.dev.n && engine_create(&c->questions.dev_engine, c->load.model, &c->load.exec, options, &diag)
               ? cmd_fail(&diag)
               : -1;
}

static void print_summary(const struct args *args, const struct grpo_result *r)
{
    if (!train_print_steps(args, r->steps, r->engine.requests > 0))
        return;
    printf("reward %.6f\naccuracy %.4f\n", r->reward, r->accuracy);
    if (!isnan(r->best))
        printf("dev_accuracy %.4f\nbest_step %llu\n", r->best, (unsigned long long)r->best_step);
    printf("samples_per_second %.4g\nrollout_seconds %.2f\nscore_seconds %.2f\ntrain_seconds %.2f\n",
           (double)r->engine.requests / r->seconds, r->rollout_seconds, r->score_seconds, r->train_seconds);
}

static int reinforce(struct grpo_command *c)
{
    struct grpo_tasks tasks = grpo_questions_tasks(&c->questions);
    struct grpo_result result;
    struct diag diag;
    enum status status;

    terminal_prepare();
    terminal_progress(&c->progress, c->load.quiet);
    progress_begin(&c->progress, "grpo", "tok/s");
    status = grpo_run(c->load.model, c->policy, &c->load.exec, &tasks, &c->options, &result, &diag);
    progress_end(&c->progress, result.steps, result.steps, (double)result.tokens, status ? "stopped" : "done");
    if (!status)
        status = adapter_save(c->policy, c->load.model, c->options.run.output, &diag);
    if (status)
        return cmd_fail(&diag);
    print_summary(&c->args, &result);
    return 0;
}

static int prepare(struct grpo_command *c)
{
    struct engine_options dev_engine;
    const char *dev;
    int code = check_flags(&c->args);

    if (code < 0)
        code = load_model(&c->load, &c->args, 0);
    if (code < 0)
        code = prepare_adapters(c);
    if (code < 0)
        code = ask_style(&c->questions.style, &c->chat, &c->load, &c->args);
    if (code < 0)
        code = limit_prompts(c);
    if (code < 0)
        code = read_questions(c, &c->questions.train, args_text(&c->args, "file"));
    dev = code < 0 ? args_text(&c->args, "dev") : NULL;
    if (code < 0 && dev)
        code = read_questions(c, &c->questions.dev, dev);
    if (code < 0)
        code = read_options(c);
    if (code < 0)
        code = check_lengths(c);
    if (code < 0 && c->questions.train.n_dropped + c->questions.dev.n_dropped)
        fprintf(stderr, "arklet grpo: note: %zu questions are longer than --max-len allows and are left out\n",
                c->questions.train.n_dropped + c->questions.dev.n_dropped);
    if (code < 0 && args_is_given(&c->args, "epochs")) {
        code = set_steps(c);
    }
    if (code < 0)
        code = plan_memory(c, &dev_engine);
    if (code < 0)
        code = open_dev_engine(c, &dev_engine);
    return code < 0 ? train_folder(&c->args, c->options.run.output) : code;
}

int cmd_grpo(int argc, char **argv)
{
    struct grpo_command c;
    int code;

    memset(&c, 0, sizeof c);
    code = args_parse(&c.args, &spec, argc, argv);
    if (code < 0)
        code = prepare(&c);
    if (code < 0)
        code = reinforce(&c);
    engine_free(c.questions.dev_engine);
    if (c.policy && !c.load.n_adapters)
        adapter_free(c.policy);
    adapter_free(c.prm);
    model_free(c.prm_model);
    grpo_questions_free(&c.questions);
    buffer_free(&c.config);
    load_free(&c.load);
    args_free(&c.args);
    return code;
}
