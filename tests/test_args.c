/* test_args.c - flags: spellings, strictness, configuration files there and back, help. */
#include <stdint.h>
#include <unistd.h>

#include "args.h"
#include "file.h"
#include "test.h"

static const struct arg own[] = {
    {.name = "prompt", .alias = "-p", .kind = ARG_TEXT, .value = "TEXT", .help = "text to complete"},
    {.name = "predict",
     .alias = "-n --n-predict",
     .kind = ARG_INT,
     .value = "N",
     .otherwise = "-1",
     .low = -1,
     .high = 1e9,
     .help = "tokens"},
    {.name = "size",
     .kind = ARG_INT,
     .value = "N",
     .help = "any whole number, and a text that is so long that it does not fit on one line of the help, "
             "so that it goes on on the next"},
    {.name = "rate", .kind = ARG_FLOAT, .value = "X", .otherwise = "0.5", .low = 0, .high = 1, .help = "a rate"},
    {.name = "chat", .kind = ARG_FLAG, .help = "chat"},
    {.name = "stop", .kind = ARG_LIST, .value = "TEXT", .help = "stop there"},
    {.name = "type", .kind = ARG_CHOICE, .value = "T", .otherwise = "f16", .choices = "f16|f32|q8_0", .help = "type"},
    {.name = NULL},
};

static const struct arg *const groups[] = {own, args_sampling, args_common, NULL};
static const struct args_spec spec = {
    .command = "try", .operands = "[FILE]", .about = "Tries flags.", .max_operands = 1, .groups = groups};

static struct args args;
static char config_path[64];

/* What the parser said on standard error, in one string. */
static char said[2000];

/* Splits line at spaces, parses, returns the code. Standard error and output go to a file meanwhile. */
static int parse_spec(const struct args_spec *what, const char *line)
{
    static char words[1000];
    static char *argv[64];
    char path[] = "/tmp/arklet-test-XXXXXX";
    int argc = 0, code, file = mkstemp(path), kept[2];
    ssize_t n;

    snprintf(words, sizeof words, "try%s%s", *line ? " " : "", line);
    for (char *p = words; p; argc++) {
        argv[argc] = p;
        p = strchr(p, ' ');
        if (p)
            *p++ = 0;
    }
    fflush(stdout);
    kept[0] = dup(1);
    kept[1] = dup(2);
    dup2(file, 1);
    dup2(file, 2);
    code = args_parse(&args, what, argc, argv);
    fflush(stdout);
    dup2(kept[0], 1);
    dup2(kept[1], 2);
    close(kept[0]);
    close(kept[1]);
    n = pread(file, said, sizeof said - 1, 0);
    said[n > 0 ? n : 0] = 0;
    close(file);
    unlink(path);
    return code;
}

static int parse(const char *line)
{
    return parse_spec(&spec, line);
}

static void defaults(void)
{
    CHECK(parse("") == -1 && said[0] == 0);
    CHECK(args_int(&args, "predict") == -1 && args_float(&args, "rate") == 0.5 && !args_flag(&args, "chat"));
    CHECK(args_text(&args, "prompt") == NULL && args_count(&args, "stop") == 0 && args_item(&args, "stop", 0) == NULL);
    CHECK(strcmp(args_text(&args, "type"), "f16") == 0 && !args_is_given(&args, "type") && args.n_operands == 0);
    CHECK(args_float(&args, "temp") == 0.8 && args_int(&args, "top-k") == 40 && args_float(&args, "top-p") == 0.95);
    CHECK(args_float(&args, "min-p") == 0.05 && args_int(&args, "seed") == 0 && args_int(&args, "threads") == 0);
    args_free(&args);
}

static void spellings(void)
{
    CHECK(parse("-p - --n-predict -1 --rate=0.25 --chat --stop a --stop b -t 3 file --type q8_0 --size -7") == -1);
    CHECK(strcmp(args_text(&args, "prompt"), "-") == 0 && args_int(&args, "predict") == -1);
    CHECK(args_float(&args, "rate") == 0.25 && args_flag(&args, "chat") && args_int(&args, "threads") == 3);
    CHECK(args_count(&args, "stop") == 2 && strcmp(args_item(&args, "stop", 1), "b") == 0);
    CHECK(args.n_operands == 1 && strcmp(args.operands[0], "file") == 0 && args_int(&args, "size") == -7);
    args_free(&args);
    CHECK(parse("-n 3 --predict 4 -n=5 --chat --chat=false -- -x") == -1);
    CHECK(args_int(&args, "predict") == 5 && !args_flag(&args, "chat") && strcmp(args.operands[0], "-x") == 0);
    args_free(&args);
    CHECK(parse("--temp 0 --temperature 1e-1 -") == -1 && args_float(&args, "temp") == 0.1 && args.n_operands == 1);
    args_free(&args);
}

/* Each is a usage error: one line that names the flag. */
static void strictness(void)
{
    static const struct {
        const char *line, *expected;
    } cases[] = {
        {"--unknown", "arklet try: --unknown: unknown flag (see arklet try --help)\n"},
        {"-x 3", "-x: unknown flag"},
        {"-prompt x", "-prompt: unknown flag"},
        {"-n", "-n: expected a value behind it"},
        {"-n x", "-n: expected a whole number from -1 to 1000000000, found 'x'"},
        {"-n 1.5", "-n: expected a whole number"},
        {"-n 3x", "found '3x'"},
        {"-n -2", "found '-2'"},
        {"--size 99999999999999999999", "--size: expected a whole number, found"},
        {"--size=", "--size=: expected a whole number, found ''"},
        {"--rate 1.01", "--rate: expected a number from 0 to 1, found '1.01'"},
        {"--rate nan", "found 'nan'"},
        {"--rate inf", "found 'inf'"},
        {"--rate 0x1", "found '0x1'"},
        {"--rate 1e", "found '1e'"},
        {"--chat=maybe", "--chat=maybe: expected true or false, found 'maybe'"},
        {"--type f1", "--type: expected one of f16|f32|q8_0, found 'f1'"},
        {"--type f16|f32", "--type: expected one of"},
        {"a b", "b: unexpected argument"},
        {"--config /no/such/file", "/no/such/file: cannot open"},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int code = parse(cases[i].line);
        CHECK_MSG(code == (i == 19 ? 1 : 2) && strstr(said, cases[i].expected), "'%s': %d %s", cases[i].line, code,
                  said);
        CHECK_MSG(strchr(said, '\n') == said + strlen(said) - 1, "'%s': not one line: %s", cases[i].line, said);
        args_free(&args);
    }
}

static void gpu_flags_are_ignored(void)
{
    CHECK(parse("-ngl 99 --gpu-layers=5 -fa on -fa --no-mmap -n 3 -sm none f") == -1);
    CHECK(args_int(&args, "predict") == 3 && args.n_operands == 1);
    CHECK(strstr(said, "note: -ngl has no meaning on a CPU; ignored\n") != NULL);
    args_free(&args);
}

static void required_flags_and_operands(void)
{
    static const struct arg *const with_model[] = {args_model, args_common, NULL};
    static const struct args_spec needs = {
        .command = "try", .operands = "IN OUT", .min_operands = 2, .max_operands = 2, .groups = with_model};

    CHECK(parse_spec(&needs, "-m x a b") == -1 && args_int(&args, "ctx-size") == 0);
    args_free(&args);
    CHECK(parse_spec(&needs, "-m x a") == 2 && strstr(said, "IN OUT: expected more arguments"));
    args_free(&args);
    CHECK(parse_spec(&needs, "a b") == 2 && strstr(said, "--model or -m: this flag is required"));
    args_free(&args);
    CHECK(parse_spec(&needs, "--help") == 0 && strstr(said, "Usage: arklet try [flags] IN OUT\n") == said);
    args_free(&args);
}

static int parse_config(const char *content, const char *line)
{
    FILE *file = fopen(config_path, "w");
    char whole[500];

    fputs(content, file);
    fclose(file);
    snprintf(whole, sizeof whole, "--config %s%s%s", config_path, *line ? " " : "", line);
    return parse(whole);
}

static void configuration(void)
{
    CHECK(parse_config("# comment\n\n predict = 7 \r\nchat = true\nstop = a\nstop=b\nprompt = \" x\\n\"\nrate=1",
                       "--rate 0") == -1);
    CHECK(args_int(&args, "predict") == 7 && args_flag(&args, "chat") && args_float(&args, "rate") == 0);
    CHECK(args_count(&args, "stop") == 2 && strcmp(args_text(&args, "prompt"), " x\n") == 0);
    CHECK(args_is_given(&args, "predict") && !args_is_given(&args, "size"));
    args_free(&args);
    CHECK(parse_config("stop = a\nstop = b\nchat = true\n", "--stop c --chat=false") == -1);
    CHECK(args_count(&args, "stop") == 1 && strcmp(args_item(&args, "stop", 0), "c") == 0 && !args_flag(&args, "chat"));
    args_free(&args);
    CHECK(parse_config("predict = 7\nfoo = 1\n", "") == 2 && strstr(said, ":2: expected the name of a flag"));
    args_free(&args);
    CHECK(parse_config("predict = x\n", "") == 2 && strstr(said, ":1: expected a whole number from -1"));
    args_free(&args);
    CHECK(parse_config("predict\n", "") == 2 && strstr(said, "expected name = value, found 'predict'"));
    args_free(&args);
    CHECK(parse_config("prompt = \"x\n", "") == 2 && strstr(said, "expected text in double quotes"));
    args_free(&args);
    CHECK(parse_config("config = y\n", "") == 2);
    args_free(&args);
    CHECK(parse_config("-n = 3\n", "") == 2);
    args_free(&args);
}

/* What is written gives, read back, what it was written from. */
static void configuration_round_trip(void)
{
    struct buffer out = {0}, again = {0};

    CHECK(parse("--prompt --x -n 5 --chat --stop # --stop = --rate 0.125 --temp 0.7 -s 42") == -1);
    args_write_config(&args, &out);
    args_free(&args);
    CHECK(
        strstr(out.data, "prompt = --x\npredict = 5\nrate = 0.125\nchat = true\nstop = \"#\"\nstop = =\ntype = f16\n"));
    CHECK(strstr(out.data, "seed = 42\n") && !strstr(out.data, "config") && !strstr(out.data, "size"));
    CHECK(parse_config(out.data, "") == -1);
    args_write_config(&args, &again);
    CHECK(strcmp(out.data, again.data) == 0);
    args_free(&args);
    buffer_free(&out);
    buffer_free(&again);
    CHECK(parse_config("prompt = \"\\u0001 tab\\t \\\"quoted\\\" \"\n", "") == -1);
    args_write_config(&args, &out);
    args_free(&args);
    CHECK(parse_config(out.data, "") == -1 && strcmp(args_text(&args, "prompt"), "\001 tab\t \"quoted\" ") == 0);
    args_free(&args);
    buffer_free(&out);
}

static void help(void)
{
    CHECK(parse("--help") == 0);
    CHECK(strstr(said, "Usage: arklet try [flags] [FILE]\n\nTries flags.\n\nFlags:\n") == said);
    CHECK(strstr(said, "\n  -n, --n-predict, --predict N\n                              tokens (default -1)\n"));
    CHECK(strstr(
        said,
        " does not fit on\n                              one line of the help, so that it goes on on the next\n"));
    CHECK(strstr(said, "\n  --type T                    type: f16|f32|q8_0 (default f16)\n"));
    args_free(&args);
    CHECK(parse("-h -n 3") == 0);
    args_free(&args);
    CHECK(memory_live() == 0);
}

static void every_allocation_fails_once(void)
{
    size_t n = 1;

    for (; n < 50; n++) {
        int code;
        memory_fail_at(n);
        code = parse_config("stop = \"quoted\"\nchat = true\n", "--stop c");
        memory_fail_at(0);
        args_free(&args);
        CHECK(memory_live() == 0);
        if (code == -1)
            break;
        CHECK_MSG(code == 1 && said[0], "allocation %zu: code %d, %s", n, code, said);
    }
    CHECK(n >= 3 && n < 50);
}

int main(void)
{
    snprintf(config_path, sizeof config_path, "/tmp/arklet-config-%ld", (long)getpid());
    RUN(defaults);
    RUN(spellings);
    RUN(strictness);
    RUN(gpu_flags_are_ignored);
    RUN(required_flags_and_operands);
    RUN(configuration);
    RUN(configuration_round_trip);
    RUN(help);
    RUN(every_allocation_fails_once);
    remove(config_path);
    return TEST_RESULT();
}
