/* dtype.c - the table of storage formats and the dispatch of rows to their decoders and encoders.
 *
 * Invariant: the table holds exactly the ids of enum dtype, so an id read from a file is valid once
 * dtype_info accepts it. Next: decode.c, decode_k.c, encode.c. */
#include <assert.h>
#include "blocks.h"
#include "dtype.h"

static const struct dtype_info infos[] = {
    {DTYPE_F32, "F32", 1, 4, 1},         {DTYPE_F16, "F16", 1, 2, 1},       {DTYPE_Q4_0, "Q4_0", 32, 18, 1},
    {DTYPE_Q4_1, "Q4_1", 32, 20, 1},     {DTYPE_Q5_0, "Q5_0", 32, 22, 1},   {DTYPE_Q5_1, "Q5_1", 32, 24, 1},
    {DTYPE_Q8_0, "Q8_0", 32, 34, 1},     {DTYPE_Q2_K, "Q2_K", 256, 84, 1},  {DTYPE_Q3_K, "Q3_K", 256, 110, 1},
    {DTYPE_Q4_K, "Q4_K", 256, 144, 1},   {DTYPE_Q5_K, "Q5_K", 256, 176, 1}, {DTYPE_Q6_K, "Q6_K", 256, 210, 1},
    {DTYPE_IQ4_NL, "IQ4_NL", 32, 18, 1}, {DTYPE_I8, "I8", 1, 1, 0},         {DTYPE_I16, "I16", 1, 2, 0},
    {DTYPE_I32, "I32", 1, 4, 0},         {DTYPE_I64, "I64", 1, 8, 0},       {DTYPE_F64, "F64", 1, 8, 0},
    {DTYPE_BF16, "BF16", 1, 2, 1},
};

/* IQ4_NL's sixteen levels: a format constant, part of the file format. */
const int8_t iq4nl_values[16] = {-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113};

const struct dtype_info *dtype_info(uint32_t id)
{
    for (size_t i = 0; i < sizeof infos / sizeof *infos; i++)
        if ((uint32_t)infos[i].type == id)
            return &infos[i];
    return NULL;
}

static int same_without_case(const char *a, const char *b)
{
    for (;; a++, b++) {
        char upper = *b >= 'a' && *b <= 'z' ? (char)(*b - 'a' + 'A') : *b;
        if (*a != upper)
            return 0;
        if (!*a)
            return 1;
    }
}

const struct dtype_info *dtype_by_name(const char *name)
{
    for (size_t i = 0; i < sizeof infos / sizeof *infos; i++)
        if (same_without_case(infos[i].name, name))
            return &infos[i];
    return NULL;
}

static void decode_f16(float *dst, const uint8_t *src, size_t n)
{
    for (size_t i = 0; i < n; i++)
        dst[i] = half_from_f16(load_u16(src + 2 * i));
}

static void decode_bf16(float *dst, const uint8_t *src, size_t n)
{
    for (size_t i = 0; i < n; i++)
        dst[i] = half_from_bf16(load_u16(src + 2 * i));
}

static void encode_f16(uint8_t *dst, const float *src, size_t n)
{
    for (size_t i = 0; i < n; i++)
        store_u16(dst + 2 * i, half_to_f16(src[i]));
}

static void encode_bf16(uint8_t *dst, const float *src, size_t n)
{
    for (size_t i = 0; i < n; i++)
        store_u16(dst + 2 * i, half_to_bf16(src[i]));
}

static void copy_to_f32(float *dst, const uint8_t *src, size_t n)
{
    memcpy(dst, src, 4 * n);
}

static void copy_from_f32(uint8_t *dst, const float *src, size_t n)
{
    memcpy(dst, src, 4 * n);
}

static const struct row_functions {
    enum dtype type;
    void (*decode)(float *dst, const uint8_t *src, size_t n);
    void (*encode)(uint8_t *dst, const float *src, size_t n);
} functions[] = {
    {DTYPE_F32, copy_to_f32, copy_from_f32}, {DTYPE_F16, decode_f16, encode_f16},
    {DTYPE_BF16, decode_bf16, encode_bf16},  {DTYPE_Q8_0, decode_q8_0, encode_q8_0},
    {DTYPE_Q4_0, decode_q4_0, encode_q4_0},  {DTYPE_Q4_1, decode_q4_1, encode_q4_1},
    {DTYPE_Q5_0, decode_q5_0, encode_q5_0},  {DTYPE_Q5_1, decode_q5_1, encode_q5_1},
    {DTYPE_Q2_K, decode_q2_k, encode_q2_k},  {DTYPE_Q3_K, decode_q3_k, encode_q3_k},
    {DTYPE_Q4_K, decode_q4_k, encode_q4_k},  {DTYPE_Q5_K, decode_q5_k, encode_q5_k},
    {DTYPE_Q6_K, decode_q6_k, encode_q6_k},  {DTYPE_IQ4_NL, decode_iq4_nl, encode_iq4_nl},
};

static const struct row_functions *functions_of(enum dtype type, size_t n)
{
    const struct dtype_info *info = dtype_info((uint32_t)type);
    size_t i = 0;
    assert(info && info->is_weight && n % info->block_len == 0);
    (void)info, (void)n;
    while (functions[i].type != type)
        i++;
    return &functions[i];
}

void dtype_decode_row(enum dtype type, float *dst, const void *src, size_t n)
{
    functions_of(type, n)->decode(dst, src, n);
}

void dtype_encode_row(enum dtype type, void *dst, const float *src, size_t n)
{
    functions_of(type, n)->encode(dst, src, n);
}
