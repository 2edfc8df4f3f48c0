/* record_flags.c - --shard I/N and --skip-bad. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "record_flags.h"

const struct arg args_records[] = {
    {.name = "shard",
     .kind = ARG_TEXT,
     .value = "I/N",
     .help = "only the I-th of N equal parts of the file (I from 1); outputs concatenate"},
    {.name = "skip-bad", .kind = ARG_FLAG, .help = "leave out and count records that are wrong, instead of ending"},
    {.name = NULL},
};

/* Digits, of a number in 1..99999; *end behind them. 0: there is none. */
static uint32_t parse_part(const char *text, const char **end)
{
    uint32_t value = 0;

    for (*end = text; **end >= '0' && **end <= '9' && *end - text < 5; ++*end)
        value = value * 10 + (uint32_t)(**end - '0');
    return value;
}

int record_flags(struct record_options *options, const struct args *args)
{
    const char *shard = args_text(args, "shard"), *end;

    memset(options, 0, sizeof *options);
    options->skip_bad = args_flag(args, "skip-bad");
    if (!shard)
        return -1;
    options->shard = parse_part(shard, &end);
    if (options->shard && *end == '/')
        options->n_shards = parse_part(end + 1, &end);
    if (!options->n_shards || *end || options->shard > options->n_shards) {
        fprintf(stderr, "arklet %s: --shard: expected I/N with 1 <= I <= N < 100000, found '%s'\n", args->spec->command,
                shard);
        return 2;
    }
    return -1;
}

void record_warn(const struct record_reader *reader, int quiet)
{
    if (reader->n_skipped) {
        fprintf(stderr, "arklet: warning: %llu bad records were skipped; the first: %s\n",
                (unsigned long long)reader->n_skipped, reader->first_skip.message);
    }
    if (reader->bad_utf8 && !quiet) {
        fprintf(stderr, "arklet: warning: %s: %zu bytes of invalid UTF-8 became U+FFFD\n", reader->stream.path,
                reader->bad_utf8);
    }
}
