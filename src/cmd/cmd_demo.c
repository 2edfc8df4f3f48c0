/* cmd_demo.c - arklet demo: distill on the models and questions that come with the project, and its results in words.
 */
#include <stdio.h>
#include <string.h>
#include "cmd.h"
#include "distill_command.h"
#include "file.h"

static const struct arg flags[] = {
    {.name = "fixtures",
     .kind = ARG_TEXT,
     .value = "DIR",
     .help = "folder with demo/distill.txt; default: the installed share directory, then ./fixtures"},
    {.name = NULL},
};

static const char about[] =
    "arklet distill on the small models and questions that come with the project: DIR/demo/distill.txt holds its\n"
    "flags, with paths relative to DIR. Flags given here win.";

/* ---- The demo's configuration ---- */

#ifndef ARKLET_SHARE
#define ARKLET_SHARE "/usr/local/share/arklet"
#endif

/* The first folder that has a demo/distill.txt. */
static const char *find_fixtures(const struct args *args, struct buffer *path)
{
    const char *folders[] = {args_text(args, "fixtures"), ARKLET_SHARE, "fixtures"};
    size_t n = folders[0] ? 1 : 3, i;

    for (i = folders[0] ? 0 : 1; i < n; i++) {
        buffer_clear(path);
        buffer_format(path, "%s/demo/distill.txt", folders[i]);
        if (path->data && file_exists(path->data))
            return folders[i];
    }
    return NULL;
}

/* Paths in the file are relative to the folder. */
static int place_paths(struct args *args, size_t from, const char *folder)
{
    static const char *const names[] = {"model", "teacher", "file", "dev", "test", "ood", NULL};

    for (size_t i = from; i < args->n_given; i++)
        for (size_t k = 0; names[k]; k++) {
            struct buffer path = {0};

            if (strcmp(args->given[i].arg->name, names[k]) != 0 || args->given[i].text[0] == '/')
                continue;
            buffer_format(&path, "%s/%s", folder, args->given[i].text);
            args->given[i].text = path.failed ? NULL : arena_text(&args->arena, path.data, path.length);
            buffer_free(&path);
            if (!args->given[i].text)
                return args_out_of_memory();
            break;
        }
    return -1;
}

static int read_fixtures(struct distill_command *c)
{
    struct buffer path = {0};
    const char *folder = find_fixtures(&c->args, &path);
    size_t from = c->args.n_given;
    int code = -1;

    if (!folder) {
        fprintf(stderr, "arklet demo: %s: no such file; expected --fixtures DIR with demo/distill.txt in it\n",
                path.data ? path.data : "demo/distill.txt");
        code = 1;
    }
    if (code < 0)
        code = args_read_config(&c->args, path.data);
    if (code < 0)
        code = place_paths(&c->args, from, folder);
    if (code < 0 && !args_is_given(&c->args, "output"))
        code = args_add(&c->args, args_find(&c->spec, "output", 6, 0), "arklet-demo", 1);
    buffer_free(&path);
    return code;
}

/* ---- The end ---- */

static void put_commands(struct buffer *out, const struct distill_options *o, const struct distill_next *next)
{
    const char *program = file_exists("arklet") ? "./arklet" : "arklet";

    buffer_text(out, "\nTo try next:\n");
    if (next->row)
        buffer_format(out,
                      "  Let the trained student answer (edit the question in the file first, if you like):\n"
                      "    %s run -m %s --lora %s/%s -f %s/try/question.txt --temp 0%s\n",
                      program, o->student, o->folder, next->row, o->folder, next->chat ? " --chat" : "");
    if (next->prm)
        buffer_format(
            out,
            "  Score a wrong solution, a number a step from -1, wrong, to 1, right (so small a reward model is easily\n"
            "  deceived: mind which step scores least):\n"
            "    %s score -m %s --prm %s/prm -f %s/try/wrong.jsonl -o -%s -q\n",
            program, o->student, o->folder, o->folder, o->plain ? " --plain" : "");
    buffer_format(
        out,
        "  The same with your own models (GGUF) and GSM8K (hours or days: README.md tells how many):\n"
        "    %s distill -m small.gguf --teacher large.gguf -f gsm8k_train.jsonl --test gsm8k_test.jsonl -o run\n",
        program);
}

/* Kept as story.txt in the run folder, too. */
static enum status tell(struct distill_command *c, struct buffer *text, struct diag *diag)
{
    struct buffer path = {0};
    struct distill_next next;
    enum status status;

    buffer_clear(text); /* it is in the folder */
    status = distill_story(&c->options, &c->load.exec, text, &next, diag);
    if (text->length)
        put_commands(text, &c->options, &next);
    buffer_format(&path, "%s/story.txt", c->options.folder);
    if (!status && (text->failed || path.failed))
        status = diag_fail(diag, STATUS_MEMORY, "out of memory");
    if (!status)
        status = file_save(path.data, text->data ? text->data : "", text->length, diag);
    buffer_free(&path);
    return status;
}

int cmd_demo(int argc, char **argv)
{
    static const struct distill_kind kind = {
        .command = "demo", .about = about, .flags = flags, .prepare = read_fixtures, .finish = tell};

    return distill_command(argc, argv, &kind);
}
