/* status.h - how failures travel: a status code up the call chain, one clear line in a diag.
 *
 * Data and resource failures (bad file, full disk, no memory) return a status and fill a struct
 * diag; contract failures (a caller's bug) assert. Nothing below src/cmd prints or exits. */
#ifndef ARKLET_STATUS_H
#define ARKLET_STATUS_H

enum status {
    STATUS_OK = 0,
    STATUS_IO,          /* open, read, write, rename failed: the message ends with the errno text */
    STATUS_FORMAT,      /* bytes that are not what the format demands */
    STATUS_UNSUPPORTED, /* well formed, but a type, architecture or option that arklet lacks */
    STATUS_RANGE,       /* a value outside its range: prompt longer than the context, bad flag value */
    STATUS_MEMORY,      /* allocation failed or a stated memory limit would be passed */
    STATUS_NUMERIC,     /* a non-finite number where none may be: weights, logits, loss, gradient */
    STATUS_STOPPED      /* the user interrupted the work; what was written is whole */
};

/* One line, without newline and without the program's name:
 * "<file>: <position>: expected <this>, found <that>". */
struct diag {
    enum status status;
    char message[512];
};

/* Fills *diag (NULL is allowed) with a formatted message, replaces control bytes by '?', and returns
 * `status`, so that failing is one statement: return diag_fail(diag, STATUS_FORMAT, "%s: ...", path). */
#if defined(__GNUC__)
__attribute__((format(printf, 3, 4)))
#endif
enum status
diag_fail(struct diag *diag, enum status status, const char *format, ...);

#endif
