/* swiglu.h - the gated activation of the feed-forward block (Shazeer 2020, "GLU Variants Improve Transformer"). */
#ifndef ARKLET_SWIGLU_H
#define ARKLET_SWIGLU_H

#include <stddef.h>
#include "exec.h"

enum activation { ACTIVATION_SILU, ACTIVATION_GELU /* tanh form, as gemma */ };

/* y [T][stride] = activation(gate) * up, n of stride columns; y may be gate. */
void swiglu_forward(const struct exec *exec, float *y, const float *gate, const float *up, size_t n_tokens,
                    size_t stride, size_t n, enum activation activation);

/* From dy: gate becomes d_gate = dy * up * activation'(gate), up becomes d_up = dy * activation(gate). */
void swiglu_backward(const struct exec *exec, float *gate, float *up, const float *dy, size_t n_tokens, size_t stride,
                     size_t n, enum activation activation);

#endif
