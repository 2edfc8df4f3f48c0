/* encode_super.c - the search for d, dmin, integer group scales and codes of one super-block.
 *
 *   1  every group for itself: real scale s[g] and offset o[g]  (encode_fit.h)
 *   2  d = the largest |s| over the largest integer, dmin likewise
 *   3  every group: the integers near s/d and o/dmin, a small window of them, with the least error
 *   4  for these codes: d and dmin by least squares over the super-block, s and o over each group; back to 3
 *
 * Errors are those of the values that a decoder will form, so rounding of d to f16 and of scales to integers
 * is part of the search; the best round is kept. Next: encode_k.c, which writes the bytes. */
#include "encode_super.h"

/* The state of the search over one scaled super-block. */
struct search {
    const struct super_format *format;
    const struct scaled *block;
    size_t n_groups;
    float s[16], o[16]; /* ideal scales and offsets (o = -m >= 0) of the groups */
    float d, dmin;      /* ideal, then f16 values */
    int sc[16], m[16];
    float error;
};

static int nearest_int(float x)
{
    return (int)((x + 12582912.0f) - 12582912.0f);
}

static int clamp_int(float x, int lo, int hi)
{
    return x <= (float)lo ? lo : x >= (float)hi ? hi : nearest_int(x);
}

static const float *group_of(const struct search *search, size_t g)
{
    return search->block->x + g * search->format->group;
}

static float ratio(float a, float b)
{
    return b == 0 ? 0 : a / b;
}

/* Step 3, signed: sc[g]; returns the group's error. */
static float choose_scale(struct search *search, size_t g)
{
    const struct super_format *format = search->format;
    int centre = clamp_int(ratio(search->s[g], search->d), format->sc_lo, format->sc_hi);
    float best = 3e38f;
    for (int sc = centre - format->window; sc <= centre + format->window; sc++) {
        float error;
        if (sc < format->sc_lo || sc > format->sc_hi)
            continue;
        error = fit_error(group_of(search, g), format->group, search->d * (float)sc, 0, &format->levels);
        if (error < best) {
            best = error;
            search->sc[g] = sc;
        }
    }
    return best;
}

/* Step 3, affine: sc[g] and m[g]. */
static float choose_pair(struct search *search, size_t g)
{
    const struct super_format *format = search->format;
    int sc_centre = clamp_int(ratio(search->s[g], search->d), 0, format->sc_hi);
    int m_centre = clamp_int(ratio(search->o[g], search->dmin), 0, format->sc_hi);
    int width = 2 * format->window + 1;
    float best = 3e38f;
    for (int k = 0; k < width * width; k++) {
        int sc = sc_centre - format->window + k / width, m = m_centre - format->window + k % width;
        float error;
        if (sc < 0 || sc > format->sc_hi || m < 0 || m > format->sc_hi)
            continue;
        error = fit_error(group_of(search, g), format->group, search->d * (float)sc, -(search->dmin * (float)m),
                          &format->levels);
        if (error < best) {
            best = error;
            search->sc[g] = sc;
            search->m[g] = m;
        }
    }
    return best;
}

/* Step 4. With u = sc*q and v = -m, the best d and dmin for these codes solve
 *   [uu uv] [d   ]   [ux]
 *   [uv vv] [dmin] = [vx]     sums over the super-block. */
static void improve(struct search *search)
{
    const struct super_format *format = search->format;
    float uu = 0, uv = 0, vv = 0, ux = 0, vx = 0, det;
    for (size_t g = 0; g < search->n_groups; g++) {
        const float *x = group_of(search, g);
        struct moments sums;
        float sc = (float)search->sc[g], m = (float)search->m[g], sum = 0;
        search->s[g] = search->d * sc;
        search->o[g] = search->dmin * m;
        fit_moments(&sums, x, format->group, search->s[g], -search->o[g], &format->levels);
        for (size_t i = 0; i < format->group; i++)
            sum += x[i];
        uu += sc * sc * sums.qq;
        uv -= sc * m * sums.q;
        vv += m * m * (float)format->group;
        ux += sc * sums.qx;
        vx -= m * sum;
    }
    det = uu * vv - uv * uv;
    if (det > 1e-6f * uu * vv) {
        search->d = (ux * vv - vx * uv) / det;
        search->dmin = (vx * uu - ux * uv) / det;
    } else if (uu > 0) {
        search->d = ux / uu;
    }
}

/* Steps 3 and 4, a stated number of times; *out receives the best round. */
static void refine(struct super_block *out, struct search *search, float (*choose)(struct search *, size_t))
{
    for (int round = 0; round < search->format->rounds; round++) {
        uint16_t d, dmin;
        float error = 0;
        search->d = scaled_half_covering(search->block, search->d, &d);
        search->dmin = scaled_half_covering(search->block, search->dmin, &dmin);
        for (size_t g = 0; g < search->n_groups; g++)
            error += choose(search, g);
        if (error < search->error) {
            search->error = error;
            out->d = d;
            out->dmin = dmin;
            memcpy(out->sc, search->sc, sizeof out->sc);
            memcpy(out->m, search->m, sizeof out->m);
        }
        if (round + 1 < search->format->rounds)
            improve(search);
    }
}

/* The codes of the best round. */
static void put_codes(struct super_block *out, const struct search *search)
{
    float d = scaled_half_value(search->block, out->d), dmin = scaled_half_value(search->block, out->dmin), q[32];
    size_t n = search->format->group;
    for (size_t g = 0; g < search->n_groups; g++) {
        fit_codes(q, group_of(search, g), n, d * (float)out->sc[g], -(dmin * (float)out->m[g]),
                  &search->format->levels);
        for (size_t i = 0; i < n; i++)
            out->q[g * n + i] = (int)q[i];
    }
}

void super_encode_signed(struct super_block *out, const float *src, const struct super_format *format)
{
    struct scaled block;
    struct search search = {format, &block, 256 / format->group, {0}, {0}, 0, 0, {0}, {0}, 3e38f};
    float largest = 0;
    memset(out, 0, sizeof *out);
    if (!scaled_load(&block, src, 256))
        return;
    for (size_t g = 0; g < search.n_groups; g++) {
        float s = fit_signed(group_of(&search, g), format->group, &format->levels, &format->grid);
        search.s[g] = s;
        if (s * s > largest * largest)
            largest = s;
    }
    search.d = largest / (float)format->sc_lo;
    refine(out, &search, choose_scale);
    put_codes(out, &search);
}

static void encode_affine(struct super_block *out, struct search *search)
{
    const struct super_format *format = search->format;
    for (size_t g = 0; g < search->n_groups; g++) {
        float m;
        fit_affine(&search->s[g], &m, group_of(search, g), format->group, format->levels.hi, &format->cuts);
        search->o[g] = -m;
        search->d = search->s[g] > search->d ? search->s[g] : search->d;
        search->dmin = -m > search->dmin ? -m : search->dmin;
    }
    search->d /= (float)format->sc_hi;
    search->dmin /= (float)format->sc_hi;
    refine(out, search, choose_pair);
    put_codes(out, search);
}

/* Some group without a negative element wants an offset above zero. */
static int wants_mirror(const struct scaled *block, size_t group)
{
    for (size_t i = 0; i < 256; i += group) {
        size_t l = 0;
        while (l < group && block->x[i + l] > 0)
            l++;
        if (l == group)
            return 1;
    }
    return 0;
}

/* Offsets are never positive as long as dmin is not negative; where that binds, -x is encoded as well, and
 * if that is better, d and dmin change their signs. */
void super_encode_affine(struct super_block *out, const float *src, const struct super_format *format)
{
    struct scaled block, mirror;
    struct search search = {format, &block, 256 / format->group, {0}, {0}, 0, 0, {0}, {0}, 3e38f}, other = search;
    struct super_block flipped;
    memset(out, 0, sizeof *out);
    if (!scaled_load(&block, src, 256))
        return;
    encode_affine(out, &search);
    if (!wants_mirror(&block, format->group))
        return;
    mirror = block;
    for (size_t i = 0; i < 256; i++)
        mirror.x[i] = -block.x[i];
    other.block = &mirror;
    memset(&flipped, 0, sizeof flipped);
    encode_affine(&flipped, &other);
    if (other.error < search.error) {
        *out = flipped;
        out->d ^= 0x8000;
        out->dmin ^= 0x8000;
    }
}
