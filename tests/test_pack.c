/* test_pack.c - packed layouts: exact against the storage decoder, and byte by byte as pack.h draws them.
 *
 * Storage blocks are random bytes with finite f16 scales: every code, sign and scale field takes all values,
 * which encoded weights would not. Buffers are surrounded by guard bytes. */
#include "test.h"
#include "half.h"
#include "pack.h"

static const enum dtype types[] = {DTYPE_F32,  DTYPE_F16,  DTYPE_BF16, DTYPE_Q8_0,  DTYPE_Q4_0,
                                   DTYPE_Q4_1, DTYPE_Q5_0, DTYPE_Q5_1, DTYPE_Q2_K,  DTYPE_Q3_K,
                                   DTYPE_Q4_K, DTYPE_Q5_K, DTYPE_Q6_K, DTYPE_IQ4_NL};

enum { N_TYPES = sizeof types / sizeof *types, GUARD = 64 };

static uint64_t random_state = 0x9e3779b97f4a7c15u;

static uint32_t random_u32(void)
{
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(random_state >> 33) ^ (uint32_t)(random_state >> 11);
}

/* A finite f16, denormals and negative zero among them. */
static uint16_t random_f16(void)
{
    uint16_t bits;
    do
        bits = (uint16_t)random_u32();
    while ((bits & 0x7c00u) == 0x7c00u);
    return bits;
}

/* Offsets of the f16 fields of a block; -1 ends the list. */
static void f16_fields(enum dtype type, int fields[2])
{
    int d = type == DTYPE_Q6_K ? 208 : type == DTYPE_Q3_K ? 108 : type == DTYPE_Q2_K ? 80 : 0;
    int two =
        type == DTYPE_Q4_1 || type == DTYPE_Q5_1 || type == DTYPE_Q2_K || type == DTYPE_Q4_K || type == DTYPE_Q5_K;
    fields[0] = d;
    fields[1] = two ? d + 2 : -1;
}

static void random_rows(enum dtype type, uint8_t *bytes, size_t size)
{
    const struct dtype_info *info = dtype_info((uint32_t)type);
    int fields[2];
    f16_fields(type, fields);
    for (size_t i = 0; i < size; i++)
        bytes[i] = (uint8_t)(random_u32() >> 7);
    for (size_t block = 0; block < size; block += info->block_bytes) {
        if (info->block_len == 1) { /* any bits but NaN and infinity: clear one exponent bit */
            bytes[block + info->block_bytes - 1] &= 0xbf;
            continue;
        }
        for (int i = 0; i < 2 && fields[i] >= 0; i++) {
            uint16_t half = random_f16();
            memcpy(bytes + block + fields[i], &half, 2);
        }
    }
}

/* A storage matrix and its packed form, packed in two ranges as two threads would. */
struct matrix {
    struct pack pack;
    uint8_t *rows, *packed;
    size_t row_bytes;
};

static struct matrix matrix_make(enum dtype type, size_t rows, size_t cols)
{
    struct matrix m;
    const struct dtype_info *info = dtype_info((uint32_t)type);
    size_t half;
    pack_shape(&m.pack, type, rows, cols);
    m.row_bytes = cols / info->block_len * info->block_bytes;
    m.rows = malloc(rows * m.row_bytes);
    m.packed = malloc(pack_bytes(&m.pack) + 2 * GUARD);
    if (!m.rows || !m.packed)
        abort();
    memset(m.packed, 0xa5, pack_bytes(&m.pack) + 2 * GUARD);
    random_rows(type, m.rows, rows * m.row_bytes);
    half = m.pack.n_panels / 2;
    pack_panels(&m.pack, m.packed + GUARD, type, m.rows, half, m.pack.n_panels);
    pack_panels(&m.pack, m.packed + GUARD, type, m.rows, 0, half);
    m.pack.data = m.packed + GUARD;
    return m;
}

static void matrix_free(struct matrix *m)
{
    free(m->rows);
    free(m->packed);
}

static void check_guards(const struct matrix *m)
{
    for (size_t i = 0; i < GUARD; i++)
        CHECK(m->packed[i] == 0xa5 && m->packed[GUARD + pack_bytes(&m->pack) + i] == 0xa5);
}

static void check_rows(enum dtype type, size_t rows, size_t cols)
{
    struct matrix m = matrix_make(type, rows, cols);
    float *want = malloc(cols * sizeof *want), *got = malloc(cols * sizeof *got);
    if (!want || !got)
        abort();
    for (size_t r = 0; r < rows; r++) {
        dtype_decode_row(type, want, m.rows + r * m.row_bytes, cols);
        pack_decode_row(&m.pack, r, 0, cols, got);
        CHECK_MSG(!memcmp(want, got, cols * sizeof *got), "%s: row %zu of %zu x %zu differs",
                  dtype_info((uint32_t)type)->name, r, rows, cols);
    }
    check_guards(&m);
    free(want);
    free(got);
    matrix_free(&m);
}

static void test_pack_every_type_and_row_count(void)
{
    static const size_t row_counts[] = {1, 3, 15, 16, 17, 31, 32, 33, 172};
    for (size_t t = 0; t < N_TYPES; t++)
        for (size_t i = 0; i < sizeof row_counts / sizeof *row_counts; i++) {
            size_t block = dtype_info((uint32_t)types[t])->block_len;
            check_rows(types[t], row_counts[i], block == 1 ? 64 : 3 * block);
        }
}

static void test_pack_odd_columns_of_floats(void)
{
    static const size_t cols[] = {1, 3, 15, 17, 31, 33, 172};
    for (size_t t = 0; t < 3; t++)
        for (size_t i = 0; i < sizeof cols / sizeof *cols; i++)
            for (size_t rows = 1; rows < 35; rows += 11)
                check_rows(types[t], rows, cols[i]);
}

static void test_pack_column_ranges(void)
{
    for (size_t t = 0; t < N_TYPES; t++) {
        struct matrix m = matrix_make(types[t], 19, 512);
        float want[512], got[512];
        dtype_decode_row(types[t], want, m.rows + 17 * m.row_bytes, 512);
        for (size_t col = 0; col < 512; col += 32)
            for (size_t n = 0; col + n <= 512; n += 32) {
                memset(got, 0x55, sizeof got);
                pack_decode_row(&m.pack, 17, col, n, got);
                CHECK_MSG(!memcmp(want + col, got, n * sizeof *got), "%s: columns %zu + %zu",
                          dtype_info((uint32_t)types[t])->name, col, n);
            }
        if (t < 3) {
            pack_decode_row(&m.pack, 17, 7, 11, got);
            CHECK(!memcmp(want + 7, got, 11 * sizeof *got));
        }
        matrix_free(&m);
    }
}

/* Reads of the drawing in pack.h, one expression per sentence, independent of pack_decode.c. */
static unsigned code_at(const struct pack *pack, const uint8_t *panel, size_t block, size_t r, size_t column)
{
    const uint8_t *codes = panel + block * pack_infos[pack->class_].code_bytes;
    size_t j = column / 4, b = column % 4, at = 4 * r + b;
    unsigned low = 0, high = 0;
    switch ((int)pack->class_) {
    case PACK_8:
        return codes[64 * j + at];
    case PACK_2K:
        return (unsigned)codes[64 * (j / 4) + at] >> (2 * (j % 4)) & 3;
    default:
        low = j < 4 ? codes[64 * j + at] & 15u : (unsigned)codes[64 * (j - 4) + at] >> 4;
    }
    if (pack->class_ == PACK_5 || pack->class_ == PACK_51 || pack->class_ == PACK_5K)
        high = (unsigned)codes[256 + at] >> j & 1;
    if (pack->class_ == PACK_6K)
        high = (unsigned)codes[256 + 64 * (j / 4) + at] >> (2 * (j % 4)) & 3;
    return low | high << 4;
}

/* The storage code of element i, read bit by bit as blocks.h draws it (PACK_6K's bias for Q3_K included). */
static unsigned storage_code(enum dtype type, const uint8_t *s, size_t i)
{
    static const uint8_t iq4nl[16] = {129, 152, 173, 191, 207, 221, 234, 246, 1, 13, 25, 38, 53, 69, 89, 113};
    size_t h = i % 128, l = i % 32, sub = i / 32;
    unsigned nibble_shift = i % 32 < 16 ? 0 : 4;
    switch ((int)type) {
    case DTYPE_Q8_0:
        return s[2 + i];
    case DTYPE_Q4_0:
        return (unsigned)s[2 + i % 16] >> nibble_shift & 15;
    case DTYPE_IQ4_NL:
        return iq4nl[(unsigned)s[2 + i % 16] >> nibble_shift & 15];
    case DTYPE_Q4_1:
        return (unsigned)s[4 + i % 16] >> nibble_shift & 15;
    case DTYPE_Q5_0:
        return ((unsigned)s[6 + i % 16] >> nibble_shift & 15) | ((unsigned)s[2 + i / 8] >> (i % 8) & 1) << 4;
    case DTYPE_Q5_1:
        return ((unsigned)s[8 + i % 16] >> nibble_shift & 15) | ((unsigned)s[4 + i / 8] >> (i % 8) & 1) << 4;
    case DTYPE_Q4_K:
        return (unsigned)s[16 + i / 64 * 32 + l] >> (sub % 2 * 4) & 15;
    case DTYPE_Q5_K:
        return ((unsigned)s[48 + i / 64 * 32 + l] >> (sub % 2 * 4) & 15) | ((unsigned)s[16 + l] >> sub & 1) << 4;
    case DTYPE_Q6_K:
        return ((unsigned)s[i / 128 * 64 + h % 64] >> (h < 64 ? 0 : 4) & 15) |
               ((unsigned)s[128 + i / 128 * 32 + l] >> (sub % 4 * 2) & 3) << 4;
    case DTYPE_Q3_K:
        return (((unsigned)s[32 + i / 128 * 32 + l] >> (sub % 4 * 2) & 3) | ((unsigned)s[l] >> sub & 1) << 2) + 28;
    default: /* Q2_K */
        return (unsigned)s[16 + i / 128 * 32 + l] >> (sub % 4 * 2) & 3;
    }
}

static void test_pack_codes_lie_as_drawn(void)
{
    for (size_t t = 3; t < N_TYPES; t++) {
        const struct dtype_info *info = dtype_info((uint32_t)types[t]);
        struct matrix m = matrix_make(types[t], 37, 2 * info->block_len);
        for (size_t row = 0; row < 48; row++)
            for (size_t k = 0; k < 2 * info->block_len; k++) {
                const uint8_t *panel = m.pack.data + row / 16 * m.pack.panel_bytes;
                const uint8_t *block = m.rows + row * m.row_bytes + k / info->block_len * info->block_bytes;
                unsigned got = code_at(&m.pack, panel, k / 32, row % 16, k % 32);
                unsigned want = row < 37 ? storage_code(types[t], block, k % info->block_len) : 0;
                CHECK_MSG(got == want, "%s: row %zu, column %zu: code %u, want %u", info->name, row, k, got, want);
            }
        matrix_free(&m);
    }
}

static void test_pack_scales_lie_as_drawn(void)
{
    for (size_t t = 3; t < N_TYPES; t++) {
        const struct dtype_info *info = dtype_info((uint32_t)types[t]);
        struct matrix m = matrix_make(types[t], 18, 3 * info->block_len);
        const struct pack_info *layout = &pack_infos[m.pack.class_];
        size_t group = layout->super_bytes + layout->super_blocks * layout->scale_bytes;
        int fields[2];
        f16_fields(types[t], fields);
        for (size_t row = 0; row < 32; row++)
            for (size_t b = 0; b < 3; b++) {
                const uint8_t *panel = m.pack.data + row / 16 * m.pack.panel_bytes;
                const uint8_t *at = panel + m.pack.n_blocks * layout->code_bytes + b * group + row % 16 * 2;
                const uint8_t *block = m.rows + row * m.row_bytes + b * info->block_bytes;
                for (int i = 0; i < 2 && fields[i] >= 0; i++)
                    CHECK_MSG(row < 18 ? !memcmp(at + 32 * i, block + fields[i], 2) : !at[32 * i] && !at[32 * i + 1],
                              "%s: row %zu block %zu", info->name, row, b);
            }
        matrix_free(&m);
    }
}

/* Integer scales of Q4_K: sc[5] and m[5] share byte 9 with their upper bits in bytes 1 and 5. */
static void test_pack_integer_scales_lie_as_drawn(void)
{
    struct matrix m = matrix_make(DTYPE_Q4_K, 16, 256);
    const uint8_t *scales = m.pack.data + 8 * 256 + 64;
    for (size_t r = 0; r < 16; r++) {
        const uint8_t *packed = m.rows + r * m.row_bytes + 4;
        CHECK(scales[r] == (packed[0] & 63) && scales[16 + r] == (packed[4] & 63));
        CHECK(scales[5 * 32 + r] == ((packed[9] & 15) | packed[1] >> 6 << 4));
        CHECK(scales[5 * 32 + 16 + r] == (packed[9] >> 4 | packed[5] >> 6 << 4));
    }
    matrix_free(&m);
    m = matrix_make(DTYPE_Q6_K, 16, 256);
    scales = m.pack.data + 8 * 384 + 32;
    for (size_t r = 0; r < 16; r++)
        for (size_t i = 0; i < 16; i++)
            CHECK(scales[i / 2 * 32 + i % 2 * 16 + r] == m.rows[r * m.row_bytes + 192 + i]);
    matrix_free(&m);
    m = matrix_make(DTYPE_Q3_K, 16, 256);
    scales = m.pack.data + 8 * 384 + 32;
    for (size_t r = 0; r < 16; r++) { /* sc[9]: upper half of byte 1, bits 4,5 of byte 9 */
        const uint8_t *packed = m.rows + r * m.row_bytes + 96;
        CHECK((int8_t)scales[4 * 32 + 16 + r] == (packed[1] >> 4 | (packed[9] >> 4 & 3) << 4) - 32);
    }
    matrix_free(&m);
    m = matrix_make(DTYPE_Q2_K, 16, 256);
    scales = m.pack.data + 8 * 128 + 64;
    for (size_t r = 0; r < 16; r++)
        for (size_t i = 0; i < 16; i++) {
            uint8_t byte = m.rows[r * m.row_bytes + i];
            CHECK(scales[i / 2 * 64 + i % 2 * 16 + r] == (byte & 15));
            CHECK(scales[i / 2 * 64 + 32 + i % 2 * 16 + r] == byte >> 4);
        }
    matrix_free(&m);
}

static void test_pack_floats_lie_as_drawn(void)
{
    for (size_t t = 0; t < 3; t++) {
        struct matrix m = matrix_make(types[t], 21, 19);
        size_t bytes = pack_infos[m.pack.class_].element_bytes;
        for (size_t row = 0; row < 32; row++)
            for (size_t k = 0; k < 19; k++) {
                static const uint8_t zero[4];
                const uint8_t *want = row < 21 ? m.rows + row * m.row_bytes + k * bytes : zero;
                CHECK(!memcmp(m.pack.data + row / 16 * m.pack.panel_bytes + (16 * k + row % 16) * bytes, want, bytes));
            }
        matrix_free(&m);
    }
}

static void test_pack_shapes(void)
{
    struct pack pack;
    pack_shape(&pack, DTYPE_Q4_0, 33, 96); /* 3 x 256 + 3 x 32 = 864, padded to 896 */
    CHECK(pack.class_ == PACK_4 && pack.rows == 33 && pack.cols == 96 && pack.n_panels == 3 && pack.n_blocks == 3);
    CHECK(pack.panel_bytes == 896 && pack_bytes(&pack) == 2688 && pack.data == NULL);
    pack_shape(&pack, DTYPE_Q5_K, 16, 512); /* 16 x 320 + 2 x (64 + 8 x 32) */
    CHECK(pack.class_ == PACK_5K && pack.n_panels == 1 && pack.panel_bytes == 5760);
    pack_shape(&pack, DTYPE_Q2_K, 1, 256); /* 8 x 128 + 64 + 8 x 64 */
    CHECK(pack.class_ == PACK_2K && pack.panel_bytes == 1600);
    pack_shape(&pack, DTYPE_Q6_K, 1, 256); /* 8 x 384 + 32 + 8 x 32 = 3360, padded */
    CHECK(pack.class_ == PACK_6K && pack.panel_bytes == 3392);
    pack_shape(&pack, DTYPE_F16, 5, 3); /* 3 x 32 = 96, padded */
    CHECK(pack.class_ == PACK_F16 && pack.n_blocks == 0 && pack.panel_bytes == 128);
    pack_shape(&pack, DTYPE_F32, 0, 0);
    CHECK(pack.n_panels == 0 && pack_bytes(&pack) == 0);
    CHECK(pack_class_of(DTYPE_IQ4_NL) == PACK_8 && pack_class_of(DTYPE_Q3_K) == PACK_6K);
}

/* The last odd block leaves 32 bytes of padding: zero, so that packed files are reproducible. */
static void test_pack_padding_is_zero(void)
{
    struct matrix m = matrix_make(DTYPE_Q5_0, 16, 32);
    for (size_t i = 352; i < m.pack.panel_bytes; i++)
        CHECK(m.pack.data[i] == 0);
    CHECK(m.pack.panel_bytes == 384);
    matrix_free(&m);
}

int main(void)
{
    RUN(test_pack_shapes);
    RUN(test_pack_every_type_and_row_count);
    RUN(test_pack_odd_columns_of_floats);
    RUN(test_pack_column_ranges);
    RUN(test_pack_codes_lie_as_drawn);
    RUN(test_pack_scales_lie_as_drawn);
    RUN(test_pack_integer_scales_lie_as_drawn);
    RUN(test_pack_floats_lie_as_drawn);
    RUN(test_pack_padding_is_zero);
    return TEST_RESULT();
}
