/* test_pool.c - the thread pool: every item exactly once, whatever the sizes; creation that fails; latency. */
#include <stdint.h>
#include <time.h>

#include "arena.h"
#include "pool.h"
#include "progress.h"
#include "test.h"

#define ITEMS_MAX 5000

struct job {
    size_t n, grain;
    int n_workers;
    unsigned char seen[ITEMS_MAX];
    int busy[256]; /* calls now running with this worker number */
    int bad;
};

static void count_items(void *context, size_t begin, size_t end, int worker)
{
    struct job *job = context;
    int bad = worker < 0 || worker >= job->n_workers || begin % job->grain || begin >= end || end > job->n ||
              end - begin > job->grain;

    if (bad) {
        __atomic_store_n(&job->bad, 1, __ATOMIC_RELAXED);
        return;
    }
    if (__atomic_exchange_n(&job->busy[worker], 1, __ATOMIC_RELAXED))
        __atomic_store_n(&job->bad, 1, __ATOMIC_RELAXED);
    for (size_t i = begin; i < end; i++)
        job->seen[i]++; /* not atomic: each item has one owner, and the sanitizer watches */
    __atomic_store_n(&job->busy[worker], 0, __ATOMIC_RELAXED);
}

static void run_and_check(struct pool *pool, size_t n, size_t grain)
{
    static struct job job;

    memset(&job, 0, sizeof job);
    job.n = n;
    job.grain = grain;
    job.n_workers = pool_size(pool);
    pool_run(pool, count_items, &job, n, grain);
    CHECK_MSG(!job.bad, "bad call for %zu items, grain %zu", n, grain);
    for (size_t i = 0; i < ITEMS_MAX; i++)
        CHECK_MSG(job.seen[i] == (i < n), "item %zu of %zu, grain %zu: %d times", i, n, grain, job.seen[i]);
}

static void every_item_once(void)
{
    static const int threads[] = {1, 2, 3, 7, 16};
    static const size_t items[] = {0, 1, 2, 3, 15, 16, 17, 100, 4999, 5000};
    static const size_t grains[] = {1, 2, 7, 16, 4999, 5000, SIZE_MAX};

    for (size_t t = 0; t < sizeof threads / sizeof *threads; t++) {
        struct pool *pool;
        CHECK(pool_create(&pool, threads[t], NULL) == STATUS_OK);
        CHECK(pool_size(pool) == threads[t]);
        for (size_t i = 0; i < sizeof items / sizeof *items; i++)
            for (size_t g = 0; g < sizeof grains / sizeof *grains; g++)
                run_and_check(pool, items[i], grains[g]);
        pool_destroy(pool);
    }
    run_and_check(NULL, 100, 7);
    pool_destroy(NULL);
    CHECK(memory_live() == 0);
}

/* Many short jobs one after another, with pauses now and then so that workers fall asleep. */
static void hammering(void)
{
    int n_jobs = test_quick() ? 500 : 20000;
    struct pool *pool;

    CHECK(pool_create(&pool, 5, NULL) == STATUS_OK);
    for (int i = 0; i < n_jobs && !test_failed_here; i++) {
        if (i % 1000 == 999) {
            struct timespec pause = {0, 2000000};
            nanosleep(&pause, NULL);
        }
        run_and_check(pool, (size_t)(i * 7919 % 97), 1 + (size_t)(i % 5));
    }
    pool_destroy(pool);
}

/* The caller is done first and falls asleep about when the worker leaves: neither may miss the other. The times lie
 * around the pool's spin of 100 microseconds. Of a worker that never comes the caller takes all after a millisecond. */
struct outlast {
    int inside; /* threads at work */
    int items;
    double seconds;
};

static void outlast(void *context, size_t begin, size_t end, int worker)
{
    struct outlast *job = context;
    double start = progress_now(), limit = worker ? job->seconds : 1e-3;

    __atomic_fetch_add(&job->inside, 1, __ATOMIC_SEQ_CST);
    while (progress_now() - start < limit && (worker || __atomic_load_n(&job->inside, __ATOMIC_SEQ_CST) < 2))
        ;
    __atomic_fetch_add(&job->items, (int)(end - begin), __ATOMIC_RELAXED);
}

static void worker_outlasts_caller(void)
{
    int n_jobs = test_quick() ? 10000 : 20000;
    struct pool *pool;

    CHECK(pool_create(&pool, 2, NULL) == STATUS_OK);
    for (int i = 0; i < n_jobs && !test_failed_here; i++) {
        struct outlast job = {0, 0, 80e-6 + 1e-7 * (i * 7919 % 600)};
        pool_run(pool, outlast, &job, 2, 1);
        CHECK_MSG(job.items == 2, "job %d: %d items of 2 when it was over", i, job.items);
    }
    pool_destroy(pool);
}

static void create_and_destroy(void)
{
    for (int i = 0; i < (test_quick() ? 20 : 300); i++) {
        struct pool *pool;
        CHECK(pool_create(&pool, 1 + i % 6, NULL) == STATUS_OK);
        if (i % 3)
            run_and_check(pool, 50, 3);
        pool_destroy(pool);
    }
    CHECK(memory_live() == 0);
}

struct sum {
    float in[4096], out[4096];
};

static void chained_sum(void *context, size_t begin, size_t end, int worker)
{
    struct sum *sum = context;

    (void)worker;
    for (size_t i = begin; i < end; i++) {
        float acc = 0;
        for (size_t k = 0; k < 64; k++)
            acc = acc * 1.0001f + sum->in[(i * 31 + k * k) % 4096];
        sum->out[i] = acc;
    }
}

static void same_bits_for_every_thread_count(void)
{
    static struct sum sum;
    static float first[4096];

    for (size_t i = 0; i < 4096; i++)
        sum.in[i] = (float)(i * 2654435761u % 10007) / 3.0f;
    pool_run(NULL, chained_sum, &sum, 4096, 13);
    memcpy(first, sum.out, sizeof first);
    for (int threads = 1; threads <= 7; threads++) {
        struct pool *pool;
        CHECK(pool_create(&pool, threads, NULL) == STATUS_OK);
        memset(sum.out, 0, sizeof sum.out);
        pool_run(pool, chained_sum, &sum, 4096, 1 + (size_t)threads * 5);
        CHECK(memcmp(first, sum.out, sizeof first) == 0);
        pool_destroy(pool);
    }
}

static void creation_fails(void)
{
    struct pool *pool = (struct pool *)&pool;
    struct diag diag;

    CHECK(pool_create(&pool, -1, &diag) == STATUS_RANGE && !pool);
    CHECK(pool_create(&pool, 257, &diag) == STATUS_RANGE && !pool);
    for (size_t n = 1; n <= 4; n++) {
        pool_fail_at(n);
        CHECK(pool_create(&pool, 5, &diag) == STATUS_MEMORY && !pool);
        CHECK(strstr(diag.message, "thread") != NULL);
        pool_fail_at(0);
        CHECK(memory_live() == 0);
    }
    pool_fail_at(5);
    CHECK(pool_create(&pool, 5, &diag) == STATUS_OK);
    pool_fail_at(0);
    run_and_check(pool, 100, 1);
    pool_destroy(pool);
    memory_fail_at(1);
    CHECK(pool_create(&pool, 2, &diag) == STATUS_MEMORY && !pool);
    memory_fail_at(0);
    CHECK(pool_create(&pool, 0, NULL) == STATUS_OK && pool_size(pool) >= 1);
    pool_destroy(pool);
}

static void spin_a_little(void *context, size_t begin, size_t end, int worker)
{
    unsigned *counts = context;

    for (size_t i = begin; i < end; i++)
        counts[worker * 16] += (unsigned)(i & 1);
}

/* Far more threads than any test machine gives us: still no collapse. The bound is generous, for busy machines:
 * measured 0.01 ms per job on two cores; a pool that spins without yielding takes a scheduler slice (3 ms) per job. */
#define CROWDED_MS 2.0

static void crowded_pool_does_not_collapse(void)
{
    static unsigned counts[256 * 16];
    int n_jobs = test_quick() ? 50 : 1000;
    struct pool *pool;
    double start;

    CHECK(pool_create(&pool, 64, NULL) == STATUS_OK);
    start = progress_now();
    for (int i = 0; i < n_jobs; i++)
        pool_run(pool, spin_a_little, counts, 640, 10);
    start = (progress_now() - start) * 1e3 / n_jobs;
    if (!test_quick())
        CHECK_MSG(start < CROWDED_MS, "%.3f ms per job with 64 threads", start);
    pool_destroy(pool);
}

int main(void)
{
    RUN(every_item_once);
    RUN(hammering);
    RUN(worker_outlasts_caller);
    RUN(create_and_destroy);
    RUN(same_bits_for_every_thread_count);
    RUN(creation_fails);
    RUN(crowded_pool_does_not_collapse);
    return TEST_RESULT();
}
