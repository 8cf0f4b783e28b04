// Kernels of our own, compiled once for each element type: T is what arrays hold, A what sums are made in.
#ifdef HALF
#include <cuda_fp16.h>
#endif
#ifdef BRAIN
#include <cuda_bf16.h>
#endif
typedef ELEMENT T;
typedef SUM A;
// A thread strides over the elements, so that any number of blocks will do.
#define EACH(i, n) for (long long i = blockIdx.x * (long long)blockDim.x + threadIdx.x; i < (n); i += (long long)gridDim.x * blockDim.x)

extern "C" {

// a + b, a - b, a * b, a / b, b - a, b / a; without an array b it is a number.
__global__ void arithmetic(const T* a, const T* b, T* out, long long n, double number, int what) {
    A held = (A)(T)number;
    EACH(i, n) {
        A v = (A)a[i], w = b ? (A)b[i] : held;
        out[i] = (T)(what == 0 ? v + w : what == 1 ? v - w : what == 2 ? v * w : what == 3 ? v / w : what == 4 ? w - v : w / v);
    }
}

__global__ void relu(const T* x, T* out, long long n) {
    EACH(i, n) { A v = (A)x[i]; out[i] = (T)(v > (A)0 || v != v ? v : (A)0); }
}

__global__ void relu_gradient(const T* g, const T* out, T* to, long long n) {
    EACH(i, n) to[i] = (T)((A)g[i] * ((A)out[i] > (A)0 ? (A)1 : (A)0));
}

__global__ void sigmoid(const T* x, T* out, long long n) {
    EACH(i, n) out[i] = (T)((A)1 / (exp(-(A)x[i]) + (A)1)); // small where it is small, with all digits
}

__global__ void sigmoid_gradient(const T* g, const T* out, T* to, long long n) {
    EACH(i, n) { A s = (A)out[i]; to[i] = (T)(((A)1 - s) * s * (A)g[i]); }
}

__global__ void tanh_gradient(const T* g, const T* out, T* to, long long n) {
    EACH(i, n) { A t = (A)out[i]; to[i] = (T)(((A)1 - t * t) * (A)g[i]); }
}

// The rows of a matrix product get their bias, one number for each column.
__global__ void add_bias(T* out, const T* bias, long long n, int columns) {
    EACH(i, n) out[i] = (T)((A)out[i] + (A)bias[i % columns]);
}

__global__ void gelu(const T* x, T* out, long long n) {
    EACH(i, n) { A v = (A)x[i]; out[i] = (T)(v * (A)0.5 * ((A)1 + erf(v * (A)0.70710678118654752440))); }
}

__global__ void gelu_gradient(const T* g, const T* x, T* to, long long n) {
    EACH(i, n) {
        A v = (A)x[i];
        A below = (A)0.5 * ((A)1 + erf(v * (A)0.70710678118654752440));
        A density = exp(v * v * (A)-0.5) * (A)0.39894228040143267794;
        to[i] = (T)((A)g[i] * (below + v * density));
    }
}

// --- pooling: the largest of each window, and which of its elements it is; NaN is larger than all ---------

__global__ void max_pool(const T* x, T* out, unsigned char* places, long long n, int h, int w, int oh, int ow,
                         int kh, int kw, int sh, int sw, int ph, int pw, int dh, int dw) {
    EACH(i, n) {
        int c = i % ow, r = i / ow % oh;
        const T* plane = x + i / ((long long)ow * oh) * h * w;
        bool found = false;
        A best = 0;
        int place = 0;
        for (int a = 0; a < kh; a++) {
            int y = r * sh - ph + a * dh;
            if (y < 0 || y >= h) continue;
            for (int b = 0; b < kw; b++) {
                int z = c * sw - pw + b * dw;
                if (z < 0 || z >= w) continue;
                A v = (A)plane[(long long)y * w + z];
                if (!found || v > best || (v != v && best == best) || (v != v)) { best = v; place = a * kw + b; found = true; }
            }
        }
        out[i] = (T)best;
        places[i] = (unsigned char)place;
    }
}

// Each element of the input asks the windows it lies in whether it was theirs: no two threads write one place.
__global__ void max_pool_gradient(const T* g, const unsigned char* places, T* to, long long n, int h, int w, int oh, int ow,
                                  int kh, int kw, int sh, int sw, int ph, int pw, int dh, int dw) {
    EACH(i, n) {
        int z = i % w, y = i / w % h;
        long long plane = i / ((long long)w * h) * oh * ow;
        A sum = 0;
        for (int a = 0; a < kh; a++) {
            int top = y + ph - a * dh;
            if (top < 0 || top % sh || top / sh >= oh) continue;
            for (int b = 0; b < kw; b++) {
                int left = z + pw - b * dw;
                if (left < 0 || left % sw || left / sw >= ow) continue;
                long long at = plane + (long long)(top / sh) * ow + left / sw;
                if (places[at] == a * kw + b) sum += (A)g[at];
            }
        }
        to[i] = (T)sum;
    }
}

// --- optimizers: many parameters in one launch --------------------------------------------------------------
// `chunks` holds, for each block, which parameter it works on and from where; `at` the addresses of each one's
// arrays. `told`, where there is any, holds the plain numbers: those of a recorded step, which differ at each launch.

#define CHUNK 4096
#define OWN(i) for (long long i = from + threadIdx.x; i < from + CHUNK && i < size; i += blockDim.x)

__global__ void sgd(const long long* chunks, const long long* sizes, const long long* at, int count, double lr_, double momentum_,
                    double damped_, double decay_, int nesterov, int first, int maximize, const double* told) {
    if (told) { lr_ = told[0]; momentum_ = told[1]; damped_ = told[2]; decay_ = told[3]; }
    long long which = chunks[2 * blockIdx.x], from = chunks[2 * blockIdx.x + 1], size = sizes[which];
    T* p = (T*)at[which];
    const T* g = (const T*)at[count + which];
    T* v = (T*)at[2 * count + which];
    A lr = (A)lr_, momentum = (A)momentum_, damped = (A)damped_, decay = (A)decay_;
    OWN(i) {
        A d = (A)g[i], own = (A)p[i];
        if (maximize) d = -d;
        if (decay != (A)0) d = d + own * decay;
        if (v) {
            A next = first ? d : (A)v[i] * momentum + d * damped;
            v[i] = (T)next;
            d = nesterov ? d + next * momentum : next;
        }
        p[i] = (T)(own - d * lr);
    }
}

__global__ void adam(const long long* chunks, const long long* sizes, const long long* at, int count, double lr_, double beta1_,
                     double beta2_, double eps_, double decay_, double step_, double root_, int decoupled, int maximize,
                     const double* told) {
    if (told) { lr_ = told[0]; beta1_ = told[1]; beta2_ = told[2]; eps_ = told[3]; decay_ = told[4]; step_ = told[5]; root_ = told[6]; }
    long long which = chunks[2 * blockIdx.x], from = chunks[2 * blockIdx.x + 1], size = sizes[which];
    T* p = (T*)at[which];
    const T* g = (const T*)at[count + which];
    T* m = (T*)at[2 * count + which];
    T* s = (T*)at[3 * count + which];
    T* most = (T*)at[4 * count + which];
    A beta1 = (A)beta1_, beta2 = (A)beta2_, decay = (A)decay_, step = (A)step_, root = (A)root_, eps = (A)eps_;
    OWN(i) {
        A d = (A)g[i], own = (A)p[i];
        if (maximize) d = -d;
        if (decay != (A)0) {
            if (decoupled) own = own * (A)(1 - lr_ * decay_);
            else d = d + own * decay;
        }
        A mean = (A)m[i] + (d - (A)m[i]) * ((A)1 - beta1);
        A square = (A)s[i] * beta2 + d * d * ((A)1 - beta2);
        m[i] = (T)mean;
        s[i] = (T)square;
        if (most) { square = (A)most[i] > square ? (A)most[i] : square; most[i] = (T)square; }
        p[i] = (T)(own - step * (mean / (sqrt(square) / root + eps)));
    }
}

// --- gradients held within a norm: the sum of squares of each chunk, then of all, then the factor ---------------

__global__ void squares(const long long* chunks, const long long* sizes, const long long* at, double* parts) {
    __shared__ double own[256];
    long long which = chunks[2 * blockIdx.x], from = chunks[2 * blockIdx.x + 1], size = sizes[which];
    const T* g = (const T*)at[which];
    double sum = 0;
    OWN(i) { double v = (double)(A)g[i]; sum += v * v; }
    own[threadIdx.x] = sum;
    for (int o = 128; o; o >>= 1) {
        __syncthreads();
        if (threadIdx.x < o) own[threadIdx.x] += own[threadIdx.x + o];
    }
    if (threadIdx.x == 0) parts[blockIdx.x] = own[0];
}

__global__ void whole_norm(const double* parts, long long n, double* total, T* rounded) {
    __shared__ double own[256];
    double sum = 0;
    for (long long i = threadIdx.x; i < n; i += blockDim.x) sum += parts[i];
    own[threadIdx.x] = sum;
    for (int o = 128; o; o >>= 1) {
        __syncthreads();
        if (threadIdx.x < o) own[threadIdx.x] += own[threadIdx.x + o];
    }
    if (threadIdx.x == 0) { total[0] = sqrt(own[0]); rounded[0] = (T)(A)total[0]; }
}

// A norm that is not a number makes the gradients that too.
__global__ void hold(const long long* chunks, const long long* sizes, const long long* at, const double* total, double most) {
    long long which = chunks[2 * blockIdx.x], from = chunks[2 * blockIdx.x + 1], size = sizes[which];
    T* g = (T*)at[which];
    double factor = most / (total[0] + 1e-6);
    if (factor >= 1) return;
    OWN(i) g[i] = (T)((A)g[i] * (A)factor);
}

// --- rows: a block for each, its sums by shuffles and shared memory ---------------------------------------

__device__ A total(A v) {
    __shared__ A parts[32];
    for (int o = 16; o; o >>= 1) v += __shfl_down_sync(0xffffffffu, v, o);
    __syncthreads();
    if (threadIdx.x % 32 == 0) parts[threadIdx.x / 32] = v;
    __syncthreads();
    v = threadIdx.x < blockDim.x / 32 ? parts[threadIdx.x] : (A)0;
    if (threadIdx.x < 32) {
        for (int o = 16; o; o >>= 1) v += __shfl_down_sync(0xffffffffu, v, o);
        if (threadIdx.x == 0) parts[0] = v;
    }
    __syncthreads();
    return parts[0];
}

__device__ A largest(A v) {
    __shared__ A parts[32];
    for (int o = 16; o; o >>= 1) { A w = __shfl_down_sync(0xffffffffu, v, o); v = w > v || w != w ? w : v; }
    __syncthreads();
    if (threadIdx.x % 32 == 0) parts[threadIdx.x / 32] = v;
    __syncthreads();
    A all = parts[0];
    for (int k = 1; k < blockDim.x / 32; k++) { A w = parts[k]; all = w > all || w != w ? w : all; }
    return all;
}

__global__ void softmax(const T* x, T* out, int columns, int logarithm) {
    const T* row = x + (long long)blockIdx.x * columns;
    T* to = out + (long long)blockIdx.x * columns;
    A top = (A)row[0];
    for (int i = threadIdx.x; i < columns; i += blockDim.x) { A v = (A)row[i]; top = v > top || v != v ? v : top; }
    top = largest(top);
    A sum = 0;
    for (int i = threadIdx.x; i < columns; i += blockDim.x) sum += exp((A)row[i] - top);
    sum = total(sum);
    A shift = top + log(sum);
    for (int i = threadIdx.x; i < columns; i += blockDim.x)
        to[i] = (T)(logarithm ? (A)row[i] - shift : exp((A)row[i] - top) / sum);
}

__global__ void softmax_gradient(const T* g, const T* out, T* to, int columns, int logarithm) {
    long long at = (long long)blockIdx.x * columns;
    A sum = 0;
    for (int i = threadIdx.x; i < columns; i += blockDim.x) sum += logarithm ? (A)g[at + i] : (A)g[at + i] * (A)out[at + i];
    sum = total(sum);
    for (int i = threadIdx.x; i < columns; i += blockDim.x)
        to[at + i] = (T)(logarithm ? (A)g[at + i] - exp((A)out[at + i]) * sum : (A)out[at + i] * ((A)g[at + i] - sum));
}

__global__ void layer_norm(const T* x, const T* weight, const T* bias, T* out, A* means, A* rstds, int columns, double eps) {
    const T* row = x + (long long)blockIdx.x * columns;
    A sum = 0;
    for (int i = threadIdx.x; i < columns; i += blockDim.x) sum += (A)row[i];
    A mean = total(sum) / columns;
    sum = 0;
    for (int i = threadIdx.x; i < columns; i += blockDim.x) { A d = (A)row[i] - mean; sum += d * d; }
    A rstd = (A)1 / sqrt(total(sum) / columns + (A)eps);
    for (int i = threadIdx.x; i < columns; i += blockDim.x)
        out[(long long)blockIdx.x * columns + i] = (T)(((A)row[i] - mean) * rstd * (A)weight[i] + (A)bias[i]);
    if (threadIdx.x == 0) { means[blockIdx.x] = mean; rstds[blockIdx.x] = rstd; }
}

__global__ void layer_norm_gradient(const T* g, const T* x, const T* weight, const A* means, const A* rstds, T* to, int columns) {
    long long at = (long long)blockIdx.x * columns;
    A mean = means[blockIdx.x], rstd = rstds[blockIdx.x], sum = 0, along = 0;
    for (int i = threadIdx.x; i < columns; i += blockDim.x) {
        A d = (A)g[at + i] * (A)weight[i];
        sum += d;
        along += d * ((A)x[at + i] - mean) * rstd;
    }
    sum = total(sum) / columns;
    along = total(along) / columns;
    for (int i = threadIdx.x; i < columns; i += blockDim.x) {
        A flat = ((A)x[at + i] - mean) * rstd;
        to[at + i] = (T)(((A)g[at + i] * (A)weight[i] - sum - flat * along) * rstd);
    }
}

// Sums over the rows for the weight and the bias: threads along the columns, blocks over strips of rows, whose
// parts are added up afterwards in their order.
__global__ void layer_norm_sums(const T* g, const T* x, const A* means, const A* rstds, A* to, int rows, int columns, int strip) {
    int column = blockIdx.x * blockDim.x + threadIdx.x;
    if (column >= columns) return;
    A weight = 0, bias = 0;
    int end = min(rows, (int)(blockIdx.y + 1) * strip);
    for (int r = blockIdx.y * strip; r < end; r++) {
        A d = (A)g[(long long)r * columns + column];
        bias += d;
        weight += d * ((A)x[(long long)r * columns + column] - means[r]) * rstds[r];
    }
    to[((long long)blockIdx.y * 2) * columns + column] = weight;
    to[((long long)blockIdx.y * 2 + 1) * columns + column] = bias;
}

// --- cross entropy: a row a block, its probabilities and its loss; what does not count has no loss -----------------

// Classes as they count, by one block: those that are ignored are made class 0 and count nothing, the others 1, or with
// `mean` their share. `found` is told the least and the largest class.
__global__ void classes(const long long* target, long long n, long long ignored, int mean, long long* safe, T* counts, long long* found) {
    __shared__ long long least[256], most[256], there[256];
    long long low = 0x7fffffffffffffffll, high = -low - 1, count = 0;
    for (long long i = threadIdx.x; i < n; i += blockDim.x) {
        long long own = target[i] == ignored ? 0 : target[i];
        safe[i] = own;
        low = min(low, own);
        high = max(high, own);
        count += target[i] != ignored;
    }
    least[threadIdx.x] = low;
    most[threadIdx.x] = high;
    there[threadIdx.x] = count;
    for (int o = 128; o; o >>= 1) {
        __syncthreads();
        if (threadIdx.x < o) {
            least[threadIdx.x] = min(least[threadIdx.x], least[threadIdx.x + o]);
            most[threadIdx.x] = max(most[threadIdx.x], most[threadIdx.x + o]);
            there[threadIdx.x] += there[threadIdx.x + o];
        }
    }
    __syncthreads();
    A all = (A)(T)(float)there[0];
    for (long long i = threadIdx.x; i < n; i += blockDim.x)
        counts[i] = (T)(target[i] == ignored ? mean ? (A)0 / all : (A)0 : mean ? (A)1 / all : (A)1);
    if (threadIdx.x == 0) { found[0] = least[0]; found[1] = most[0]; }
}

__global__ void cross_entropy(const T* x, const long long* target, const T* counts, T* probabilities, T* loss, int columns) {
    long long at = (long long)blockIdx.x * columns, chosen = target[blockIdx.x];
    A top = (A)x[at];
    for (int i = threadIdx.x; i < columns; i += blockDim.x) { A v = (A)x[at + i]; top = v > top || v != v ? v : top; }
    top = largest(top);
    A sum = 0;
    for (int i = threadIdx.x; i < columns; i += blockDim.x) sum += exp((A)x[at + i] - top);
    sum = total(sum);
    for (int i = threadIdx.x; i < columns; i += blockDim.x) probabilities[at + i] = (T)(exp((A)x[at + i] - top) / sum);
    if (threadIdx.x == 0) {
        A count = (A)counts[blockIdx.x];
        loss[blockIdx.x] = (T)(count == (A)0 || chosen < 0 || chosen >= columns ? (A)0 : (log(sum) - ((A)x[at + chosen] - top)) * count);
    }
}

__global__ void cross_entropy_gradient(const T* probabilities, const long long* target, const T* each, T* to, long long n, int columns) {
    EACH(i, n) {
        long long row = i / columns;
        to[i] = (T)((A)each[row] * ((A)probabilities[i] - (target[row] == i % columns ? (A)1 : (A)0)));
    }
}

// The least and the largest of some whole numbers, by one block.
__global__ void bounds(const long long* index, long long n, long long* found) {
    __shared__ long long least[256], most[256];
    long long low = index[0], high = low;
    for (long long i = threadIdx.x; i < n; i += blockDim.x) { low = min(low, index[i]); high = max(high, index[i]); }
    least[threadIdx.x] = low;
    most[threadIdx.x] = high;
    for (int o = 128; o; o >>= 1) {
        __syncthreads();
        if (threadIdx.x < o) {
            least[threadIdx.x] = min(least[threadIdx.x], least[threadIdx.x + o]);
            most[threadIdx.x] = max(most[threadIdx.x], most[threadIdx.x + o]);
        }
    }
    if (threadIdx.x == 0) { found[0] = least[0]; found[1] = most[0]; }
}

// --- an LSTM's step; the gates i, f, u, o are kept as tanh(x / 2), tanh(x / 2), tanh(x), tanh(x / 2) ------------

__global__ void lstm_step(T* bare, const T* from_state, const T* c, T* after, T* h, long long n, int hidden) {
    EACH(k, n) {
        long long i = k / hidden * 4 * hidden + k % hidden, f = i + hidden, u = f + hidden, o = u + hidden;
        A gi = (A)bare[i], gf = (A)bare[f], gu = (A)bare[u], go = (A)bare[o];
        if (from_state) { gi += (A)from_state[i]; gf += (A)from_state[f]; gu += (A)from_state[u]; go += (A)from_state[o]; }
        A ti = tanh(gi * (A)0.5), tf = tanh(gf * (A)0.5), tu = tanh(gu), to = tanh(go * (A)0.5);
        A cell = (tf * (A)0.5 + (A)0.5) * (A)c[k] + (ti * (A)0.5 + (A)0.5) * tu;
        after[k] = (T)cell;
        h[k] = (T)((to * (A)0.5 + (A)0.5) * tanh(cell));
        bare[i] = (T)ti;
        bare[f] = (T)tf;
        bare[u] = (T)tu;
        bare[o] = (T)to;
    }
}

// Of the gradients that come in any may be missing, and the next c where it was not kept; `back` may be `to_cell`.
__global__ void lstm_step_gradient(const T* bare, const T* c, const T* after, const T* to_out, const T* to_state, const T* to_cell,
                                   T* into, T* back, long long n, int hidden) {
    EACH(k, n) {
        long long i = k / hidden * 4 * hidden + k % hidden, f = i + hidden, u = f + hidden, o = u + hidden;
        A ti = (A)bare[i], tf = (A)bare[f], tu = (A)bare[u], to = (A)bare[o];
        A t = tanh(after ? (A)after[k] : (tf * (A)0.5 + (A)0.5) * (A)c[k] + (ti * (A)0.5 + (A)0.5) * tu);
        A dh = (to_state ? (A)to_state[k] : (A)0) + (to_out ? (A)to_out[k] : (A)0);
        A through = (to_cell ? (A)to_cell[k] : (A)0) + dh * (to * (A)0.5 + (A)0.5) * ((A)1 - t * t);
        into[o] = (T)(dh * t * ((A)1 - to * to) * (A)0.25);
        into[i] = (T)(through * tu * ((A)1 - ti * ti) * (A)0.25);
        into[f] = (T)(through * (A)c[k] * ((A)1 - tf * tf) * (A)0.25);
        into[u] = (T)(through * (ti * (A)0.5 + (A)0.5) * ((A)1 - tu * tu));
        back[k] = (T)(through * (tf * (A)0.5 + (A)0.5));
    }
}

// --- numbers drawn by Philox 4x64-10 (Salmon et al. 2011), the ones that NumPy draws from the same seed --------

__device__ unsigned long long high(unsigned long long a, unsigned long long b) { return __umul64hi(a, b); }

// Eight numbers of the stream, the ones that NumPy draws with `counter`, as bits: those from 8 b on. `told`, where there
// is any, holds the key and the counter.
__device__ void draw(unsigned long long* c, long long b, unsigned long long k0, unsigned long long k1, unsigned long long counter,
                     const unsigned long long* told) {
    if (told) { k0 = told[0]; k1 = told[1]; counter = told[2]; }
    c[0] = counter + 1 + b;
    c[1] = counter + 1 + b < counter + 1;
    c[2] = c[3] = 0;
    for (int r = 0; r < 10; r++) {
        unsigned long long h0 = high(0xD2E7470EE14C6C93ull, c[0]), l0 = 0xD2E7470EE14C6C93ull * c[0];
        unsigned long long h1 = high(0xCA5A826395121157ull, c[2]), l1 = 0xCA5A826395121157ull * c[2];
        c[0] = h1 ^ c[1] ^ k0;
        c[1] = l1;
        c[2] = h0 ^ c[3] ^ k1;
        c[3] = l0;
        k0 += 0x9E3779B97F4A7C15ull;
        k1 += 0xBB67AE8584CAA73Bull;
    }
}

// Whether the j-th of eight numbers, uniform from 0 to 1, reaches p.
__device__ unsigned char reaches(const unsigned long long* c, int j, float p) {
    unsigned int word = (unsigned int)(j % 2 ? c[j / 2] >> 32 : c[j / 2]);
    return (word >> 8) * (1.0f / 16777216.0f) >= p;
}

__global__ void dropout(const T* x, T* out, unsigned char* mask, long long n, unsigned long long key0, unsigned long long key1,
                        unsigned long long counter, float p, double scale, const unsigned long long* told) {
    EACH(b, (n + 7) / 8) {
        unsigned long long c[4];
        draw(c, b, key0, key1, counter, told);
        for (int j = 0; j < 8 && b * 8 + j < n; j++) {
            long long i = b * 8 + j;
            unsigned char keep = reaches(c, j, p);
            mask[i] = keep;
            out[i] = (T)((A)x[i] * (keep ? (A)scale : (A)0));
        }
    }
}

// What a dropout multiplies with, alone.
__global__ void dropped(T* out, long long n, unsigned long long key0, unsigned long long key1, unsigned long long counter, float p,
                        double scale, const unsigned long long* told) {
    EACH(b, (n + 7) / 8) {
        unsigned long long c[4];
        draw(c, b, key0, key1, counter, told);
        for (int j = 0; j < 8 && b * 8 + j < n; j++) out[b * 8 + j] = (T)(reaches(c, j, p) ? (A)scale : (A)0);
    }
}

}
