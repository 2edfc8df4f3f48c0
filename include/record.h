/* record.h - the records of a file, one after the other, with what all commands say about them.
 *
 * A record is a JSON object; the file is JSON Lines, one JSON array, or a member-wise object (json_stream.h). Memory:
 * one record. Its id is its own `id _id ID idx uuid unique_id`, the first that is a string or a number, else
 * "<file stem>:<0-based index>". One with a "v" other than 1 is refused. Messages begin with "<file>:<line>: ". */
#ifndef ARKLET_RECORD_H
#define ARKLET_RECORD_H

#include <stddef.h>
#include <stdint.h>
#include "arena.h"
#include "json.h"
#include "json_stream.h"
#include "status.h"

struct record_options {
    int skip_bad;             /* records that are wrong are counted and left out, instead of ending the work */
    int members;              /* of one big object: {"key": value, ...}; such records have any type */
    uint32_t shard, n_shards; /* from 1; 0 of 0: the whole file. The file's bytes in n_shards equal ranges; a record
                                 belongs to the range in which it begins */
};

struct record {
    const struct json *json; /* an object */
    const char *path;
    uint64_t line;    /* of its first byte, from 1 */
    uint64_t index;   /* 0-based among the file's records, whatever the shard */
    const char *id;   /* UTF-8 */
    int id_is_number; /* it was a JSON number: then record_put_id writes it as one */
    const char *key;  /* with `members`: the member's name, else NULL */
};

struct record_reader {
    struct record_options options;
    struct json_stream stream;
    struct arena arena; /* of the current record; callers may take memory that lives as long */
    struct arena_mark mark;
    struct record record;
    uint64_t begin, end;    /* bytes of the shard */
    uint64_t n_records;     /* delivered */
    uint64_t n_skipped;     /* bad ones */
    size_t bad_utf8;        /* bytes that became U+FFFD */
    struct diag first_skip; /* why the first was skipped */
};

/* "-" is standard input, which cannot be sharded. */
enum status record_open(struct record_reader *reader, const char *path, const struct record_options *options,
                        struct diag *diag);
/* *record is valid until the next call; NULL at the end. */
enum status record_next(struct record_reader *reader, const struct record **record, struct diag *diag);
/* What to do with a record that turned out to be bad (status and diag from record_fail or a module's own checks): with
 * skip_bad counts it and gives STATUS_OK, so that the caller goes on with the next; else the status itself. Failures
 * that are not the record's fault (memory, disk, interruption) come back in any case. */
enum status record_skip(struct record_reader *reader, enum status status, struct diag *diag);
/* Records that the reader's file has in its shard, bad ones included, counted by reading it once more; 0 when it is no
 * regular file or cannot be read. The reader stays where it is. */
uint64_t record_count(const struct record_reader *reader);
void record_close(struct record_reader *reader); /* also after a failed open, or {0} with stream.fd -1 */

/* diag_fail with "<file>:<line>: " in front. */
#if defined(__GNUC__)
__attribute__((format(printf, 4, 5)))
#endif
enum status
record_fail(const struct record *record, enum status status, struct diag *diag, const char *format, ...);
/* "<file>:<line>: "key": expected <expected>, found <what is there>". */
enum status record_expected(const struct record *record, const char *key, const char *expected, struct diag *diag);
/* Puts "<file>:<line>: " in front of a message from elsewhere. */
enum status record_at(const struct record *record, enum status status, struct diag *diag);
/* What a value is, for messages: "a string"; NULL is "nothing". */
const char *record_type_name(const struct json *value);

/* A member of a certain type, or record_expected's failure. */
enum status record_string(const struct record *record, const char *key, const struct json **value, struct diag *diag);
enum status record_list(const struct record *record, const char *key, const struct json **value, struct diag *diag);

/* The id as JSON: a string, or a number as it stood. */
void record_put_id(struct buffer *out, const struct record *record);

#endif
