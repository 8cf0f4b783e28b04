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

/* v = momentum v + keep g;  p = p - lr (v, or g + momentum v). Without v: p = p - lr g. */
void loops_sgd(float *p, const float *g, float *v, long n, float lr, float momentum, float keep, float decay,
               int nesterov, int maximize, int first) {
    _Pragma("omp parallel for simd schedule(static) if(parallel : n >= 1 << 17)") for (long i = 0; i < n; i++) {
        float slope = maximize ? -g[i] : g[i];
        if (decay != 0) slope = slope + p[i] * decay;
        if (v) {
            float speed = first ? slope : v[i] * momentum + (keep == 1 ? slope : slope * keep);
            v[i] = speed;
            slope = nesterov ? slope + speed * momentum : speed;
        }
        p[i] = p[i] - slope * lr;
    }
}

/* The same for `count` parameters of n[k] numbers each. */
void loops_sgd_all(long count, float **p, const float **g, float **v, const long *n, float lr, float momentum, float keep,
                   float decay, int nesterov, int maximize, int first) {
    for (long k = 0; k < count; k++)
        loops_sgd(p[k], g[k], v ? v[k] : 0, n[k], lr, momentum, keep, decay, nesterov, maximize, first);
}
