/* fuzz_answer.c - any bytes as an output and as a gold of every kind, and as a solution in steps.
 *
 * The first byte chooses the kind, the rest is split at its first 0xFF byte into gold and text. What comes out must
 * hold: a prediction means the same as itself, measures lie in 0..1, both directions of a comparison agree. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "answer.h"
#include "steps.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(int holds)
{
    if (!holds)
        abort();
}

static int is_share(double x)
{
    return x >= 0 && x <= 1.0000001;
}

static void check_steps(const char *question, const char *text, size_t length, struct arena *arena)
{
    struct steps_signature signature;
    struct steps steps;

    check(steps_read(&steps, question, text, length, arena, NULL) == STATUS_OK);
    check(steps.n_true <= steps.n_equations && steps.n_grounded <= steps.n_equations && steps.first_error <= steps.n);
    check(steps.n_corrected <= steps.n_wrong && steps.n_wrong <= steps.n && steps.n_repeats <= steps.n);
    check(steps_signature(&signature, text, length, arena, NULL) == STATUS_OK);
    check(steps_distance(&signature, &signature) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const options[] = {"1", "\\frac{1}{2}", "an apple"};
    const uint8_t *split = size ? memchr(data + 1, 0xFF, size - 1) : NULL;
    enum answer_kind kind = size ? (enum answer_kind)(data[0] % 5) : ANSWER_NUMBER;
    struct answer_key key = {kind, NULL, 1, options, kind == ANSWER_CHOICE ? 3 : 0};
    const char *text = (const char *)(split ? split + 1 : data + (size > 0)), *gold;
    size_t length = (size_t)((const char *)data + size - text);
    struct answer_grade grade;
    struct arena arena;

    arena_init(&arena, "fuzz", 0);
    check(answer_gold(&gold, kind, (const char *)data + (size > 0), split ? (size_t)(split - data) - 1 : 0, &arena,
                      NULL) == STATUS_OK);
    key.golds = &gold;
    check(answer_grade(&grade, &key, text, length, size & 1, &arena, NULL) == STATUS_OK);
    check(is_share(grade.em) && is_share(grade.f1) && is_share(grade.rouge1) && is_share(grade.rouge2) &&
          is_share(grade.rougeL));
    if (grade.prediction) {
        check(answer_same(&key, grade.prediction, grade.prediction));
        check(answer_same(&key, grade.prediction, gold) == answer_same(&key, gold, grade.prediction));
    }
    check_steps(gold, text, length, &arena);
    arena_free(&arena);
    check(memory_live() == 0);
    return 0;
}
