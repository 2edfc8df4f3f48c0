/* naive_complex.c - the naive model over double complex, for derivatives by complex step. */
#include "naive.h"
#include <tgmath.h>
#define number double complex
#define NAME   NAIVE_COMPLEX
#include "naive_forward.h"
