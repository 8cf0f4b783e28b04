/* Products with a matrix that is packed once and multiplied with many times: the steps of a recurrent network.

   Each number is a chain of fused multiplications and additions in the order of k, begun anew where the caller says: that
   is how the libraries for products do it, so that results can have their bits. */

#if defined(__AVX512F__)
enum { WIDE = 16, TALL = 12 };
#elif defined(__AVX__)
enum { WIDE = 8, TALL = 6 };
#else
enum { WIDE = 4, TALL = 6 };
#endif

typedef float Vector __attribute__((vector_size(4 * WIDE), aligned(4), may_alias));
enum { PANEL = 2 * WIDE };

/* b [k, n], whose element (p, j) is b[p * down + j * across], in panels of PANEL columns; the last one filled with 0. */
void packed_pack(const float *b, long down, long across, long k, long n, float *out) {
    for (long j = 0; j < n; j += PANEL, out += k * PANEL) {
        long wide = n - j < PANEL ? n - j : PANEL;
        if (across == 1) {
            for (long p = 0; p < k; p++) {
                const float *row = b + p * down + j;
                for (long c = 0; c < PANEL; c++) out[p * PANEL + c] = c < wide ? row[c] : 0;
            }
        } else {
            for (long c = 0; c < PANEL; c++) {
                const float *column = b + (j + c) * across;
                for (long p = 0; p < k; p++) out[p * PANEL + c] = c < wide ? column[p * down] : 0;
            }
        }
    }
}

/* `rows` rows of x by one panel, summed from `from` to `to`, as the first `wide` columns of out. */
static inline __attribute__((always_inline)) void tile(const int rows, const float *x, long k, long from, long to,
                                                       const float *panel, float *out, long n, long wide) {
    Vector left[rows], right[rows];
#pragma GCC unroll 12
    for (int i = 0; i < rows; i++) left[i] = right[i] = (Vector){0};
    for (long p = from; p < to; p++) {
        Vector a = *(const Vector *)(panel + p * PANEL), b = *(const Vector *)(panel + p * PANEL + WIDE);
#pragma GCC unroll 12
        for (int i = 0; i < rows; i++) {
            left[i] += x[i * k + p] * a;
            right[i] += x[i * k + p] * b;
        }
    }
#pragma GCC unroll 12
    for (int i = 0; i < rows; i++) {
        float kept[PANEL], *into = out + i * n;
        if (wide == PANEL) {
            Vector *whole = (Vector *)into;
            if (from) left[i] += whole[0], right[i] += whole[1];
            whole[0] = left[i], whole[1] = right[i];
            continue;
        }
        *(Vector *)kept = left[i], *(Vector *)(kept + WIDE) = right[i];
        for (long c = 0; c < wide; c++) into[c] = from ? into[c] + kept[c] : kept[c];
    }
}

/* out [m, n] = x [m, k] times a packed [k, n], summed in pieces of k that end at `ends`, the last of them k. */
void packed_multiply(const float *x, long m, long k, long n, const float *packed, const long *ends, float *out) {
    long tall = (m + TALL - 1) / TALL; /* tiles of about equally many rows */
#pragma omp parallel for schedule(static) if (m * k * n > 1L << 22)
    for (long panel = 0; panel < (n + PANEL - 1) / PANEL; panel++) {
        const float *from_panel = packed + panel * k * PANEL;
        long j = panel * PANEL, wide = n - j < PANEL ? n - j : PANEL, from = 0;
        for (const long *end = ends; from < k; from = *end++)
            for (long t = 0; t < tall; t++) {
                long first = m * t / tall;
                const float *rows = x + first * k;
                float *into = out + first * n + j;
                switch (m * (t + 1) / tall - first) {
#define ROWS(count) case count: tile(count, rows, k, from, *end, from_panel, into, n, wide); break;
                    ROWS(1) ROWS(2) ROWS(3) ROWS(4) ROWS(5) ROWS(6)
#if defined(__AVX512F__)
                    ROWS(7) ROWS(8) ROWS(9) ROWS(10) ROWS(11) ROWS(12)
#endif
                }
            }
    }
}
