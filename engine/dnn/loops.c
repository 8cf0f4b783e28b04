/* Loops over large arrays of float32, on all cores and in one pass where NumPy takes several.

   Compiled without contraction (-ffp-contract=off): each result has the bits NumPy's has. */

#define LOOP _Pragma("omp parallel for simd schedule(static) if(parallel : n > 1 << 15)")

void loops_add(const float *a, const float *b, float *out, long n) {
    LOOP for (long i = 0; i < n; i++) out[i] = a[i] + b[i];
}

/* NaN stays NaN. */
void loops_relu(const float *x, float *out, long n) {
    LOOP for (long i = 0; i < n; i++) out[i] = x[i] <= 0 ? 0 : x[i];
}

/* Whether there is no NaN and no infinity above. */
void loops_below_infinity(const float *x, long n, int *all) {
    int good = 1;
    _Pragma("omp parallel for simd schedule(static) reduction(& : good) if(parallel : n > 1 << 15)")
    for (long i = 0; i < n; i++) good &= x[i] < __builtin_inff();
    *all = good;
}

/* Blended, not branched: where the condition is as good as random, a branch costs ten times the work. A number instead
   of an array has no array: the null pointer. */
void loops_where(const unsigned char *c, const float *a, const float *b, float *out, long n, float x, float y) {
    if (a && b) { LOOP for (long i = 0; i < n; i++) out[i] = c[i] ? a[i] : b[i]; }
    else if (a) { LOOP for (long i = 0; i < n; i++) out[i] = c[i] ? a[i] : y; }
    else { LOOP for (long i = 0; i < n; i++) out[i] = c[i] ? x : b[i]; }
}

/* out[at[i]] += rows[i], one after the other, as NumPy adds them. */
void loops_add_rows(const long *at, const float *rows, float *out, long n, long width) {
    for (long i = 0; i < n; i++) {
        float *into = out + at[i] * width;
        const float *row = rows + i * width;
        for (long j = 0; j < width; j++) into[j] += row[j];
    }
}

/* out [width] = the sum of x [rows, width] over its rows, one after the other, as NumPy adds them. */
void loops_sum_rows(const float *x, float *out, long rows, long width) {
    for (long j = 0; j < width; j++) out[j] = 0;
    long i = 0;
    for (; i + 4 <= rows; i += 4) {
        const float *a = x + i * width, *b = a + width, *c = b + width, *d = c + width;
        _Pragma("omp simd") for (long j = 0; j < width; j++) out[j] = out[j] + a[j] + b[j] + c[j] + d[j];
    }
    for (; i < rows; i++)
        _Pragma("omp simd") for (long j = 0; j < width; j++) out[j] += x[i * width + j];
}

typedef unsigned long long Word;
typedef unsigned __int128 Twice;

/* kept [n] = whether n numbers from 0 to 1 of the stream of a key, from a counter on, reach least / 2^24. As NumPy's
   Philox4x64 draws them (Salmon et al. 2011): four words a counter, of each word the low half first, of which 24 bits. */
void loops_kept(Word key, Word counter, unsigned least, unsigned char *kept, long n) {
    _Pragma("omp parallel for schedule(static) if(n >= 1 << 16)") for (long start = 0; start < n; start += 8) {
        Word a = counter + 1 + start / 8, b = 0, c = 0, d = 0, k = key, l = 0;
        for (int round = 0; round < 10; round++) {
            Twice x = (Twice)0xD2E7470EE14C6C93 * a, y = (Twice)0xCA5A826395121157 * c;
            a = (Word)(y >> 64) ^ b ^ k;
            b = (Word)y;
            c = (Word)(x >> 64) ^ d ^ l;
            d = (Word)x;
            k += 0x9E3779B97F4A7C15;
            l += 0xBB67AE8584CAA73B;
        }
        Word words[4] = {a, b, c, d};
        for (long i = 0; i < 8 && start + i < n; i++)
            kept[start + i] = (unsigned)(words[i / 2] >> i % 2 * 32) >> 8 >= least;
    }
}

/* out = x (kept scale) */
void loops_drop(const float *x, const unsigned char *kept, float scale, float *out, long n) {
    LOOP for (long i = 0; i < n; i++) out[i] = x[i] * (kept[i] ? scale : 0);
}

/* Updates of parameters. Each is written once and compiled for each way of it, so that no number is looked at whether it
   is needed; what is multiplied by 1 keeps its bits. Large parameters are updated by all cores, PART numbers each at a time. */
#define FOR_ALL static inline __attribute__((always_inline)) void
#define PART (1L << 14)
#define PARTS _Pragma("omp parallel for schedule(static) if(all >= 4 * PART)") for (long i = 0; i < all; i += PART)
#define LEFT (all - i < PART ? all - i : PART)

/* v = momentum v + keep g;  p = p - lr (v, or g + momentum v). Without v: p = p - lr g. */
typedef struct { float sign, lr, momentum, keep, decay; int nesterov, first; } Sgd;

FOR_ALL sgd(float *restrict p, const float *restrict g, float *restrict v, long n, Sgd a, int moves, int decays, int nesterov,
            int first) {
    for (long i = 0; i < n; i++) {
        float slope = g[i] * a.sign;
        if (decays) slope = slope + p[i] * a.decay;
        if (moves) {
            float speed = first ? slope : v[i] * a.momentum + slope * a.keep;
            v[i] = speed;
            slope = nesterov ? slope + speed * a.momentum : speed;
        }
        p[i] = p[i] - slope * a.lr;
    }
}

static void sgd_part(float *p, const float *g, float *v, long n, Sgd a) {
    int decays = a.decay != 0;
    if (!v && decays) sgd(p, g, 0, n, a, 0, 1, 0, 0);
    else if (!v) sgd(p, g, 0, n, a, 0, 0, 0, 0);
    else if (a.first || a.nesterov) sgd(p, g, v, n, a, 1, decays, a.nesterov, a.first);
    else if (decays) sgd(p, g, v, n, a, 1, 1, 0, 0);
    else sgd(p, g, v, n, a, 1, 0, 0, 0);
}

/* `count` parameters of n[k] numbers each. */
void loops_sgd_all(long count, float **p, const float **g, float **v, const long *n, float lr, float momentum, float keep,
                   float decay, int nesterov, int maximize, int first) {
    Sgd a = {maximize ? -1 : 1, lr, momentum, keep, decay, nesterov, first};
    for (long k = 0; k < count; k++) {
        long all = n[k];
        PARTS sgd_part(p[k] + i, g[k] + i, v ? v[k] + i : 0, LEFT, a);
    }
}

/* Adam in NumPy's order: m = m + rise (g - m);  v = decline v + gain g g;  p = p - step m / (sqrt(v) / spread + eps).
   With `top`, the largest v so far. */
typedef struct { float sign, shrink, decay, rise, decline, gain, spread, eps, step; } Adam;

FOR_ALL adam(float *restrict p, const float *restrict g, float *restrict m, float *restrict v, float *restrict top, long n,
             Adam a, int decays, int most) {
    for (long i = 0; i < n; i++) {
        float slope = g[i] * a.sign, before = p[i] * a.shrink, mean = m[i], square = v[i] * a.decline;
        if (decays) slope = slope + before * a.decay;
        mean = mean + (slope - mean) * a.rise;
        square = square + slope * slope * a.gain;
        m[i] = mean;
        v[i] = square;
        if (most) top[i] = square = top[i] >= square || top[i] != top[i] ? top[i] : square;
        p[i] = before - mean / (__builtin_sqrtf(square) / a.spread + a.eps) * a.step;
    }
}

static void adam_part(float *p, const float *g, float *m, float *v, float *top, long n, Adam a) {
    if (top && a.decay != 0) adam(p, g, m, v, top, n, a, 1, 1);
    else if (top) adam(p, g, m, v, top, n, a, 0, 1);
    else if (a.decay != 0) adam(p, g, m, v, 0, n, a, 1, 0);
    else adam(p, g, m, v, 0, n, a, 0, 0);
}

void loops_adam_all(long count, float **p, const float **g, float **m, float **v, float **top, const long *n, float shrink,
                    float decay, float rise, float decline, float gain, float spread, float eps, float step, int maximize) {
    Adam a = {maximize ? -1 : 1, shrink, decay, rise, decline, gain, spread, eps, step};
    for (long k = 0; k < count; k++) {
        long all = n[k];
        PARTS adam_part(p[k] + i, g[k] + i, m[k] + i, v[k] + i, top ? top[k] + i : 0, LEFT, a);
    }
}
