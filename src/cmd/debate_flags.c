/* debate_flags.c - agents from flags.
 *
 *   --agents 5                                          five of -m, its adapters, --temp
 *   --agent model=FILE,lora=FILE,temp=X,persona=TEXT    one each; what is left out is as above
 *
 * A model that several agents name is loaded once, has one engine, and decodes for all of them together. */
#include "debate_flags.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "adapter.h"
#include "cmd.h"
#include "memory_plan.h"

const struct arg args_debate[] = {
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
     .help = "one agent each instead of --agents: model=FILE,lora=FILE,temp=X,persona=TEXT (persona last)"},
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
     .help = "majority of the answers, or one more call of agent 1"},
    {.name = "window",
     .kind = ARG_INT,
     .value = "N",
     .otherwise = "32",
     .low = 1,
     .high = 65536,
     .help = "questions in work at once"},
    {.name = NULL},
};

static int bad_agent(const struct team *t, const char *text)
{
    fprintf(
        stderr,
        "arklet %s: --agent: expected model=FILE,lora=FILE,temp=X,persona=TEXT (each optional, persona last), found "
        "'%s'\n",
        t->args->spec->command, text);
    return 2;
}

static int no_memory(const struct team *t)
{
    fprintf(stderr, "arklet %s: out of memory\n", t->args->spec->command);
    return 1;
}

/* ---- Models and adapters, each once ---- */

static size_t weight_bytes(const struct team *t)
{
    size_t i, n = 0;

    for (i = 0; i < t->n_models; i++)
        n += t->models[i].load->model->weight_bytes;
    return n;
}

/* The team's model of this path; NULL is that of -m. */
static int find_model(struct team *t, const char *path, struct team_model **found)
{
    const char *wanted = path ? path : args_text(t->args, "model");
    size_t i, used = weight_bytes(t), limit = t->first->mem_limit;
    int code = -1;

    for (i = 0; i < t->n_models; i++)
        if (strcmp(t->models[i].path, wanted) == 0) {
            *found = &t->models[i];
            return -1;
        }
    *found = &t->models[t->n_models];
    (*found)->path = wanted;
    (*found)->load = &(*found)->own;
    if (t->first->model && args_text(t->args, "model") && strcmp(wanted, args_text(t->args, "model")) == 0)
        (*found)->load = t->first;
    else
        code = load_another(&(*found)->own, t->first, t->args, wanted, limit > used ? limit - used : limit ? 1 : 0);
    if (code < 0)
        code = ask_style(&(*found)->style, &(*found)->chat, (*found)->load, t->args);
    (*found)->speaker.model = (*found)->load->model;
    t->n_models += (*found)->load->model != NULL;
    return code;
}

static int find_adapter(struct team *t, const char *text, const struct team_model *model, const char **name,
                        const struct adapter **found)
{
    struct team_adapter *a;
    size_t i;
    int code;

    for (i = 0; i < t->n_adapters; i++) {
        a = &t->adapters[i];
        if (a->model == model && strcmp(a->text, text) == 0) {
            *found = a->adapter;
            *name = a->text;
            return -1;
        }
    }
    a = &t->adapters[t->n_adapters];
    code = load_adapter(&a->adapter, model->load, text);
    a->text = *name = text;
    a->model = model;
    *found = a->adapter;
    t->n_adapters += code < 0;
    return code;
}

/* ---- One agent ---- */

struct agent_spec {
    const char *model, *lora, *persona;
    double temperature; /* negative: as --temp says */
};

/* model=FILE,lora=FILE,temp=0.7,persona=You are careful, always. */
static int read_spec(struct team *t, struct agent_spec *spec, const char *text)
{
    const char *at = text;

    memset(spec, 0, sizeof *spec);
    spec->temperature = -1;
    while (*at) {
        size_t n = strcspn(at, ",");
        char *end, *value = strchr(at, '=');
        const char **field = strncmp(at, "model=", 6) == 0  ? &spec->model
                             : strncmp(at, "lora=", 5) == 0 ? &spec->lora
                                                            : NULL;

        if (strncmp(at, "persona=", 8) == 0) {
            spec->persona = at + 8;
            return -1;
        }
        if (field) {
            *field = arena_text(&t->arena, value + 1, n - (size_t)(value + 1 - at));
            if (!*field)
                return no_memory(t);
        } else {
            spec->temperature = strncmp(at, "temp=", 5) == 0 ? strtod(at + 5, &end) : -1;
            if (!(spec->temperature >= 0 && spec->temperature <= 1000) || end == at + 5 || end != at + n)
                return bad_agent(t, text);
        }
        at += n + (at[n] == ',');
    }
    return -1;
}

static int open_agent(struct team *t, size_t i, const struct agent_spec *spec)
{
    struct debate_agent *agent = &t->agents[i];
    struct team_model *model = NULL;
    int code;

    if (!spec->model && !args_text(t->args, "model")) {
        fprintf(stderr, "arklet %s: agent %zu has no model: expected -m, or model= in its --agent\n",
                t->args->spec->command, i + 1);
        return 2;
    }
    code = find_model(t, spec->model, &model);
    if (code >= 0)
        return code;
    agent->speaker = &model->speaker;
    agent->model_name = model->load->model->name ? model->load->model->name : model->load->model->path;
    agent->style = model->style;
    agent->style.critique = args_flag(t->args, "critique");
    agent->style.system = spec->persona ? spec->persona : agent->style.system;
    agent->temperature = (float)(spec->temperature < 0 ? args_float(t->args, "temp") : spec->temperature);
    if (!spec->lora) {
        agent->adapters = model->load->adapters;
        agent->n_adapters = model->load->n_adapters;
        agent->lora = agent->n_adapters ? args_item(t->args, "lora", 0) : NULL;
        return -1;
    }
    agent->adapters = &t->agent_adapters[i];
    agent->n_adapters = 1;
    return find_adapter(t, spec->lora, model, &agent->lora, &t->agent_adapters[i]);
}

/* ---- All ---- */

/* Beside the cache and work of a model's engine. */
static size_t fixed_bytes(const struct load *load)
{
    struct memory_plan plan = load_plan(load, load_adapter_bytes(load));

    return memory_plan_total(&plan);
}

static int open_engines(struct team *t)
{
    size_t i, used = 0, limit = t->first->mem_limit;
    int code = -1;

    for (i = 0; i < t->n_models; i++)
        used += fixed_bytes(t->models[i].load);
    for (i = 0; i < t->n_adapters; i++)
        used += memory_plan_adapter(&t->adapters[i].model->load->model->config, &t->adapters[i].adapter->shape);

    for (i = 0; i < t->n_models && code < 0; i++) {
        struct load *load = t->models[i].load;

        /* What the weights leave is shared evenly. */
        load->mem_limit = limit ? fixed_bytes(load) + (limit > used ? (limit - used) / t->n_models : 0) : 0;
        t->models[i].speaker.context = ask_context(load, t->args);
        code = ask_engine(&t->models[i].speaker.engine, load, t->args, t->models[i].speaker.context);
    }
    return code;
}

static void read_options(struct team *t)
{
    struct debate_options *o = &t->options;
    const struct args *args = t->args;

    o->agents = t->agents;
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
    o->model_name = t->agents[0].model_name;
}

int team_open(struct team *t, struct load *first, const struct args *args)
{
    size_t n = args_count(args, "agent"), i;
    struct agent_spec spec;
    int code = -1;

    t->args = args;
    t->first = first;
    arena_init(&t->arena, "agents", 0);
    t->options.n_agents = n ? n : (size_t)args_int(args, "agents");
    if (n > DEBATE_MAX_AGENTS) {
        fprintf(stderr, "arklet %s: --agent: expected at most %d agents, found %zu\n", args->spec->command,
                DEBATE_MAX_AGENTS, n);
        return 2;
    }
    for (i = 0; i < t->options.n_agents && code < 0; i++) {
        code = read_spec(t, &spec, n ? args_item(args, "agent", i) : "");
        if (code < 0)
            code = open_agent(t, i, &spec);
    }
    if (code >= 0)
        return code;
    read_options(t);
    return open_engines(t);
}

void team_close(struct team *t)
{
    size_t i;

    for (i = 0; i < t->n_models; i++)
        engine_free(t->models[i].speaker.engine);
    for (i = 0; i < t->n_adapters; i++)
        adapter_free(t->adapters[i].adapter);
    for (i = 0; i < DEBATE_MAX_AGENTS; i++)
        if (t->models[i].own.model)
            load_free(&t->models[i].own);
    if (t->args)
        arena_free(&t->arena);
}

void team_warn(const struct debate_summary *summary, const struct args *args)
{
    if (summary->shortened)
        fprintf(stderr,
                "arklet %s: warning: %llu prompts were too long for the context; the oldest parts of their material "
                "were left away\n",
                args->spec->command, (unsigned long long)summary->shortened);
}
