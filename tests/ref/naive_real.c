/* naive_real.c - the naive model over double. */
#include "naive.h"
#include <tgmath.h>
#define number double
#define NAME   NAIVE_REAL
#include "naive_forward.h"
