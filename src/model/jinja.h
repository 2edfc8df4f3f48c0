/* jinja.h - the subset of Jinja that chat templates are written in (private to src/model).
 *
 *   source -> jinja_parse -> tree of nodes -> jinja_run -> text
 *
 * Strings remember for every byte whether it came out of the template or out of a message (its taint), through
 * concatenation, trimming, splitting and slicing: that is how the tokenizer later knows where special tokens may be
 * recognised. Nothing is executed but the template itself; steps, depth and memory are bounded. */
#ifndef ARKLET_JINJA_H
#define ARKLET_JINJA_H

#include <stdint.h>
#include "arena.h"
#include "status.h"

#define JINJA_MAX_DEPTH  200         /* of nested expressions, and of nested statements */
#define JINJA_MAX_STEPS  2000000     /* nodes evaluated in one run */
#define JINJA_MAX_MEMORY (64u << 20) /* of one parse or run, beyond the messages' own length */

/* taint NULL: all from the template; else one byte per byte of text, 1: from a message. */
struct jstring {
    const char *text;
    const uint8_t *taint;
    size_t length;
};

enum jtype {
    J_UNDEFINED,
    J_NONE,
    J_BOOL,
    J_INT,
    J_FLOAT,
    J_STRING,
    J_LIST,
    J_DICT, /* also what namespace() makes */
    J_LOOP,
    J_MACRO,
    J_FUNCTION
};

struct jvalue {
    enum jtype type;
    union {
        int64_t integer; /* J_BOOL too; J_FUNCTION: which */
        double real;
        struct jstring string;
        struct jlist *list;
        struct jdict *dict;
        struct jloop *loop;
        const struct jnode *macro;
    } as;
};

struct jlist {
    struct jvalue *items;
    size_t count, capacity;
};

struct jdict {
    struct jstring *keys;
    struct jvalue *values;
    size_t count, capacity;
};

struct jloop {
    const struct jlist *list;
    size_t index;
};

enum jkind {
    /* statements */
    N_TEXT,
    N_OUTPUT, /* a */
    N_IF,     /* a condition, b then, c else */
    N_FOR,    /* a targets, b iterated, c condition or NULL, d body, e else */
    N_SET,    /* a target, b value or NULL, d body (block form) */
    N_MACRO,  /* string name, a parameters (b default), d body */
    N_BREAK,
    N_CONTINUE,
    N_BLOCK, /* d body, plain */
    /* expressions */
    N_CONSTANT,  /* value */
    N_NAME,      /* string */
    N_ATTRIBUTE, /* a.string */
    N_INDEX,     /* a[b] */
    N_SLICE,     /* a[b:c:d] */
    N_CALL,      /* a(args b; an argument with a string is a keyword) */
    N_ARGUMENT,  /* a value, string keyword */
    N_FILTER,    /* a | string(args b) */
    N_TEST,      /* a is string(args b), op 1: not */
    N_BINARY,    /* a op b */
    N_NOT,
    N_NEGATE,
    N_AND,
    N_OR,
    N_CHOICE, /* b if a else c */
    N_LIST,   /* items b */
    N_DICT    /* items b, each with key a, value b */
};

enum joperator {
    OP_ADD,
    OP_SUB,
    OP_MUL,
    OP_DIV,
    OP_FLOOR,
    OP_MOD,
    OP_JOIN,
    OP_EQ,
    OP_NE,
    OP_LT,
    OP_LE,
    OP_GT,
    OP_GE,
    OP_IN,
    OP_NOT_IN
};

struct jnode {
    enum jkind kind;
    int op;
    unsigned line;
    struct jstring string;
    struct jvalue value;
    struct jnode *a, *b, *c, *d, *e;
    struct jnode *next; /* in a list of statements, arguments, items */
};

/* Parses a whole template into arena; *root is its first statement (NULL for an empty one). */
enum status jinja_parse(const struct jnode **root, const char *source, size_t length, struct arena *arena,
                        struct diag *diag);

struct jvariable {
    struct jstring name;
    struct jvalue value;
};

/* A run: variables in scopes, the output, the first failure. */
struct jinja {
    struct arena *arena;
    struct jvariable *variables;
    size_t n_variables, capacity, scope; /* the current scope begins at variables[scope] */
    struct buffer text, taint;           /* output: a byte of taint per byte of text */
    size_t steps;
    int depth;
    int leaving;    /* 1: break, 2: continue, on the way to the loop */
    int date[3];    /* year, month 1..12, day: what strftime_now gives */
    int knows_date; /* 0: strftime_now is not "defined", but can be called */
    enum status status;
    struct diag *diag;
};

/* Fails the run unless it has failed already. */
void jinja_fail(struct jinja *j, const struct jnode *node, const char *format, ...);
void jinja_set(struct jinja *j, struct jstring name, struct jvalue value);
/* The variable of that name at variables[from] or above, the innermost; NULL. */
struct jvariable *jinja_variable(struct jinja *j, struct jstring name, size_t from);
/* Counts a step; 0 when the run is over. */
int jinja_step(struct jinja *j, const struct jnode *node);
/* Runs statements; output is appended to text and taint. */
void jinja_run(struct jinja *j, const struct jnode *statements);
struct jvalue jinja_eval(struct jinja *j, const struct jnode *node);
/* What statements would write, as a value. */
struct jvalue jinja_capture(struct jinja *j, const struct jnode *body);

/* Values (jinja_value.c). */
struct jstring jstring_plain(const char *text);
int jstring_is(struct jstring string, const char *text);
struct jvalue jvalue_string(struct jstring string);
struct jvalue jvalue_text(const char *text);
struct jvalue jvalue_int(int64_t integer);
struct jvalue jvalue_bool(int truth);
struct jvalue jvalue_list(struct jinja *j);
struct jvalue jvalue_dict(struct jinja *j);
void jlist_append(struct jinja *j, struct jlist *list, struct jvalue value);
void jdict_put(struct jinja *j, struct jdict *dict, struct jstring key, struct jvalue value);
const struct jvalue *jdict_get(const struct jdict *dict, struct jstring key);
int jvalue_truth(const struct jvalue *value);
int jvalue_equal(const struct jvalue *left, const struct jvalue *right);
/* As str() writes it. */
struct jstring jvalue_show(struct jinja *j, const struct jvalue *value);
struct jstring jstring_join(struct jinja *j, struct jstring left, struct jstring right);
struct jstring jstring_part(struct jstring string, size_t from, size_t to); /* bytes */
/* Where needle is found in string from `from` on, or SIZE_MAX. */
size_t jstring_find(struct jstring string, struct jstring needle, size_t from);
/* Without white space, or the characters of `set` (text NULL: white space), on the left (1) and right (2). */
struct jstring jstring_strip(struct jstring string, struct jstring set, int sides);

/* Methods, filters and tests by name (jinja_builtin.c). args[0] is the object. */
#define JINJA_MAX_ARGS 8

struct jcall {
    const struct jnode *node; /* for messages */
    struct jvalue args[JINJA_MAX_ARGS];
    struct jstring keywords[JINJA_MAX_ARGS]; /* text NULL: by position */
    int n_args;
};

struct jvalue jinja_method(struct jinja *j, struct jstring name, struct jcall *call);
struct jvalue jinja_filter(struct jinja *j, struct jstring name, struct jcall *call);
int jinja_test(struct jinja *j, struct jstring name, struct jcall *call);
/* Global functions: the id of a name, -1; and the call. */
int jinja_function_id(struct jstring name);
struct jvalue jinja_function(struct jinja *j, int id, struct jcall *call);

#endif
