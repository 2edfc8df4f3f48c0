/* forms.h - the sentences of the world: what each kind of clause does, and the wordings it has.
 *
 *   "{B} has {1} more {O} than {A}."     {A} {B} people   {O} objects, "dollars" or "minutes"   {C} containers
 *                                        {1} {2} numbers  {V} {v} "reads", "read"
 *
 * Of the wordings of a clause the common ones come first; one behind them is held out: only the out-of-distribution
 * test of sentence forms uses it, in words that the common ones have too. A number never stands at the beginning of a
 * story, so that each has a space before it. */
#ifndef ARKLET_WORLD_FORMS_H
#define ARKLET_WORLD_FORMS_H

enum unit { UNIT_OBJECTS, UNIT_DOLLARS, UNIT_MINUTES, UNIT_COUNT };

enum effect {
    /* A has something: the first clause of a person */
    START,         /* A = 1 */
    START_PRODUCT, /* A = 1 * 2 */
    /* B is introduced by comparison with A */
    MORE,         /* B = A + 1 */
    FEWER,        /* B = A - 1 */
    TIMES,        /* B = A * 1 */
    TWICE,        /* B = A * 2 */
    HALF,         /* B = A / 2 */
    THIRD,        /* B = A / 3 */
    TURNED_MORE,  /* "A has 1 fewer than B": B = A + 1 */
    TURNED_FEWER, /* "A has 1 more than B": B = A - 1 */
    /* something happens to A */
    GAIN,         /* A = A + 1 */
    LOSE,         /* A = A - 1 */
    GAIN_PRODUCT, /* part = 1 * 2, A = A + part */
    LOSE_PRODUCT, /* part = 1 * 2, A = A - part */
    LOSE_HALF,    /* A = A / 2 */
    LOSE_THIRD,   /* part = A / 3, A = A - part */
    DOUBLE,       /* A = A * 2 */
    TRANSFER,     /* A = A - 1, B = B + 1 */
    /* questions */
    ASK_OWN,         /* A */
    ASK_TOTAL,       /* A + B */
    ASK_TOTAL_THREE, /* A + B, + C */
    ASK_DIFFERENCE,  /* A - B */
    ASK_SHARE_TOTAL, /* A + B, / 1 */
    ASK_SHARE,       /* A / 1 */
    ASK_PACK,        /* A / 1 */
    ASK_NEED,        /* 1 - A */
    ASK_SELL,        /* A * 1 */
    ASK_SELL_SPEND,  /* A * 1, - 2 */
    EFFECT_COUNT
};

#define FORM_TEXTS 5

struct form {
    enum effect effect;
    unsigned units; /* bit 1 << enum unit: whose stories it fits */
    int n_common;
    const char *texts[FORM_TEXTS]; /* the common ones, then the held-out one or NULL */
};

/* The form of an effect in stories of a unit; NULL: it has none. */
const struct form *form_find(enum effect effect, enum unit unit);

#endif
