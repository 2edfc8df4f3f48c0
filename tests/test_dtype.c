/* test_dtype.c - storage formats: the table, decoding against hand-made and golden blocks.
 *
 * fixtures/golden/quant_decode.txt (made by tests/oracle/quant_golden.py) holds blocks with the bits of their
 * values from the reference decoder. Encoders are tested in test_encode.c. */
#include <math.h>
#include "test.h"
#include "dtype.h"
#include "half.h"

#define GOLDEN "fixtures/golden/quant_decode.txt"

static void test_dtype_table(void)
{
    static const struct {
        uint32_t id;
        const char *name;
        size_t len, bytes;
    } want[] = {{0, "F32", 1, 4},       {1, "F16", 1, 2},       {2, "Q4_0", 32, 18},    {3, "Q4_1", 32, 20},
                {6, "Q5_0", 32, 22},    {7, "Q5_1", 32, 24},    {8, "Q8_0", 32, 34},    {10, "Q2_K", 256, 84},
                {11, "Q3_K", 256, 110}, {12, "Q4_K", 256, 144}, {13, "Q5_K", 256, 176}, {14, "Q6_K", 256, 210},
                {20, "IQ4_NL", 32, 18}, {24, "I8", 1, 1},       {25, "I16", 1, 2},      {26, "I32", 1, 4},
                {27, "I64", 1, 8},      {28, "F64", 1, 8},      {30, "BF16", 1, 2}};
    size_t known = 0;
    for (size_t i = 0; i < sizeof want / sizeof *want; i++) {
        const struct dtype_info *info = dtype_info(want[i].id);
        CHECK(info && (uint32_t)info->type == want[i].id && !strcmp(info->name, want[i].name));
        CHECK(info && info->block_len == want[i].len && info->block_bytes == want[i].bytes);
        CHECK(info && info->is_weight == (want[i].id < 24 || want[i].id == 30));
        CHECK(dtype_by_name(want[i].name) == info);
    }
    for (uint32_t id = 0; id < 4096; id++)
        known += dtype_info(id) != NULL;
    CHECK(known == sizeof want / sizeof *want);
    CHECK(!dtype_info(4) && !dtype_info(9) && !dtype_info(0xffffffffu));
}

static void test_dtype_names(void)
{
    CHECK(dtype_by_name("q4_k") == dtype_info(DTYPE_Q4_K) && dtype_by_name("iq4_NL") == dtype_info(DTYPE_IQ4_NL));
    CHECK(!dtype_by_name("") && !dtype_by_name("Q4_K_M") && !dtype_by_name("Q4_") && !dtype_by_name("F1"));
}

/* One block with every byte zero, decoded after `edit`-ed bytes are set. */
static void expect(enum dtype type, const uint8_t *block, size_t element, float want)
{
    float values[256];
    dtype_decode_row(type, values, block, dtype_info((uint32_t)type)->block_len);
    CHECK_MSG(values[element] == want, "%s[%zu] = %g, want %g", dtype_info((uint32_t)type)->name, element,
              (double)values[element], (double)want);
}

static void set_half(uint8_t *at, float value)
{
    uint16_t bits = half_to_f16(value);
    memcpy(at, &bits, 2);
}

static void test_dtype_hand_made_blocks_of_32(void)
{
    uint8_t b[34] = {0};
    set_half(b, 0.5f);
    b[2 + 31] = 0x80;
    b[2 + 7] = 127;
    expect(DTYPE_Q8_0, b, 31, -64.0f);
    expect(DTYPE_Q8_0, b, 7, 63.5f);
    b[2] = 0xf3;
    expect(DTYPE_Q4_0, b, 0, 0.5f * (3 - 8));
    expect(DTYPE_Q4_0, b, 16, 0.5f * (15 - 8));
    expect(DTYPE_IQ4_NL, b, 0, 0.5f * -65);
    expect(DTYPE_IQ4_NL, b, 16, 0.5f * 113);
    set_half(b + 2, -3.0f);
    b[4 + 15] = 0x2c;
    expect(DTYPE_Q4_1, b, 15, 0.5f * 12 - 3);
    expect(DTYPE_Q4_1, b, 31, 0.5f * 2 - 3);
    memset(b, 0, sizeof b);
    set_half(b, 2.0f);
    b[2 + 1] = 0x02; /* fifth bit of element 9 */
    b[6 + 9] = 0x17;
    expect(DTYPE_Q5_0, b, 9, 2.0f * (16 + 7 - 16));
    expect(DTYPE_Q5_0, b, 25, 2.0f * (1 - 16));
    memset(b, 0, sizeof b);
    set_half(b, 2.0f);
    set_half(b + 2, 1.0f);
    b[4 + 3] = 0x80; /* fifth bit of element 31 */
    b[8 + 15] = 0x5a;
    expect(DTYPE_Q5_1, b, 31, 2.0f * (16 + 5) + 1);
    expect(DTYPE_Q5_1, b, 15, 2.0f * 10 + 1);
}

static void test_dtype_hand_made_blocks_of_256(void)
{
    uint8_t b[210] = {0};
    set_half(b, 0.25f);
    set_half(b + 2, 0.5f);
    b[4 + 8 + 1] = 0x21; /* sub-block 5: sc low 1, m low 2 */
    b[4 + 1] = 0x40;     /* its upper scale bits: 1 -> sc = 17 */
    b[4 + 4 + 1] = 0xc0; /* its upper minimum bits: 3 -> m = 50 */
    b[16 + 2 * 32 + 4] = 0x90;
    expect(DTYPE_Q4_K, b, 5 * 32 + 4, 0.25f * 17 * 9 - 0.5f * 50);
    b[16 + 2 * 32 + 4] = 0;
    b[16 + 4] = 0x20; /* bit 5: sub-block 5, element 4 */
    b[48 + 2 * 32 + 4] = 0x90;
    expect(DTYPE_Q5_K, b, 5 * 32 + 4, 0.25f * 17 * (9 + 16) - 0.5f * 50);

    memset(b, 0, sizeof b);
    set_half(b + 208, 0.125f);
    b[192 + 13] = 0xf6; /* scale of elements 208..223: -10 */
    b[64 + 21] = 0x70;  /* element 213 = 128 + 64 + 21: low bits 7 */
    b[128 + 53] = 0x20; /* its bits 4,5: byte 32 + 21, field 2 */
    expect(DTYPE_Q6_K, b, 213, 0.125f * -10 * (7 + 32 - 32));
    expect(DTYPE_Q6_K, b, 214, 0.125f * -10 * -32);

    memset(b, 0, sizeof b);
    set_half(b + 108, 0.5f);
    b[96 + 5] = 0x30;       /* scale 13, lower bits 3 */
    b[96 + 9] = 0xc0;       /* upper bits 3 -> 51 - 32 = 19 */
    b[32 + 32 + 20] = 0x20; /* element 212 = 128 + 64 + 20: field 2 of byte 32 + 20 = 2 */
    expect(DTYPE_Q3_K, b, 212, 0.5f * 19 * (2 - 4));
    b[20] = 0x40; /* upper bit of sub-block 6 */
    expect(DTYPE_Q3_K, b, 212, 0.5f * 19 * 2);

    memset(b, 0, sizeof b);
    set_half(b + 80, 0.5f);
    set_half(b + 82, 0.25f);
    b[13] = 0x9c;           /* m = 9, sc = 12 */
    b[16 + 32 + 20] = 0x30; /* element 212: 3 */
    expect(DTYPE_Q2_K, b, 212, 0.5f * 12 * 3 - 0.25f * 9);
}

static void test_dtype_floats(void)
{
    static const float values[5] = {1.0f, -2.5f, 65504.0f, 0x1p-24f, -0.0f};
    float got[5];
    uint8_t row[21];
    dtype_encode_row(DTYPE_F32, row + 1, values, 5);
    dtype_decode_row(DTYPE_F32, got, row + 1, 5);
    CHECK(!memcmp(got, values, sizeof got));
    dtype_encode_row(DTYPE_F16, row + 1, values, 5);
    dtype_decode_row(DTYPE_F16, got, row + 1, 5);
    CHECK(!memcmp(got, values, sizeof got));
    dtype_encode_row(DTYPE_BF16, row + 1, values, 5);
    dtype_decode_row(DTYPE_BF16, got, row + 1, 5);
    CHECK(got[0] == 1.0f && got[1] == -2.5f && got[2] == 65536.0f && got[3] == 0x1p-24f && signbit(got[4]));
}

static int hex_digit(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Bytes of the hex word at *text; advances past it and one blank. */
static size_t hex_bytes(const char **text, uint8_t *bytes, size_t capacity)
{
    size_t n = 0;
    const char *c = *text;
    for (; hex_digit(c[0]) >= 0 && hex_digit(c[1]) >= 0 && n < capacity; c += 2)
        bytes[n++] = (uint8_t)(hex_digit(c[0]) * 16 + hex_digit(c[1]));
    *text = *c == ' ' ? c + 1 : c;
    return n;
}

static const struct dtype_info *check_golden_line(const char *line)
{
    char name[8];
    uint8_t bytes[210 + 1], want[1024];
    float values[256];
    const char *rest = strchr(line, ' ');
    const struct dtype_info *info;
    size_t n = rest ? (size_t)(rest - line) : 0;
    if (!rest || n >= sizeof name)
        return NULL;
    memcpy(name, line, n);
    name[n] = 0;
    info = dtype_by_name(name);
    rest++;
    if (!info || hex_bytes(&rest, bytes + 1, 210) != info->block_bytes ||
        hex_bytes(&rest, want, 1024) != 4 * info->block_len || *rest != '\n')
        return NULL;
    dtype_decode_row(info->type, values, bytes + 1, info->block_len); /* an odd address */
    CHECK_MSG(!memcmp(values, want, 4 * info->block_len), "%s: values differ from the golden ones", name);
    return info;
}

static void test_dtype_golden_blocks(void)
{
    static char line[4096];
    FILE *file = fopen(GOLDEN, "r");
    size_t blocks = 0;
    uint32_t types = 0;
    CHECK_MSG(file != NULL, "%s is missing", GOLDEN);
    while (file && fgets(line, sizeof line, file)) {
        const struct dtype_info *info;
        if (*line == '#')
            continue;
        info = check_golden_line(line);
        CHECK_MSG(info != NULL, "block %zu of %s is malformed", blocks, GOLDEN);
        if (info)
            types |= (uint32_t)1 << info->type;
        blocks++;
    }
    CHECK(blocks == 28 && types == 0x107dccu); /* all eleven quantised ids */
    if (file)
        fclose(file);
}

int main(void)
{
    RUN(test_dtype_table);
    RUN(test_dtype_names);
    RUN(test_dtype_hand_made_blocks_of_32);
    RUN(test_dtype_hand_made_blocks_of_256);
    RUN(test_dtype_floats);
    RUN(test_dtype_golden_blocks);
    return TEST_RESULT();
}
