/* test_dropout.c - masks: what share goes, that lanes are independent, and that the way back is the transpose. */
#include <math.h>
#include <stdlib.h>
#include "dropout.h"
#include "rng.h"
#include "test.h"

#define ROWS   40
#define N      203 /* no multiple of 4 */
#define STRIDE 208

static float x[ROWS * STRIDE], y[ROWS * STRIDE], z[ROWS * STRIDE];
static uint64_t stream[ROWS];
static size_t position[ROWS];

static struct dropout_mask mask_of(const struct dropout *dropout, uint64_t matrix)
{
    struct dropout_mask mask = {dropout, matrix, stream, position};

    for (size_t t = 0; t < ROWS; t++) {
        stream[t] = 3;
        position[t] = t;
        for (size_t c = 0; c < STRIDE; c++)
            x[t * STRIDE + c] = (float)rng_unit(rng_bits(1, RNG_TEST, t, c, 0)) + 0.5f;
    }
    return mask;
}

static void test_shares(void)
{
    static const double shares[] = {0.05, 0.1, 0.5, 0.9};
    struct exec exec = {0};

    for (size_t s = 0; s < 4; s++) {
        struct dropout dropout = dropout_create(shares[s], 7);
        struct dropout_mask mask = mask_of(&dropout, 2);
        double n = ROWS * N, gone = 0, both = 0, bound = 5 * sqrt(shares[s] * (1 - shares[s]) / n);
        dropout_apply(&exec, &mask, y, STRIDE, x, STRIDE, ROWS, N);
        for (size_t t = 0; t < ROWS; t++)
            for (size_t c = 0; c < N; c++) {
                size_t i = t * STRIDE + c;
                gone += y[i] == 0;
                both += y[i] == 0 && c + 1 < N && y[i + 1] == 0;
                CHECK(y[i] == 0 || y[i] == x[i] * dropout.scale);
            }
        CHECK_MSG(fabs(gone / n - shares[s]) < bound, "%g gone, not %g", gone / n, shares[s]);
        /* Neighbours go together as often as independent ones (a looser bound: one draw of four lanes). */
        CHECK_MSG(fabs(both / (ROWS * (N - 1.0)) - shares[s] * shares[s]) < 2 * bound, "%g together", both / n);
        CHECK(fabs((double)dropout.scale * (1 - shares[s]) - 1) < 1e-4);
    }
}

/* A mask depends on matrix, stream and position of the row, not on where it stands in the batch. */
static void test_indices(void)
{
    struct dropout dropout = dropout_create(0.5, 7);
    struct dropout_mask mask = mask_of(&dropout, 2);
    struct exec exec = {0};
    uint64_t streams[2] = {3, 4};
    size_t positions[2] = {17, 17};
    struct dropout_mask moved = {&dropout, 2, streams, positions}, other = {&dropout, 3, streams, positions};

    dropout_apply(&exec, &mask, y, STRIDE, x, STRIDE, ROWS, N);
    dropout_apply(&exec, &moved, z, STRIDE, x + 17 * STRIDE, STRIDE, 1, N);
    CHECK(memcmp(y + 17 * STRIDE, z, N * sizeof *z) == 0 && memcmp(y + 16 * STRIDE, z, N * sizeof *z) != 0);
    dropout_apply(&exec, &other, z, STRIDE, x + 17 * STRIDE, STRIDE, 1, N);
    CHECK(memcmp(y + 17 * STRIDE, z, N * sizeof *z) != 0);
    moved.stream = streams + 1;
    dropout_apply(&exec, &moved, z, STRIDE, x + 17 * STRIDE, STRIDE, 1, N);
    CHECK(memcmp(y + 17 * STRIDE, z, N * sizeof *z) != 0);
}

static void test_way_back(void)
{
    struct dropout dropout = dropout_create(0.3, 9);
    struct dropout_mask mask = mask_of(&dropout, 5);
    struct exec exec = {0};

    dropout_apply(&exec, &mask, y, STRIDE, x, STRIDE, ROWS, N);
    for (size_t i = 0; i < ROWS * STRIDE; i++)
        z[i] = 1;
    dropout_add(&exec, &mask, z, STRIDE, x, STRIDE, ROWS, N);
    for (size_t t = 0; t < ROWS; t++)
        for (size_t c = 0; c < N; c++) {
            size_t i = t * STRIDE + c;
            CHECK(z[i] == (y[i] == 0 ? 1 : fmaf(x[i], dropout.scale, 1)));
        }
    CHECK(z[N] == 1);
}

int main(void)
{
    RUN(test_shares);
    RUN(test_indices);
    RUN(test_way_back);
    return TEST_RESULT();
}
