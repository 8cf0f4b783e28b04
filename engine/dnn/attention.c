/* Attention and its gradients, a head and a cacheful of queries at a time: what belongs to a score is done where it lies.

   Products are oneDNN's. The scores are never all there: the gradients compute them again, as in Dao et al. 2022. */

#include <math.h>
#include <omp.h>
#include <string.h>

typedef int (*Gemm)(char, char, long, long, long, float, const float *, long, const float *, long, float, float *, long);

enum { NONE, ALLOWED, ADDED };

/* Steps are those of samples, heads and rows (and of columns of the mask), in elements. `rows`: queries at a time. */
typedef struct {
    long samples, heads, queries, keys, features, values, rows;
    long query[3], key[3], value[3], out[3], slope[3], to_query[3], to_key[3], to_value[3], mask_step[4];
    Gemm multiply;
    const void *mask;
    const float *keep; /* [samples, heads, queries, keys], what the weights are multiplied with; or null */
    float scale;
    int causal, kind, threads;
} Attention;

#define SIMD _Pragma("omp simd")

/* e^x, off by one in the last digit at most; 0 below what float32 has without loss, NaN of NaN. */
static inline float e_to(float x) {
    float k = rintf(x * 1.44269504f), r = x - k * 0.693145752f - k * 1.42860677e-6f;
    float p = 1.3888889e-3f;
    p = p * r + 8.3333333e-3f, p = p * r + 4.1666667e-2f, p = p * r + 1.6666667e-1f, p = p * r + 0.5f;
    p = p * r * r + r + 1;
    union { int i; float f; } power = {((int)k + 127) << 23};
    p *= power.f;
    return x < -87.0f ? 0 : x > 88.0f ? INFINITY : p;
}

/* Which keys of a row are there to be looked at: with `causal` none after the query itself. */
static long reach(const Attention *a, long query) {
    return a->causal && query + 1 < a->keys ? query + 1 : a->keys;
}

static void masked(const Attention *a, float *s, long sample, long head, long query) {
    const long *step = a->mask_step;
    long start = sample * step[0] + head * step[1] + query * step[2], next = step[3], n = a->keys;
    if (a->kind == ALLOWED) {
        const unsigned char *m = (const unsigned char *)a->mask + start;
        if (next == 1) { SIMD for (long j = 0; j < n; j++) s[j] = m[j] ? s[j] : -INFINITY; }
        else if (!*m) { SIMD for (long j = 0; j < n; j++) s[j] = -INFINITY; }
    } else if (a->kind == ADDED) {
        const float *m = (const float *)a->mask + start;
        if (next == 1) { SIMD for (long j = 0; j < n; j++) s[j] += m[j]; }
        else { SIMD for (long j = 0; j < n; j++) s[j] += *m; }
    }
}

/* The scores [count, width] of some queries, with the mask. */
static void score(const Attention *a, const float *q, const float *k, float *s, long sample, long head, long first, long count,
                  long width) {
    a->multiply('N', 'T', count, width, a->features, a->scale, q + first * a->query[2], a->query[2], k, a->key[2], 0, s, width);
    if (a->kind != NONE)
        for (long i = 0; i < count; i++) masked(a, s + i * width, sample, head, first + i);
}

#define AT(base, step, sample, head) ((base) + (sample) * (step)[0] + (head) * (step)[1])

/* Products are made by one thread each, also where there is but one head: a small one is done before others have woken up.
   lse [samples, heads, queries]; room: rows * keys numbers for each thread. */
void attention_forward(const Attention *a, const float *query, const float *key, const float *value, float *out, float *lse,
                       float *room) {
    long blocks = (a->queries + a->rows - 1) / a->rows, all = a->samples * a->heads * blocks;
    _Pragma("omp parallel for schedule(static) num_threads(a->threads)") for (long item = 0; item < all; item++) {
        long head = item / blocks % a->heads, sample = item / blocks / a->heads, first = item % blocks * a->rows;
        long count = a->queries - first < a->rows ? a->queries - first : a->rows, width = reach(a, first + count - 1);
        long place = (sample * a->heads + head) * a->queries + first;
        float *scores = room + omp_get_thread_num() * a->rows * a->keys, total[a->rows];
        float *into = AT(out, a->out, sample, head) + first * a->out[2];
        score(a, AT(query, a->query, sample, head), AT(key, a->key, sample, head), scores, sample, head, first, count, width);
        for (long i = 0; i < count; i++) {
            float *s = scores + i * width, top = -INFINITY, sum = 0;
            long n = reach(a, first + i);
            _Pragma("omp simd reduction(max : top)") for (long j = 0; j < n; j++) top = s[j] > top ? s[j] : top;
            if (a->kind != NONE && !(fabsf(top) < INFINITY)) top = 0;
            _Pragma("omp simd reduction(+ : sum)") for (long j = 0; j < n; j++) {
                float e = e_to(s[j] - top);
                s[j] = e;
                sum += e;
            }
            memset(s + n, 0, (width - n) * sizeof(float));
            if (a->kind != NONE && sum == 0) sum = 1;
            total[i] = sum;
            lse[place + i] = top + logf(sum);
            if (a->keep) {
                const float *keep = a->keep + (place + i) * a->keys;
                SIMD for (long j = 0; j < n; j++) s[j] *= keep[j];
            }
        }
        a->multiply('N', 'N', count, a->values, width, 1, scores, width, AT(value, a->value, sample, head), a->value[2], 0, into,
                    a->out[2]);
        for (long i = 0; i < count; i++)
            SIMD for (long j = 0; j < a->values; j++) into[i * a->out[2] + j] /= total[i];
    }
}

/* `slopes`: the gradient of the scores [samples, heads, queries, keys], or null. room: 2 * rows * keys for each thread. */
void attention_backward(const Attention *a, const float *slope, const float *query, const float *key, const float *value,
                        const float *out, const float *lse, float *to_query, float *to_key, float *to_value, float *slopes,
                        float *room) {
    long all = a->samples * a->heads;
    _Pragma("omp parallel for schedule(static) num_threads(a->threads)") for (long item = 0; item < all; item++) {
        long head = item % a->heads, sample = item / a->heads, seen = reach(a, a->queries - 1);
        const float *q = AT(query, a->query, sample, head), *k = AT(key, a->key, sample, head);
        const float *v = AT(value, a->value, sample, head), *o = AT(out, a->out, sample, head);
        const float *g = AT(slope, a->slope, sample, head);
        float *dq = AT(to_query, a->to_query, sample, head), *dk = AT(to_key, a->to_key, sample, head);
        float *dv = AT(to_value, a->to_value, sample, head);
        float *weights = room + omp_get_thread_num() * 2 * a->rows * a->keys, *own = weights + a->rows * a->keys;
        for (long j = seen; j < a->keys; j++) {
            memset(dk + j * a->to_key[2], 0, a->features * sizeof(float));
            memset(dv + j * a->to_value[2], 0, a->values * sizeof(float));
        }
        /* The last queries look at the most keys: they come first, and the others add to them. */
        for (long first = (a->queries - 1) / a->rows * a->rows, more = 0; first >= 0; first -= a->rows, more = 1) {
            long count = a->queries - first < a->rows ? a->queries - first : a->rows, width = reach(a, first + count - 1);
            long place = item * a->queries + first;
            float *d = slopes ? slopes + place * a->keys : own;
            const float *gs = g + first * a->slope[2], *os = o + first * a->out[2];
            score(a, q, k, weights, sample, head, first, count, width);
            a->multiply('N', 'T', count, width, a->values, 1, gs, a->slope[2], v, a->value[2], 0, d, width);
            for (long i = 0; i < count; i++) {
                float *p = weights + i * width, *s = d + i * width, base = lse[place + i], sum = 0;
                const float *gi = gs + i * a->slope[2], *oi = os + i * a->out[2];
                const float *keep = a->keep ? a->keep + (place + i) * a->keys : 0;
                long n = reach(a, first + i);
                _Pragma("omp simd reduction(+ : sum)") for (long j = 0; j < a->values; j++) sum += gi[j] * oi[j];
                if (keep) {
                    SIMD for (long j = 0; j < n; j++) {
                        float e = e_to(p[j] - base);
                        p[j] = e * keep[j];
                        s[j] = e * (s[j] * keep[j] - sum);
                    }
                } else {
                    SIMD for (long j = 0; j < n; j++) {
                        float e = e_to(p[j] - base);
                        p[j] = e;
                        s[j] = e * (s[j] - sum);
                    }
                }
                memset(p + n, 0, (width - n) * sizeof(float));
                memset(s + n, 0, (width - n) * sizeof(float));
            }
            a->multiply('T', 'N', width, a->values, count, 1, weights, width, gs, a->slope[2], more, dv, a->to_value[2]);
            a->multiply('N', 'N', count, a->features, width, a->scale, d, width, k, a->key[2], 0, dq + first * a->to_query[2],
                        a->to_query[2]);
            a->multiply('T', 'N', width, a->features, count, a->scale, d, width, q + first * a->query[2], a->query[2], more, dk,
                        a->to_key[2]);
        }
    }
}

void attention_threads(int *threads) { *threads = omp_get_max_threads(); }
