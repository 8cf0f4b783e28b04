/* Batch normalisation of arrays with their channels last, [rows][channels], and its gradient; with a relu behind it, too.

   Sums are taken in float over a few rows and put together in double, in an order that depends on the shape alone, so
   the bits are the same with any number of threads. Threads that wait sleep: oneDNN's wait in a loop for each other,
   which with other programs on the machine takes thrice the time of the work.
   Compiled without contraction (-ffp-contract=off): what is computed twice comes out the same twice. */

#include <math.h>

#define BLOCK 64
#define PARALLEL _Pragma("omp parallel if(parallel : rows * channels > 1 << 15)")
#define SHARED _Pragma("omp for schedule(static)")
#define SIMD _Pragma("omp simd")


/* Numbers of a result that no cache holds until it is read: it is written past them, which saves reading it first. */
#define FAR (3 << 20)
#ifdef __AVX512F__
#include <immintrin.h>
static inline void past(float *to, const float *line, long n) {
    for (long i = 0; i < n; i += 16) _mm512_stream_ps(to + i, _mm512_load_ps(line + i));
}
#define PAST(to, n) ((long)(to) % 64 == 0 && (n) % 16 == 0)
#define DONE _mm_sfence()
#else
static inline void past(float *to, const float *line, long n) {
    for (long i = 0; i < n; i++) to[i] = line[i];
}
#define PAST(to, n) 0
#define DONE
#endif
#define WIDE 2048
#define LINE float line[WIDE] __attribute__((aligned(64)))

#define VALUE(x) (((x) - mean[c]) * scale[c] + shift[c])

/* How many rows there are from `first` on in a piece of `piece` rows. */
static inline long count(long rows, long first, long piece) { return rows - first < piece ? rows - first : piece; }

/* sum[c] += f of each row, four rows at a time so that a sum is loaded and stored once for them */
#define ADD_ROWS(sum, n, f)                                                                                        \
    {                                                                                                              \
        long r = 0;                                                                                                \
        for (; r + 4 <= n; r += 4) {                                                                               \
            long i = r * channels, j = i + channels, k = j + channels, l = k + channels;                           \
            SIMD for (long c = 0; c < channels; c++) sum[c] += (f(i + c) + f(j + c)) + (f(k + c) + f(l + c));      \
        }                                                                                                          \
        for (; r < n; r++) SIMD for (long c = 0; c < channels; c++) sum[c] += f(r * channels + c);                 \
    }

static void statistics(const float *restrict x, long n, long channels, float *restrict sum, float *restrict square) {
    float *restrict mean = square + channels; /* behind the two sums of each piece there is room for a third */
    for (long c = 0; c < channels; c++) sum[c] = square[c] = 0;
#define PLAIN(i) x[i]
    ADD_ROWS(sum, n, PLAIN)
    for (long c = 0; c < channels; c++) mean[c] = sum[c] / (float)n;
#define SQUARE(i) (x[i] - mean[c]) * (x[i] - mean[c])
    ADD_ROWS(square, n, SQUARE)
}

/* Mean and variance from those of all pieces (Chan, Golub and LeVeque 1979). */
static void together(const float *sums, long rows, long channels, long piece, long first, long width, float *mean,
                     float *variance) {
    double total[BLOCK] = {0}, square[BLOCK] = {0};
    for (long r = 0; r < rows; r += piece, sums += 3 * channels)
        for (long c = 0; c < width; c++) total[c] += sums[first + c];
    sums -= (rows + piece - 1) / piece * 3 * channels;
    for (long c = 0; c < width; c++) total[c] /= rows;
    for (long r = 0; r < rows; r += piece, sums += 3 * channels) {
        double n = count(rows, r, piece);
        for (long c = 0; c < width; c++) {
            double off = sums[first + c] / n - total[c];
            square[c] += sums[channels + first + c] + off * off * n;
        }
    }
    for (long c = 0; c < width; c++) {
        mean[first + c] = (float)total[c];
        variance[first + c] = (float)(square[c] / rows);
    }
}

static void apply(const float *restrict x, const float *restrict more, float *restrict out, long n, long channels,
                  const float *restrict mean, const float *restrict scale, const float *restrict shift, int relu,
                  int far) {
    LINE;
#define EACH(value)                                                                                                \
    for (long r = 0; r < n; r++, x += channels, out += channels, more += channels) {                               \
        float *restrict to = far ? line : out;                                                                     \
        SIMD for (long c = 0; c < channels; c++) {                                                                 \
            float y = value;                                                                                       \
            to[c] = y;                                                                                             \
        }                                                                                                          \
        if (far) past(out, line, channels);                                                                        \
    }
#define RELU(y) ((y) <= 0 ? 0 : (y)) /* NaN stays NaN */
    if (more && relu) EACH(RELU(VALUE(x[c]) + more[c]))
    else if (more) EACH(VALUE(x[c]) + more[c])
    else if (relu) EACH(RELU(VALUE(x[c])))
    else EACH(VALUE(x[c]))
    DONE;
}

#define FAR_OFF(to) (rows * channels >= FAR && channels <= WIDE && PAST(to, channels))

/* out = (x - mean) / √(variance + eps) · weight + bias, + more if that is given, and the relu of it if asked for. Unless
   they are `given`, mean and variance are found first; nothing else is where `out` is null. `rstd`, `scale` and `shift` [channels] and `room` [pieces][3]
   [channels] are written to. */
void norm_forward(const float *x, const float *more, float *out, const float *weight, const float *bias, float *mean,
                  float *variance, float *rstd, float *scale, float *shift, float *room, long rows, long channels,
                  long piece, float eps, int given, int relu) {
    PARALLEL {
        if (!given) {
            SHARED for (long r = 0; r < rows; r += piece) {
                float *sums = room + r / piece * 3 * channels;
                statistics(x + r * channels, count(rows, r, piece), channels, sums, sums + channels);
            }
            SHARED for (long c = 0; c < channels; c += BLOCK)
                together(room, rows, channels, piece, c, count(channels, c, BLOCK), mean, variance);
        }
        _Pragma("omp single") for (long c = 0; c < channels; c++) {
            rstd[c] = 1 / sqrtf(variance[c] + eps);
            scale[c] = weight ? weight[c] * rstd[c] : rstd[c];
            shift[c] = bias ? bias[c] : 0;
        }
        if (out) SHARED for (long r = 0; r < rows; r += piece)
            apply(x + r * channels, more ? more + r * channels : 0, out + r * channels, count(rows, r, piece), channels,
                  mean, scale, shift, relu, FAR_OFF(out));
    }
}

#define PASSED(i) (!relu || VALUE(x[i]) > 0 ? g[i] : 0)

static void slopes(const float *restrict x, const float *restrict g, long n, long channels, float *restrict sum,
                   float *restrict along, const float *restrict mean, const float *restrict scale,
                   const float *restrict shift, const int relu) {
    for (long c = 0; c < channels; c++) sum[c] = along[c] = 0;
    for (long r = 0; r < n; r++, x += channels, g += channels)
        SIMD for (long c = 0; c < channels; c++) {
            float slope = PASSED(c);
            sum[c] += slope;
            along[c] += slope * (x[c] - mean[c]);
        }
}

static void spread(const float *restrict x, const float *restrict g, float *restrict into, long n, long channels,
                   const float *restrict mean, const float *restrict scale, const float *restrict shift,
                   const float *restrict level, const float *restrict tilt, const int relu, int far) {
    LINE;
    for (long r = 0; r < n; r++, x += channels, g += channels, into += channels) {
        float *restrict to = far ? line : into;
        SIMD for (long c = 0; c < channels; c++)
            to[c] = scale[c] * (PASSED(c) - level[c] - (x[c] - mean[c]) * tilt[c]);
        if (far) past(into, line, channels);
    }
    DONE;
}

/* The gradients of x, of the weight and of the bias from that of the result. `scale`, `shift`, `level` and `tilt`
   [channels] and `room` [pieces][2][channels] are written to. */
void norm_backward(const float *x, const float *g, float *into, const float *weight, const float *bias,
                   const float *mean, const float *rstd, float *to_weight, float *to_bias, float *scale, float *shift,
                   float *level, float *tilt, float *room, long rows, long channels, long piece, int relu) {
    for (long c = 0; c < channels; c++) {
        scale[c] = weight ? weight[c] * rstd[c] : rstd[c];
        shift[c] = bias ? bias[c] : 0;
    }
    PARALLEL {
        SHARED for (long r = 0; r < rows; r += piece) {
            float *sums = room + r / piece * 2 * channels;
            const float *from = x + r * channels, *slope = g + r * channels;
            long n = count(rows, r, piece);
            if (relu) slopes(from, slope, n, channels, sums, sums + channels, mean, scale, shift, 1);
            else slopes(from, slope, n, channels, sums, sums + channels, mean, scale, shift, 0);
        }
        SHARED for (long first = 0; first < channels; first += BLOCK) {
            double sum[BLOCK] = {0}, along[BLOCK] = {0};
            long width = count(channels, first, BLOCK);
            const float *sums = room + first;
            for (long r = 0; r < rows; r += piece, sums += 2 * channels)
                for (long c = 0; c < width; c++) sum[c] += sums[c], along[c] += sums[channels + c];
            for (long c = 0; c < width; c++) {
                double deviation = rstd[first + c];
                to_bias[first + c] = (float)sum[c];
                if (to_weight) to_weight[first + c] = (float)(along[c] * deviation);
                level[first + c] = (float)(sum[c] / rows);
                tilt[first + c] = (float)(along[c] * deviation * deviation / rows);
            }
        }
        SHARED for (long r = 0; r < rows; r += piece) {
            const float *from = x + r * channels, *slope = g + r * channels;
            float *to = into + r * channels;
            long n = count(rows, r, piece);
            if (relu) spread(from, slope, to, n, channels, mean, scale, shift, level, tilt, 1, FAR_OFF(into));
            else spread(from, slope, to, n, channels, mean, scale, shift, level, tilt, 0, FAR_OFF(into));
        }
    }
}
