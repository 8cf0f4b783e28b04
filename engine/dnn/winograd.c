/* Convolution of 3x3 windows, stride 1, padding 1, by Winograd's F(4x4, 3x3) (Lavin and Gray 2015, arXiv:1509.09308).

   Arrays have their channels last. Each tile of 4x4 results comes from 6x6 inputs by 36 multiplications a channel
   where 144 are needed otherwise: the inputs are transformed, 36 products of matrices taken, and the products
   transformed back. Channels come in panels of PANEL, so that a product needs no packing. */

#include <omp.h>

#ifdef __AVX512F__
#define W 16
#define COLUMNS 4
#else
#define W 8
#define COLUMNS 2
#endif
typedef float v __attribute__((vector_size(W * 4), aligned(4)));
typedef float va __attribute__((vector_size(W * 4)));
#define LD(p) (*(const v *)(p))
#define ST(p, x) (*(v *)(p) = (x))
#define PANEL (COLUMNS * W)

/* one dimension of the transforms; s and t are steps between elements */
static inline void to_inputs(const va *a, int s, va *o, int t) {
    va d0 = a[0], d1 = a[s], d2 = a[2 * s], d3 = a[3 * s], d4 = a[4 * s], d5 = a[5 * s];
    o[0] = 4 * d0 - 5 * d2 + d4;
    o[t] = (d3 + d4) - 4 * (d1 + d2);
    o[2 * t] = 4 * (d1 - d2) + (d4 - d3);
    o[3 * t] = 2 * (d3 - d1) + (d4 - d2);
    o[4 * t] = 2 * (d1 - d3) + (d4 - d2);
    o[5 * t] = 4 * d1 - 5 * d3 + d5;
}
static inline void to_outputs(const va *a, int s, va *o, int t) {
    va d0 = a[0], d1 = a[s], d2 = a[2 * s], d3 = a[3 * s], d4 = a[4 * s], d5 = a[5 * s];
    va p = d1 + d2, q = d1 - d2, r = d3 + d4, u = d3 - d4;
    o[0] = d0 + p + r;
    o[t] = q + 2 * u;
    o[2 * t] = p + 4 * r;
    o[3 * t] = q + 8 * u + d5;
}

static inline void from_outputs(const va *a, int s, va *o, int t) {
    va d0 = a[0], d1 = a[s], d2 = a[2 * s], d3 = a[3 * s];
    va p = d0 + d2, q = d1 + d3, r = d0 + 4 * d2, u = 2 * d1 + 8 * d3;
    o[0] = d0;
    o[t] = p + q;
    o[2 * t] = p - q;
    o[3 * t] = r + u;
    o[4 * t] = r - u;
    o[5 * t] = d3;
}

/* c += or = a b for R rows of a, whose elements are `row` and `step` apart, and a panel b [depth][PANEL] */
#define KERNEL(R)                                                                                                  \
    static void kernel##R(const float *a, long row, long step, const float *b, float *c, long ldc, long depth,     \
                          int more) {                                                                              \
        va s[R][COLUMNS];                                                                                                \
        for (int i = 0; i < R; i++) for (int j = 0; j < COLUMNS; j++)                                              \
            s[i][j] = more ? (va)LD(c + i * ldc + j * W) : (va){0};                                                \
        for (long k = 0; k < depth; k++, a += step, b += PANEL) {                                                  \
            va p[COLUMNS];                                                                                         \
            for (int j = 0; j < COLUMNS; j++) p[j] = LD(b + j * W);                                                \
            for (int i = 0; i < R; i++) for (int j = 0; j < COLUMNS; j++) s[i][j] += a[i * row] * p[j];            \
        }                                                                                                          \
        for (int i = 0; i < R; i++) for (int j = 0; j < COLUMNS; j++) ST(c + i * ldc + j * W, s[i][j]);            \
    }
KERNEL(6) KERNEL(5) KERNEL(4) KERNEL(3) KERNEL(2) KERNEL(1)

static void product(const float *a, long row, long step, const float *b, float *c, long ldc, long rows, long depth,
                    int more) {
    for (; rows >= 6; rows -= 6, a += 6 * row, c += 6 * ldc) kernel6(a, row, step, b, c, ldc, depth, more);
    switch (rows) {
    case 5: kernel5(a, row, step, b, c, ldc, depth, more); break;
    case 4: kernel4(a, row, step, b, c, ldc, depth, more); break;
    case 3: kernel3(a, row, step, b, c, ldc, depth, more); break;
    case 2: kernel2(a, row, step, b, c, ldc, depth, more); break;
    case 1: kernel1(a, row, step, b, c, ldc, depth, more); break;
    }
}

static const float G[6][3] = {{1.f / 4, 0, 0}, {-1.f / 6, -1.f / 6, -1.f / 6}, {-1.f / 6, 1.f / 6, -1.f / 6},
                              {1.f / 24, 1.f / 12, 1.f / 6}, {1.f / 24, -1.f / 12, 1.f / 6}, {0, 0, 1}};
#define DEEP 16

/* w [O][I][3][3] -> u [36][columns / PANEL][depth][PANEL]. Of I channels to O; turned: windows turned round, of O
   channels to I, as the gradient for the input takes them. */
void winograd_weight(const float *w, float *u, long O, long I, int turned) {
    long depth = turned ? O : I, columns = turned ? I : O;
    _Pragma("omp parallel for collapse(2)")
    for (long p = 0; p < columns / PANEL; p++) for (long first = 0; first < depth; first += DEEP) {
        float g[DEEP][9][PANEL], h[18][PANEL];
        long count = depth - first < DEEP ? depth - first : DEEP;
        for (long j = 0; j < PANEL; j++) {
            long c = p * PANEL + j;
            for (long d = 0; d < count; d++) {
                const float *from = turned ? w + ((first + d) * I + c) * 9 : w + (c * I + first + d) * 9;
                for (int k = 0; k < 9; k++) g[d][turned ? 8 - k : k][j] = from[k];
            }
        }
        for (long d = 0; d < count; d++) {
            for (int r = 0; r < 6; r++) for (int b = 0; b < 3; b++) for (int j = 0; j < PANEL; j++)
                h[r * 3 + b][j] = G[r][0] * g[d][b][j] + G[r][1] * g[d][3 + b][j] + G[r][2] * g[d][6 + b][j];
            for (int r = 0; r < 6; r++) for (int q = 0; q < 6; q++) {
                float *to = u + (((r * 6 + q) * (columns / PANEL) + p) * depth + first + d) * PANEL;
                for (int j = 0; j < PANEL; j++)
                    to[j] = G[q][0] * h[r * 3][j] + G[q][1] * h[r * 3 + 1][j] + G[q][2] * h[r * 3 + 2][j];
            }
        }
    }
}

/* The transpose of that: u [36][O / PANEL][I][PANEL] -> w [O][I][3][3]. */
void winograd_weight_back(const float *u, float *w, long O, long I) {
    _Pragma("omp parallel for collapse(2)")
    for (long p = 0; p < O / PANEL; p++) for (long first = 0; first < I; first += DEEP) {
        float g[DEEP][9][PANEL], h[18][PANEL];
        long count = I - first < DEEP ? I - first : DEEP;
        for (long d = 0; d < count; d++) {
            for (int q = 0; q < 6; q++) for (int a = 0; a < 3; a++) for (int j = 0; j < PANEL; j++) {
                float sum = 0;
                for (int r = 0; r < 6; r++)
                    sum += G[r][a] * u[(((r * 6 + q) * (O / PANEL) + p) * I + first + d) * PANEL + j];
                h[a * 6 + q][j] = sum;
            }
            for (int a = 0; a < 3; a++) for (int b = 0; b < 3; b++) for (int j = 0; j < PANEL; j++) {
                float sum = 0;
                for (int q = 0; q < 6; q++) sum += G[q][b] * h[a * 6 + q][j];
                g[d][a * 3 + b][j] = sum;
            }
        }
        for (long j = 0; j < PANEL; j++) for (long d = 0; d < count; d++) for (int k = 0; k < 9; k++)
            w[((p * PANEL + j) * I + first + d) * 9 + k] = g[d][k][j];
    }
}

/* Where a tile lies, and the functions for one tile: `rows` tiles lie beside each other in `to` and `from`. */
typedef struct { long N, H, Wd, th, tw; } Plane;

static inline void gather(const float *x, float *to, Plane s, long tile, long t, long rows, long C) {
    long n = tile / (s.th * s.tw), i = tile / s.tw % s.th * 4 - 1, j = tile % s.tw * 4 - 1;
    const float *image = x + n * s.H * s.Wd * C;
    for (long c = 0; c < C; c += W) {
        va d[36], e[36], f[36];
        for (int a = 0; a < 6; a++) for (int b = 0; b < 6; b++) {
            long y = i + a, z = j + b;
            d[a * 6 + b] = y >= 0 && y < s.H && z >= 0 && z < s.Wd ? (va)LD(image + (y * s.Wd + z) * C + c) : (va){0};
        }
        for (int b = 0; b < 6; b++) to_inputs(d + b, 6, e + b, 6);
        for (int a = 0; a < 6; a++) to_inputs(e + a * 6, 1, f + a * 6, 1);
        for (int k = 0; k < 36; k++) ST(to + (k * rows + t) * C + c, f[k]);
    }
}

static inline void put(const float *from, const float *bias, float *y, Plane s, long tile, long t, long rows, long K) {
    long n = tile / (s.th * s.tw), i = tile / s.tw % s.th * 4, j = tile % s.tw * 4;
    float *image = y + n * s.H * s.Wd * K;
    for (long c = 0; c < K; c += W) {
        va d[36], e[24], f[16];
        for (int k = 0; k < 36; k++) d[k] = LD(from + (k * rows + t) * K + c);
        for (int b = 0; b < 6; b++) to_outputs(d + b, 6, e + b, 6);
        for (int a = 0; a < 4; a++) to_outputs(e + a * 6, 1, f + a * 4, 1);
        if (bias) for (int a = 0; a < 16; a++) f[a] += (va)LD(bias + c);
        for (int a = 0; a < 4 && i + a < s.H; a++) for (int b = 0; b < 4 && j + b < s.Wd; b++)
            ST(image + ((i + a) * s.Wd + j + b) * K + c, f[a * 4 + b]);
    }
}

/* The transpose of `put`, into panels: to [36][K / PANEL][rows][PANEL]. */
static inline void spread(const float *g, float *to, Plane s, long tile, long t, long rows, long K) {
    long n = tile / (s.th * s.tw), i = tile / s.tw % s.th * 4, j = tile % s.tw * 4;
    const float *image = g + n * s.H * s.Wd * K;
    for (long c = 0; c < K; c += W) {
        va d[16], e[24], f[36];
        for (int a = 0; a < 4; a++) for (int b = 0; b < 4; b++)
            d[a * 4 + b] = i + a < s.H && j + b < s.Wd ? (va)LD(image + ((i + a) * s.Wd + j + b) * K + c) : (va){0};
        for (int b = 0; b < 4; b++) from_outputs(d + b, 4, e + b, 4);
        for (int a = 0; a < 6; a++) from_outputs(e + a * 4, 1, f + a * 6, 1);
        for (int k = 0; k < 36; k++) ST(to + ((k * (K / PANEL) + c / PANEL) * rows + t) * PANEL + c % PANEL, f[k]);
    }
}

/* y [N][H][Wd][K] from x [N][H][Wd][C] and the transformed weight, `chunk` tiles at a time. With `apart` each thread
   works on a chunk of its own, otherwise all on one. room: 36 * chunk * (C + K) numbers, for each thread if apart. */
void winograd(const float *x, const float *u, const float *bias, float *y, float *room, long N, long H, long Wd, long C, long K,
              long chunk, int apart) {
    Plane s = {N, H, Wd, (H + 3) / 4, (Wd + 3) / 4};
    long tiles = N * s.th * s.tw;
    if (apart) {
        _Pragma("omp parallel for schedule(static)") for (long first = 0; first < tiles; first += chunk) {
            float *v_ = room + omp_get_thread_num() * 36 * chunk * (C + K), *m = v_ + 36 * chunk * C;
            long rows = tiles - first < chunk ? tiles - first : chunk;
            for (long t = 0; t < rows; t++) gather(x, v_, s, first + t, t, rows, C);
            for (long k = 0; k < 36; k++) for (long p = 0; p < K / PANEL; p++)
                product(v_ + k * rows * C, C, 1, u + (k * K + p * PANEL) * C, m + k * rows * K + p * PANEL, K, rows, C, 0);
            for (long t = 0; t < rows; t++) put(m, bias, y, s, first + t, t, rows, K);
        }
        return;
    }
    float *v_ = room, *m = room + 36 * chunk * C;
    for (long first = 0; first < tiles; first += chunk) {
        long rows = tiles - first < chunk ? tiles - first : chunk;
        _Pragma("omp parallel") {
            _Pragma("omp for schedule(static)") for (long t = 0; t < rows; t++) gather(x, v_, s, first + t, t, rows, C);
            _Pragma("omp for collapse(2) schedule(static)") for (long k = 0; k < 36; k++) for (long p = 0; p < K / PANEL; p++)
                product(v_ + k * rows * C, C, 1, u + (k * K + p * PANEL) * C, m + k * rows * K + p * PANEL, K, rows, C, 0);
            _Pragma("omp for schedule(static)") for (long t = 0; t < rows; t++) put(m, bias, y, s, first + t, t, rows, K);
        }
    }
}

/* u [36][K / PANEL][C][PANEL], the transformed gradient of the weight, from x and the gradient g of the result. */
void winograd_weigh(const float *x, const float *g, float *u, float *room, long N, long H, long Wd, long C, long K,
                    long chunk) {
    Plane s = {N, H, Wd, (H + 3) / 4, (Wd + 3) / 4};
    long tiles = N * s.th * s.tw;
    float *v_ = room, *m = room + 36 * chunk * C;
    for (long first = 0; first < tiles; first += chunk) {
        long rows = tiles - first < chunk ? tiles - first : chunk;
        _Pragma("omp parallel") {
            _Pragma("omp for schedule(static)") for (long t = 0; t < rows; t++) {
                gather(x, v_, s, first + t, t, rows, C);
                spread(g, m, s, first + t, t, rows, K);
            }
            _Pragma("omp for collapse(2) schedule(static)") for (long k = 0; k < 36; k++) for (long p = 0; p < K / PANEL; p++)
                product(v_ + k * rows * C, 1, C, m + (k * K + p * PANEL) * rows, u + (k * K + p * PANEL) * C, PANEL, C, rows,
                        first > 0);
        }
    }
}

/* How many threads there are, and of how many channels there has to be a multiple: 0 where this would not be fast. */
void winograd_machine(int *threads, int *panel) {
    *threads = omp_get_max_threads();
#if defined(__AVX512F__) || (defined(__AVX2__) && defined(__FMA__))
    *panel = PANEL;
#else
    *panel = 0;
#endif
}
