// Kernels for images with their channels last in memory: rows (one for each pixel) of one number for each channel.
// T is what arrays hold, A what sums are made in, and what there is one of for each channel is of.
#ifdef HALF
#include <cuda_fp16.h>
#endif
#ifdef BRAIN
#include <cuda_bf16.h>
#endif
typedef ELEMENT T;
typedef SUM A;
#define EACH(i, n) for (long long i = blockIdx.x * (long long)blockDim.x + threadIdx.x; i < (n); i += (long long)gridDim.x * blockDim.x)
#define THREADS 256
#define AHEAD 4  // rows that a thread reads before it computes

// V neighbouring channels, which a thread reads and writes at once.
template <int V> struct alignas(sizeof(T) * V > 16 ? 16 : sizeof(T) * V) Pack { T v[V]; };

template <int V> __device__ Pack<V> taken(const T* from, long long at) { return *(const Pack<V>*)(from + at); }

// --- layouts ---------------------------------------------------------------------------------------------

// Each of many matrices [rows, columns] transposed, by tiles that are read and written along their lines.
extern "C" __global__ void turn(const T* x, T* out, int rows, int columns) {
    __shared__ T tile[32][33];
    long long plane = (long long)blockIdx.z * rows * columns;
    int c = blockIdx.x * 32 + threadIdx.x, r = blockIdx.y * 32 + threadIdx.y;
    for (int k = 0; k < 32; k += 8)
        if (c < columns && r + k < rows) tile[threadIdx.y + k][threadIdx.x] = x[plane + (long long)(r + k) * columns + c];
    __syncthreads();
    c = blockIdx.y * 32 + threadIdx.x;
    r = blockIdx.x * 32 + threadIdx.y;
    for (int k = 0; k < 32; k += 8)
        if (c < rows && r + k < columns) out[plane + (long long)(r + k) * rows + c] = tile[threadIdx.x][threadIdx.y + k];
}

// The same where there are few rows or columns: a tile would be empty for the most part.
extern "C" __global__ void turn_few(const T* x, T* out, long long n, int rows, int columns) {
    EACH(i, n) {
        unsigned at = i, plane = (unsigned)rows * columns, own = at % plane;
        out[i] = x[i - own + own % rows * columns + own / rows];
    }
}

// --- elements, four at a time ----------------------------------------------------------------------------

#define FOURS(i, n) EACH(i, ((n) + 3) / 4)

template <class U> struct alignas(sizeof(U) * 4 > 16 ? 16 : sizeof(U) * 4) Four { U v[4]; };

template <class U> __device__ Four<U> four(const U* from, long long i, long long n) {
    if (4 * i + 3 < n) return *(const Four<U>*)(from + 4 * i);
    Four<U> made;
    for (int k = 0; k < 4; k++) made.v[k] = from[min(4 * i + k, n - 1)];
    return made;
}

template <class U> __device__ void put(U* to, long long i, long long n, Four<U> made) {
    if (4 * i + 3 < n) *(Four<U>*)(to + 4 * i) = made;
    else for (int k = 0; 4 * i + k < n; k++) to[4 * i + k] = made.v[k];
}

extern "C" __global__ void sum(const T* a, const T* b, T* out, long long n) {
    FOURS(i, n) {
        Four<T> p = four(a, i, n), q = four(b, i, n);
        for (int k = 0; k < 4; k++) p.v[k] = (T)((A)p.v[k] + (A)q.v[k]);
        put(out, i, n, p);
    }
}

// The gradient of a relu, where its result is positive.
extern "C" __global__ void rectified(const T* g, const T* out, T* to, long long n) {
    FOURS(i, n) {
        Four<T> p = four(g, i, n), q = four(out, i, n);
        for (int k = 0; k < 4; k++) p.v[k] = (T)((A)p.v[k] * ((A)q.v[k] > (A)0 ? (A)1 : (A)0));
        put(to, i, n, p);
    }
}

// To the type that sums are made in, and from it.
extern "C" __global__ void widen(const T* x, A* to, long long n) {
    FOURS(i, n) {
        Four<T> p = four(x, i, n);
        Four<A> made;
        for (int k = 0; k < 4; k++) made.v[k] = (A)p.v[k];
        put(to, i, n, made);
    }
}

extern "C" __global__ void narrow(const A* x, T* to, long long n) {
    FOURS(i, n) {
        Four<A> p = four(x, i, n);
        Four<T> made;
        for (int k = 0; k < 4; k++) made.v[k] = (T)p.v[k];
        put(to, i, n, made);
    }
}

// --- batch normalisation ---------------------------------------------------------------------------------
// A block has lanes along the channels (threadIdx.x) and lines along the rows (threadIdx.y), 256 threads in all. Sums
// are taken strip by strip of rows, each by one block, and the strips' are put together by every block that needs them,
// in one order: the same bits each time.

// Mean, sum of squared distances from it and number of some values, from those of two parts of them.
__device__ void joined(A& mean, A& square, A n, A other_mean, A other_square, A m) {
    if (m == (A)0) return;
    A d = other_mean - mean, part = m / (n + m);
    mean += d * part;
    square += other_square + d * d * (n * part);
}

// Those of all lines of a block, in the first line's `mean` and `square`; `count` is how many values each line has.
template <int V> __device__ void gathered(A* mean, A* square, A count) {
    __shared__ A means[THREADS * V], squares[THREADS * V], counts[THREADS];
    int lanes = blockDim.x, line = threadIdx.y, at = line * lanes + threadIdx.x;
    for (int v = 0; v < V; v++) { means[at * V + v] = mean[v]; squares[at * V + v] = square[v]; }
    counts[at] = count;
    for (int o = blockDim.y / 2; o; o /= 2) {
        __syncthreads();
        if (line < o) {
            int other = at + o * lanes;
            for (int v = 0; v < V; v++)
                joined(mean[v], square[v], count, means[other * V + v], squares[other * V + v], counts[other]);
            count += counts[other];
            for (int v = 0; v < V; v++) { means[at * V + v] = mean[v]; squares[at * V + v] = square[v]; }
            counts[at] = count;
        }
    }
}

// No two arrays share memory: what a thread reads next it may read before it has written.
template <int V> __device__ void norm_parts(const T* __restrict__ x, A* parts, int rows, int channels, int strip) {
    int lines = blockDim.y, c = (blockIdx.x * blockDim.x + threadIdx.x) * V;
    bool inside = c < channels;
    int end = min((long long)rows, (long long)(blockIdx.y + 1) * strip);
    A mean[V] = {}, square[V] = {};
    int count = 0;
    for (int r = blockIdx.y * strip + threadIdx.y; inside && r < end; r += AHEAD * lines) {
        Pack<V> p[AHEAD];
        int k = 0;
#pragma unroll
        for (int j = 0; j < AHEAD; j++)
            if (r + j * lines < end) { p[j] = taken<V>(x, (long long)(r + j * lines) * channels + c); k = j + 1; }
        A share = (A)1 / (A)k, part = (A)k / (A)(count + k), weight = (A)count * part;
#pragma unroll
        for (int v = 0; v < V; v++) {
            A sum = 0, q = 0;
#pragma unroll
            for (int j = 0; j < AHEAD; j++) if (j < k) sum += (A)p[j].v[v];
            sum *= share;
#pragma unroll
            for (int j = 0; j < AHEAD; j++) if (j < k) { A d = (A)p[j].v[v] - sum; q += d * d; }
            A d = sum - mean[v];
            mean[v] += d * part;
            square[v] += q + d * d * weight;
        }
        count += k;
    }
    gathered<V>(mean, square, (A)count);
    if (!inside || threadIdx.y) return;
    for (int v = 0; v < V; v++) {
        parts[(long long)blockIdx.y * 2 * channels + c + v] = mean[v];
        parts[((long long)blockIdx.y * 2 + 1) * channels + c + v] = square[v];
    }
}

// What the result is computed of, for each channel: `stats` holds mean, 1 / deviation, and bias and weight as they were.
// One formula for all that compute it or its sign.
__device__ T normal(T x, A mean, A scale, A bias) { return (T)fma((A)x - mean, scale, bias); }
__device__ T positive(T x) { A v = (A)x; return v > (A)0 || v != v ? x : (T)(A)0; }

// The result (none without `out`); with `more`, added to it, and with `relu` the relu of that. With `strips` the statistics are put together
// of parts, `stats` is written and the running ones follow; without, `running_mean` and `running_var` are the statistics,
// or where there are none what `stats` holds.
template <int V> __device__ void norm_apply(
    const T* __restrict__ x, const T* __restrict__ more, T* __restrict__ out, const A* weight, const A* bias, const A* parts, A* stats, A* running_mean, A* running_var,
    double momentum, double eps, int rows, int channels, int strips, int strip, int span, int relu
) {
    __shared__ A shared[3][32 * V];
    int lanes = blockDim.x, lines = blockDim.y, lane = threadIdx.x, line = threadIdx.y;
    int c = (blockIdx.x * lanes + lane) * V;
    bool inside = c < channels, first = blockIdx.y == 0;
    A mean[V] = {}, square[V] = {};
    if (strips) {
        A count = 0;
        for (int p = line; inside && p < strips; p += lines) {
            A m = (A)min((long long)strip, (long long)rows - (long long)p * strip);
            for (int v = 0; v < V; v++)
                joined(mean[v], square[v], count, parts[(long long)p * 2 * channels + c + v], parts[((long long)p * 2 + 1) * channels + c + v], m);
            count += m;
        }
        gathered<V>(mean, square, count);
    }
    if (inside && line == 0)
        for (int v = 0; v < V; v++) {
            A w = weight ? weight[c + v] : (A)1, b = bias ? bias[c + v] : (A)0, rstd;
            if (strips || running_mean) {
                A var = strips ? square[v] / (A)rows : running_var[c + v];
                if (!strips) mean[v] = running_mean[c + v];
                rstd = (A)1 / sqrt(var + (A)eps);
                if (first) {
                    stats[c + v] = mean[v];
                    stats[channels + c + v] = rstd;
                    stats[2 * channels + c + v] = b;
                    stats[3 * channels + c + v] = w;
                    if (strips && running_mean) {
                        A m = (A)momentum, unbiased = square[v] / (A)(rows > 1 ? rows - 1 : 1);
                        running_mean[c + v] = running_mean[c + v] * ((A)1 - m) + mean[v] * m;
                        running_var[c + v] = running_var[c + v] * ((A)1 - m) + unbiased * m;
                    }
                }
            } else {
                mean[v] = stats[c + v];
                rstd = stats[channels + c + v];
                b = stats[2 * channels + c + v];
                w = stats[3 * channels + c + v];
            }
            shared[0][lane * V + v] = mean[v];
            shared[1][lane * V + v] = rstd * w;
            shared[2][lane * V + v] = b;
        }
    __syncthreads();
    if (!inside || !out) return;
    A scale[V], shift[V];
    for (int v = 0; v < V; v++) { mean[v] = shared[0][lane * V + v]; scale[v] = shared[1][lane * V + v]; shift[v] = shared[2][lane * V + v]; }
    int end = min((long long)rows, (long long)(blockIdx.y + 1) * span);
#pragma unroll 4
    for (int r = blockIdx.y * span + line; r < end; r += lines) {
        long long at = (long long)r * channels + c;
        Pack<V> p = taken<V>(x, at), q, o;
        if (more) q = taken<V>(more, at);
#pragma unroll
        for (int v = 0; v < V; v++) {
            T made = normal(p.v[v], mean[v], scale[v], shift[v]);
            if (more) made = (T)((A)made + (A)q.v[v]);
            o.v[v] = relu ? positive(made) : made;
        }
        *(Pack<V>*)(out + at) = o;
    }
}

// Of each strip the sums of the gradient and of the gradient times the distance from the mean. `relu`: what comes is the
// gradient of the relu of the result.
template <int V> __device__ void norm_sums(
    const T* __restrict__ g, const T* __restrict__ x, const A* weight, const A* stats, A* parts, int rows, int channels, int strip, int relu
) {
    __shared__ A sums[THREADS * V], alongs[THREADS * V];
    int lanes = blockDim.x, lines = blockDim.y, line = threadIdx.y, c = (blockIdx.x * lanes + threadIdx.x) * V;
    bool inside = c < channels;
    int end = min((long long)rows, (long long)(blockIdx.y + 1) * strip), mine = line * lanes + threadIdx.x;
    A sum[V] = {}, along[V] = {}, mean[V] = {}, scale[V] = {}, shift[V] = {};
    if (inside)
        for (int v = 0; v < V; v++) {
            mean[v] = stats[c + v];
            scale[v] = stats[channels + c + v] * (weight ? weight[c + v] : (A)1);
            shift[v] = stats[2 * channels + c + v];
        }
    for (int r = blockIdx.y * strip + line; inside && r < end; r += AHEAD * lines) {
        Pack<V> p[AHEAD], q[AHEAD];
#pragma unroll
        for (int j = 0; j < AHEAD; j++)
            if (r + j * lines < end) {
                long long at = (long long)(r + j * lines) * channels + c;
                p[j] = taken<V>(x, at);
                q[j] = taken<V>(g, at);
            }
#pragma unroll
        for (int j = 0; j < AHEAD; j++)
            if (r + j * lines < end)
#pragma unroll
                for (int v = 0; v < V; v++) {
                    A d = (A)q[j].v[v];
                    if (relu) d *= (A)normal(p[j].v[v], mean[v], scale[v], shift[v]) > (A)0 ? (A)1 : (A)0;
                    sum[v] += d;
                    along[v] += d * ((A)p[j].v[v] - mean[v]);
                }
    }
    for (int v = 0; v < V; v++) { sums[mine * V + v] = sum[v]; alongs[mine * V + v] = along[v]; }
    for (int o = lines / 2; o; o /= 2) {
        __syncthreads();
        if (line < o)
            for (int v = 0; v < V; v++) {
                sums[mine * V + v] += sums[(mine + o * lanes) * V + v];
                alongs[mine * V + v] += alongs[(mine + o * lanes) * V + v];
            }
    }
    if (!inside || line) return;
    for (int v = 0; v < V; v++) {
        parts[(long long)blockIdx.y * 2 * channels + c + v] = sums[mine * V + v];
        parts[((long long)blockIdx.y * 2 + 1) * channels + c + v] = alongs[mine * V + v];
    }
}

// The gradients from those sums: of the images, and (the first block of each channel) of weight and bias. `given`: the
// statistics do not depend on the images.
template <int V> __device__ void norm_gradient(
    const T* __restrict__ g, const T* __restrict__ x, T* __restrict__ to, const A* weight, const A* stats, const A* parts, A* to_weight, A* to_bias,
    int rows, int channels, int strips, int span, int relu, int given
) {
    __shared__ A sums[THREADS * V], alongs[THREADS * V];
    int lanes = blockDim.x, lines = blockDim.y, lane = threadIdx.x, line = threadIdx.y, mine = line * lanes + lane;
    int c = (blockIdx.x * lanes + lane) * V;
    bool inside = c < channels;
    A sum[V] = {}, along[V] = {}, mean[V], scale[V], shift[V];
    for (int p = line; inside && p < strips; p += lines)
        for (int v = 0; v < V; v++) {
            sum[v] += parts[(long long)p * 2 * channels + c + v];
            along[v] += parts[((long long)p * 2 + 1) * channels + c + v];
        }
    for (int v = 0; v < V; v++) { sums[mine * V + v] = sum[v]; alongs[mine * V + v] = along[v]; }
    for (int o = lines / 2; o; o /= 2) {
        __syncthreads();
        if (line < o)
            for (int v = 0; v < V; v++) {
                sums[mine * V + v] += sums[(mine + o * lanes) * V + v];
                alongs[mine * V + v] += alongs[(mine + o * lanes) * V + v];
            }
    }
    __syncthreads();
    if (!inside) return;
    for (int v = 0; v < V; v++) {
        A rstd = stats[channels + c + v];
        sum[v] = sums[lane * V + v];
        along[v] = alongs[lane * V + v] * rstd;
        if (line == 0 && blockIdx.y == 0) {
            if (to_weight) to_weight[c + v] = along[v];
            if (to_bias) to_bias[c + v] = sum[v];
        }
        mean[v] = stats[c + v];
        scale[v] = rstd * (weight ? weight[c + v] : (A)1);
        shift[v] = stats[2 * channels + c + v];
        // What is taken from each gradient: a constant, and a multiple of the distance from the mean.
        sum[v] = given ? (A)0 : sum[v] / (A)rows;
        along[v] = given ? (A)0 : along[v] / (A)rows * rstd;
    }
    int end = min((long long)rows, (long long)(blockIdx.y + 1) * span);
#pragma unroll 4
    for (int r = blockIdx.y * span + line; r < end; r += lines) {
        long long at = (long long)r * channels + c;
        Pack<V> p = taken<V>(x, at), q = taken<V>(g, at), o;
#pragma unroll
        for (int v = 0; v < V; v++) {
            A d = (A)q.v[v];
            if (relu) d *= (A)normal(p.v[v], mean[v], scale[v], shift[v]) > (A)0 ? (A)1 : (A)0;
            o.v[v] = (T)((d - sum[v] - ((A)p.v[v] - mean[v]) * along[v]) * scale[v]);
        }
        *(Pack<V>*)(to + at) = o;
    }
}

#define NORMS(V) \
    extern "C" __global__ void norm_parts_##V(const T* __restrict__ x, A* parts, int rows, int channels, int strip) { \
        norm_parts<V>(x, parts, rows, channels, strip); \
    } \
    extern "C" __global__ void norm_apply_##V( \
        const T* __restrict__ x, const T* __restrict__ more, T* __restrict__ out, const A* weight, const A* bias, const A* parts, A* stats, A* running_mean, \
        A* running_var, double momentum, double eps, int rows, int channels, int strips, int strip, int span, int relu \
    ) { \
        norm_apply<V>(x, more, out, weight, bias, parts, stats, running_mean, running_var, momentum, eps, rows, channels, strips, strip, span, relu); \
    } \
    extern "C" __global__ void norm_sums_##V( \
        const T* __restrict__ g, const T* __restrict__ x, const A* weight, const A* stats, A* parts, int rows, int channels, int strip, int relu \
    ) { \
        norm_sums<V>(g, x, weight, stats, parts, rows, channels, strip, relu); \
    } \
    extern "C" __global__ void norm_gradient_##V( \
        const T* __restrict__ g, const T* __restrict__ x, T* __restrict__ to, const A* weight, const A* stats, const A* parts, A* to_weight, A* to_bias, \
        int rows, int channels, int strips, int span, int relu, int given \
    ) { \
        norm_gradient<V>(g, x, to, weight, stats, parts, to_weight, to_bias, rows, channels, strips, span, relu, given); \
    }

NORMS(1)
NORMS(4)
#if defined(HALF) || defined(BRAIN)
NORMS(8)
#endif

// --- pooling ---------------------------------------------------------------------------------------------
// The largest of each window, and which of its elements it is; NaN is larger than all, and the first of equal ones it is.
// There are fewer than 2^32 elements: numbers of 32 bits are divided in a third of the time.

extern "C" __global__ void max_pool_last(const T* x, T* out, unsigned char* places, long long n, int channels, int h, int w, int oh, int ow,
                                         int kh, int kw, int sh, int sw, int ph, int pw, int dh, int dw) {
    EACH(i, n) {
        unsigned pixel = (unsigned)i / channels, k = (unsigned)i % channels, line = pixel / ow;
        int c = pixel % ow, r = line % oh;
        const T* plane = x + (long long)(line / oh) * h * w * channels + k;
        bool found = false;
        A best = 0;
        int place = 0;
        for (int a = 0; a < kh; a++) {
            int y = r * sh - ph + a * dh;
            if (y < 0 || y >= h) continue;
            for (int b = 0; b < kw; b++) {
                int z = c * sw - pw + b * dw;
                if (z < 0 || z >= w) continue;
                A v = (A)plane[((long long)y * w + z) * channels];
                if (!found || v > best || v != v) { best = v; place = a * kw + b; found = true; }
            }
        }
        out[i] = (T)best;
        places[i] = (unsigned char)place;
    }
}

// Each element of the input asks the windows it lies in whether it was theirs: no two threads write one place.
extern "C" __global__ void max_pool_gradient_last(const T* g, const unsigned char* places, T* to, long long n, int channels, int h, int w,
                                                  int oh, int ow, int kh, int kw, int sh, int sw, int ph, int pw, int dh, int dw) {
    EACH(i, n) {
        int k = i % channels, z = i / channels % w, y = i / channels / w % h;
        long long plane = i / channels / w / h * oh * ow;
        A sum = 0;
        for (int a = 0; a < kh; a++) {
            int top = y + ph - a * dh;
            if (top < 0 || top % sh || top / sh >= oh) continue;
            for (int b = 0; b < kw; b++) {
                int left = z + pw - b * dw;
                if (left < 0 || left % sw || left / sw >= ow) continue;
                long long at = (plane + (long long)(top / sh) * ow + left / sw) * channels + k;
                if (places[at] == a * kw + b) sum += (A)g[at];
            }
        }
        to[i] = (T)sum;
    }
}

// The mean of each channel of each image.
extern "C" __global__ void mean_last(const T* x, T* out, long long n, int channels, int pixels) {
    EACH(i, n) {
        const T* from = x + i / channels * pixels * channels + i % channels;
        A sum = 0;
        for (int p = 0; p < pixels; p++) sum += (A)from[(long long)p * channels];
        out[i] = (T)(sum / (A)pixels);
    }
}

// Each number of [images, channels] times a factor, for every pixel.
extern "C" __global__ void spread_last(const T* g, T* to, long long n, int channels, int pixels, double factor) {
    EACH(i, n) {
        unsigned at = i, pixel = at / channels;
        to[i] = (T)((A)g[pixel / pixels * channels + at % channels] * (A)factor);
    }
}
