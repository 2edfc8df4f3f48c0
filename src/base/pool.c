/* pool.c - the thread pool: one job at a time, grains taken from a counter, short spins before sleep.
 *
 *   caller: write the job, open = 1, ticket++, wake sleepers | take grains | open = 0 | wait until active == 0
 *   worker: wait for a new ticket | active++ | open? take grains | active--
 *
 * Invariants: the job's fields change only while open == 0 and active == 0 counts no worker that saw open == 1. The
 * two sides order "announce myself, then look at the other" with sequentially consistent operations: either the
 * worker sees the job closed, or the caller sees the worker active and waits. So nobody waits for a worker
 * that is still asleep: a job that the caller finishes alone costs no wake-up latency. Every announcement is a
 * read-modify-write: QEMU lets the load of an AArch64 ldar pass the store of a stlr before it.
 * A decode step makes some hundred short calls, so idle workers, and a caller that waits for the last of them, spin for
 * POOL_SPIN seconds before they sleep. A caller that spun on would take the CPU from the very worker it waits for
 * where other programs want it too.
 * Leaves out: nested jobs, priorities, pinning of threads. */
#if defined(__linux__) && !defined(_GNU_SOURCE)
#define _GNU_SOURCE /* sched_getaffinity; other systems count the online CPUs */
#endif
#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "arena.h"
#include "pool.h"

#define POOL_MAX     256
#define POOL_SPIN    100e-6            /* seconds a waiter stays awake: longer than the gaps inside a decode step */
#define POOL_PATIENT 10e-6             /* seconds of pure spinning before a waiter also offers its core to others */
#define POOL_STACK   ((size_t)8 << 20) /* bytes; some systems give threads no more than 128 KB */
#define CACHE_LINE   64

/* What several threads write lies on cache lines of its own. */
struct pool {
    int n_threads; /* including the caller */
    int crowded;   /* more threads than CPUs: spinning would keep the one from running that we wait for */
    pool_work *work;
    void *context;
    size_t n_items, grain, n_grains;
    char gap0[CACHE_LINE];
    size_t next; /* grain to be taken */
    char gap1[CACHE_LINE];
    unsigned ticket; /* counts jobs; changes when there is something to do */
    int open;        /* the job may be entered */
    int stop;
    char gap2[CACHE_LINE];
    int active; /* workers inside the gate */
    int sleepers;
    int caller_sleeps;
    char gap3[CACHE_LINE];
    pthread_mutex_t mutex; /* guards sleeping only */
    pthread_cond_t wake, idle;
    struct worker {
        struct pool *pool;
        pthread_t thread;
        int index;
    } workers[POOL_MAX];
};

static size_t fail_countdown;

void pool_fail_at(size_t n)
{
    fail_countdown = n;
}

static double now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static int online_cpus(void)
{
    long n = sysconf(_SC_NPROCESSORS_ONLN);
#ifdef CPU_COUNT
    cpu_set_t set; /* a container or taskset may allow fewer */

    if (sched_getaffinity(0, sizeof set, &set) == 0 && CPU_COUNT(&set) >= 1)
        n = CPU_COUNT(&set);
#endif
    return n < 1 ? 1 : n > POOL_MAX ? POOL_MAX : (int)n;
}

static void relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("isb" ::: "memory");
#endif
}

/* One round of waiting; *since is 0 at first. Returns the seconds waited so far. */
static double wait_round(const struct pool *pool, double *since)
{
    double t, waited;

    for (int i = 0; i < 32 && !pool->crowded; i++)
        relax();
    t = now();
    if (*since <= 0)
        *since = t;
    waited = t - *since;
    if (pool->crowded || waited > POOL_PATIENT)
        sched_yield();
    return waited;
}

static void sleep_until_ticket(struct pool *pool, unsigned seen)
{
    pthread_mutex_lock(&pool->mutex);
    __atomic_fetch_add(&pool->sleepers, 1, __ATOMIC_SEQ_CST);
    while (__atomic_load_n(&pool->ticket, __ATOMIC_SEQ_CST) == seen)
        pthread_cond_wait(&pool->wake, &pool->mutex);
    __atomic_fetch_sub(&pool->sleepers, 1, __ATOMIC_SEQ_CST);
    pthread_mutex_unlock(&pool->mutex);
}

static void sleep_until_idle(struct pool *pool)
{
    pthread_mutex_lock(&pool->mutex);
    __atomic_exchange_n(&pool->caller_sleeps, 1, __ATOMIC_SEQ_CST);
    while (__atomic_load_n(&pool->active, __ATOMIC_SEQ_CST))
        pthread_cond_wait(&pool->idle, &pool->mutex);
    __atomic_store_n(&pool->caller_sleeps, 0, __ATOMIC_SEQ_CST);
    pthread_mutex_unlock(&pool->mutex);
}

/* The last worker to leave wakes the caller. */
static void leave(struct pool *pool)
{
    if (__atomic_sub_fetch(&pool->active, 1, __ATOMIC_SEQ_CST) == 0 &&
        __atomic_load_n(&pool->caller_sleeps, __ATOMIC_SEQ_CST)) {
        pthread_mutex_lock(&pool->mutex);
        pthread_cond_signal(&pool->idle);
        pthread_mutex_unlock(&pool->mutex);
    }
}

static void new_ticket(struct pool *pool)
{
    __atomic_fetch_add(&pool->ticket, 1, __ATOMIC_SEQ_CST);
    if (__atomic_load_n(&pool->sleepers, __ATOMIC_SEQ_CST)) {
        pthread_mutex_lock(&pool->mutex);
        pthread_cond_broadcast(&pool->wake);
        pthread_mutex_unlock(&pool->mutex);
    }
}

static void take_grains(struct pool *pool, int worker)
{
    size_t g, begin, n;

    while ((g = __atomic_fetch_add(&pool->next, 1, __ATOMIC_RELAXED)) < pool->n_grains) {
        begin = g * pool->grain;
        n = pool->n_items - begin < pool->grain ? pool->n_items - begin : pool->grain;
        pool->work(pool->context, begin, begin + n, worker);
    }
}

static void *worker_main(void *argument)
{
    struct worker *worker = argument;
    struct pool *pool = worker->pool;
    unsigned seen = 0, ticket;

    for (;;) {
        double since = 0;
        while ((ticket = __atomic_load_n(&pool->ticket, __ATOMIC_ACQUIRE)) == seen)
            if (wait_round(pool, &since) > POOL_SPIN)
                sleep_until_ticket(pool, seen);
        seen = ticket;
        if (__atomic_load_n(&pool->stop, __ATOMIC_ACQUIRE))
            return NULL;
        __atomic_fetch_add(&pool->active, 1, __ATOMIC_SEQ_CST);
        if (__atomic_load_n(&pool->open, __ATOMIC_SEQ_CST))
            take_grains(pool, worker->index);
        leave(pool);
    }
}

/* Workers leave signals to the caller's thread. Returns an errno value. */
static int start_worker(struct worker *worker)
{
    pthread_attr_t attributes;
    sigset_t all, old;
    int error;

    if (fail_countdown && --fail_countdown == 0)
        return EAGAIN;
    error = pthread_attr_init(&attributes);
    if (error)
        return error;
    pthread_attr_setstacksize(&attributes, POOL_STACK);
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &old);
    error = pthread_create(&worker->thread, &attributes, worker_main, worker);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    pthread_attr_destroy(&attributes);
    return error;
}

enum status pool_create(struct pool **out, int n_threads, struct diag *diag)
{
    struct pool *pool;
    int error;

    *out = NULL;
    if (n_threads < 0 || n_threads > POOL_MAX)
        return diag_fail(diag, STATUS_RANGE, "threads: expected 0 to %d, found %d", POOL_MAX, n_threads);
    pool = memory_alloc(sizeof *pool);
    if (!pool)
        return diag_fail(diag, STATUS_MEMORY, "threads: out of memory");
    memset(pool, 0, sizeof *pool);
    n_threads = n_threads ? n_threads : online_cpus();
    pool->crowded = n_threads > online_cpus();
    pthread_mutex_init(&pool->mutex, NULL);
    pthread_cond_init(&pool->wake, NULL);
    pthread_cond_init(&pool->idle, NULL);
    for (pool->n_threads = 1; pool->n_threads < n_threads; pool->n_threads++) {
        struct worker *worker = &pool->workers[pool->n_threads];
        worker->pool = pool;
        worker->index = pool->n_threads;
        error = start_worker(worker);
        if (error) {
            int made = pool->n_threads;
            pool_destroy(pool);
            return diag_fail(diag, STATUS_MEMORY, "threads: cannot start thread %d of %d: %s", made + 1, n_threads,
                             strerror(error));
        }
    }
    *out = pool;
    return STATUS_OK;
}

void pool_destroy(struct pool *pool)
{
    if (!pool)
        return;
    __atomic_store_n(&pool->stop, 1, __ATOMIC_SEQ_CST);
    new_ticket(pool);
    for (int i = 1; i < pool->n_threads; i++)
        pthread_join(pool->workers[i].thread, NULL);
    pthread_cond_destroy(&pool->wake);
    pthread_cond_destroy(&pool->idle);
    pthread_mutex_destroy(&pool->mutex);
    memory_free(pool);
}

int pool_size(const struct pool *pool)
{
    return pool ? pool->n_threads : 1;
}

static void run_alone(pool_work *work, void *context, size_t n_items, size_t grain)
{
    for (size_t begin = 0, n; begin < n_items; begin += n) {
        n = n_items - begin < grain ? n_items - begin : grain;
        work(context, begin, begin + n, 0);
    }
}

void pool_run(struct pool *pool, pool_work *work, void *context, size_t n_items, size_t grain)
{
    double since = 0;

    assert(grain >= 1);
    if (!pool || pool->n_threads == 1 || n_items <= grain) {
        run_alone(work, context, n_items, grain);
        return;
    }
    assert(!__atomic_load_n(&pool->open, __ATOMIC_RELAXED)); /* not re-entrant */
    pool->work = work;
    pool->context = context;
    pool->n_items = n_items;
    pool->grain = grain;
    pool->n_grains = n_items / grain + (n_items % grain != 0);
    __atomic_store_n(&pool->next, 0, __ATOMIC_RELAXED);
    __atomic_store_n(&pool->open, 1, __ATOMIC_SEQ_CST);
    new_ticket(pool);
    take_grains(pool, 0);
    __atomic_exchange_n(&pool->open, 0, __ATOMIC_SEQ_CST);
    while (__atomic_load_n(&pool->active, __ATOMIC_SEQ_CST))
        if (wait_round(pool, &since) > POOL_SPIN)
            sleep_until_idle(pool);
}
