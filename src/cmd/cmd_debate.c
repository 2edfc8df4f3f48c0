/* cmd_debate.c - arklet debate: several agents answer questions in rounds; every turn is recorded. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "args.h"
#include "ask_flags.h"
#include "cmd.h"
#include "debate.h"
#include "load.h"
#include "terminal.h"

static const struct arg own_flags[] = {
    {.name = "agents",
     .alias = "-n",
     .kind = ARG_INT,
     .value = "N",
     .otherwise = "5",
     .low = 1,
     .high = DEBATE_MAX_AGENTS,
     .help = "agents of the model"},
    {.name = "rounds",
     .kind = ARG_INT,
     .value = "K",
     .otherwise = "3",
     .low = 1,
     .high = DEBATE_MAX_ROUNDS,
     .help = "rounds, the first answers included"},
    {.name = "agent",
     .kind = ARG_LIST,
     .value = "SPEC",
     .help = "one agent each: temp=X,persona=TEXT (persona last); replaces --agents"},
    {.name = "no-early-stop", .kind = ARG_FLAG, .help = "hold all rounds also when all answers agree"},
    {.name = "skip-unanimous",
     .kind = ARG_FLAG,
     .help = "further rounds only for questions whose first answers differ"},
    {.name = "critique", .kind = ARG_FLAG, .help = "agents first name the first wrong step of each other solution"},
    {.name = "aggregate",
     .kind = ARG_CHOICE,
     .value = "HOW",
     .otherwise = "vote",
     .choices = "vote|llm",
     .help = "majority of the answers, or one more call"},
    {.name = "window",
     .kind = ARG_INT,
     .value = "N",
     .otherwise = "32",
     .low = 1,
     .high = 65536,
     .help = "questions in work at once"},
    {.name = NULL},
};

static const struct arg *const groups[] = {args_ask, own_flags, args_model, args_sampling, args_common, NULL};

static const struct args_spec spec = {
    .command = "debate",
    .about =
        "Agents answer every question alone, then read all answers of the last round and answer again. A record a\n"
        "question holds every turn with its parsed answer, correctness, token count and mean log-probability, and\n"
        "the vote. A run that was stopped goes on when the same command is given again. The summary on standard\n"
        "output compares single answers, rounds and votes.",
    .groups = groups,
};

struct debate_command {
    struct args args;
    struct load load;
    struct chat_template chat;
    struct debate_speaker speaker;
    struct debate_agent agents[DEBATE_MAX_AGENTS];
    struct debate_options options;
    struct question_options questions;
    struct prompt_style style;
    struct progress progress;
};

static int bad_agent(const char *text)
{
    fprintf(stderr, "arklet debate: --agent: expected temp=X,persona=TEXT (each optional, persona last), found '%s'\n",
            text);
    return 2;
}

/* temp=0.7,persona=You are careful. */
static int read_agent(struct debate_command *c, struct debate_agent *agent, const char *text)
{
    const char *at = text;
    char *end;

    while (*at) {
        if (strncmp(at, "persona=", 8) == 0) {
            agent->style.system = at + 8;
            return -1;
        }
        if (strncmp(at, "temp=", 5) != 0)
            return bad_agent(text);
        agent->temperature = (float)strtod(at + 5, &end);
        if (end == at + 5 || !(agent->temperature >= 0 && agent->temperature <= 100) || (*end && *end != ','))
            return bad_agent(text);
        at = end + (*end == ',');
    }
    (void)c;
    return -1;
}

static int read_agents(struct debate_command *c)
{
    size_t n = args_count(&c->args, "agent"), i;
    int code = -1;

    c->options.n_agents = n ? n : (size_t)args_int(&c->args, "agents");
    if (n > DEBATE_MAX_AGENTS) {
        fprintf(stderr, "arklet debate: --agent: expected at most %d agents, found %zu\n", DEBATE_MAX_AGENTS, n);
        return 2;
    }
    for (i = 0; i < c->options.n_agents && code < 0; i++) {
        struct debate_agent *agent = &c->agents[i];

        agent->speaker = &c->speaker;
        agent->style = c->style;
        agent->style.critique = args_flag(&c->args, "critique");
        agent->adapters = c->load.adapters;
        agent->n_adapters = c->load.n_adapters;
        agent->temperature = (float)args_float(&c->args, "temp");
        if (n)
            code = read_agent(c, agent, args_item(&c->args, "agent", i));
    }
    return code;
}

static void read_options(struct debate_command *c)
{
    struct debate_options *o = &c->options;
    const struct args *args = &c->args;

    o->agents = c->agents;
    o->rounds = (size_t)args_int(args, "rounds");
    o->max_new = (size_t)args_int(args, "max-new");
    o->top_k = (int)args_int(args, "top-k");
    o->top_p = (float)args_float(args, "top-p");
    o->min_p = (float)args_float(args, "min-p");
    o->seed = (uint64_t)args_int(args, "seed");
    o->window = (size_t)args_int(args, "window");
    o->early_stop = !args_flag(args, "no-early-stop");
    o->skip_unanimous = args_flag(args, "skip-unanimous");
    o->aggregate_llm = strcmp(args_text(args, "aggregate"), "llm") == 0;
    o->model_name = c->load.model->name ? c->load.model->name : c->load.model->path;
    o->progress = &c->progress;
    o->stop = terminal_interrupted;
}

static void print_share(const char *name, uint64_t hits, uint64_t n)
{
    if (n)
        printf("%s %.4f %llu\n", name, (double)hits / (double)n, (unsigned long long)n);
}

static void print_summary(const struct debate_command *c, const struct debate_summary *s)
{
    struct engine_statistics e = engine_statistics(c->speaker.engine);
    char name[32];
    size_t r;

    if (strcmp(args_text(&c->args, "output"), "-") == 0)
        return;
    printf("questions %llu\n", (unsigned long long)s->questions);
    for (r = 0; r < c->options.rounds; r++) {
        snprintf(name, sizeof name, r ? "mean_agent_round_%zu" : "single", r);
        print_share(name, s->right_per_round[r], s->turns_per_round[r]);
    }
    print_share("vote_first_round", s->vote_first, s->with_gold);
    print_share("vote", s->vote_last, s->with_gold);
    printf("wrong_to_right %llu\nright_to_wrong %llu\n", (unsigned long long)s->wrong_to_right,
           (unsigned long long)s->right_to_wrong);
    printf("tokens %llu\nprompt_tokens_computed %llu\nprompt_tokens_shared %llu\nseconds %.1f\n",
           (unsigned long long)s->tokens, (unsigned long long)e.computed_tokens, (unsigned long long)e.shared_tokens,
           s->seconds);
    if (s->shortened)
        fprintf(stderr, "arklet debate: warning: %llu prompts were too long; their solutions were cut to their ends\n",
                (unsigned long long)s->shortened);
}

static int hold(struct debate_command *c)
{
    struct question_reader questions;
    struct file_stream out;
    struct debate_summary summary;
    struct diag diag;
    const char *path = args_text(&c->args, "output");
    enum status status = question_open(&questions, args_text(&c->args, "file"), &c->questions, &diag), closed;

    if (status)
        return cmd_fail(&diag);
    status = file_stream_open(&out, path, 1, &diag);
    if (!status) {
        terminal_prepare();
        terminal_progress(&c->progress, c->load.quiet);
        progress_begin(&c->progress, "debate", "tok/s");
        status = debate_run(&c->options, &questions, &out, &summary, &diag);
        closed = file_stream_close(&out, status ? NULL : &diag);
        status = status ? status : closed;
        progress_end(&c->progress, summary.questions, summary.questions, (double)summary.tokens,
                     status ? "stopped" : "done");
    }
    if (!status && questions.records.n_skipped)
        fprintf(stderr, "arklet debate: warning: %llu bad records were skipped, the first: %s\n",
                (unsigned long long)questions.records.n_skipped, questions.records.first_skip.message);
    question_close(&questions);
    if (status)
        return cmd_fail(&diag);
    print_summary(c, &summary);
    return 0;
}

int cmd_debate(int argc, char **argv)
{
    struct debate_command *c = memory_alloc(sizeof *c);
    int code;

    if (!c) {
        fprintf(stderr, "arklet debate: out of memory\n");
        return 1;
    }
    memset(c, 0, sizeof *c);
    code = args_parse(&c->args, &spec, argc, argv);
    if (code < 0)
        code = load_model(&c->load, &c->args, 0);
    if (code < 0)
        code = ask_questions(&c->questions, &c->args, 0);
    if (code < 0)
        code = ask_style(&c->style, &c->chat, &c->load, &c->args);
    if (code < 0)
        code = read_agents(c);
    if (code < 0) {
        read_options(c);
        c->speaker.model = c->load.model;
        c->speaker.context = ask_context(&c->load, &c->args);
        code = ask_engine(&c->speaker.engine, &c->load, &c->args, c->speaker.context);
    }
    if (code < 0)
        code = ask_count_records(&c->options.skip, args_text(&c->args, "output"));
    if (code < 0)
        code = hold(c);
    engine_free(c->speaker.engine);
    load_free(&c->load);
    args_free(&c->args);
    memory_free(c);
    return code;
}
