/* pool.h - one explicit thread pool; the caller is worker 0.
 *
 * Work is a range of items cut into grains that workers take from a counter. Which worker computes
 * an item never influences the result: each output element has one owner and a fixed order of
 * operations, so any schedule gives the same bits. */
#ifndef ARKLET_POOL_H
#define ARKLET_POOL_H

#include <stddef.h>
#include "status.h"

struct pool;

/* Called for begin <= item < end by one worker (0 <= worker < pool_size), always with begin a multiple of the
 * grain and 1 <= end - begin <= grain, on one thread as on many. Two calls at the same time never have the same
 * worker, which may therefore index scratch memory. */
typedef void pool_work(void *context, size_t begin, size_t end, int worker);

/* n_threads 0: one per CPU this process may use (at most 256). Idle threads spin for about 0.1 ms, then sleep.
 * STATUS_MEMORY when a thread cannot be created (none is left behind), STATUS_RANGE outside 0..256. */
enum status pool_create(struct pool **pool, int n_threads, struct diag *diag);
void pool_destroy(struct pool *pool);   /* NULL is allowed */
int pool_size(const struct pool *pool); /* NULL counts as 1 */

/* Runs work over items 0..n_items-1 in grains of `grain` items (>= 1) and returns when all are done.
 * pool NULL runs in the caller, and so does a job of a single grain. Not re-entrant: one job at a time, and
 * `work` must not call pool_run on the same pool. What `work` wrote is visible to the caller afterwards. */
void pool_run(struct pool *pool, pool_work *work, void *context, size_t n_items, size_t grain);

/* Tests: the n-th thread creation from now on fails (1 = the next); 0 switches the fault off. */
void pool_fail_at(size_t n);

#endif
