/* exec.h - what every operation is handed to compute with: a kernel table and a thread pool. */
#ifndef ARKLET_EXEC_H
#define ARKLET_EXEC_H

#include "kernels.h"
#include "pool.h"

struct exec {
    const struct kernels *kernels;
    struct pool *pool; /* NULL: the caller's thread alone */
};

#endif
