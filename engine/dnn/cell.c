/* The steps of a long short-term memory in one call.

   Elementwise work is done in one pass where NumPy takes nine, in NumPy's order and rounding (-ffp-contract=off). tanh
   and the products are the functions that NumPy and the path without this file call, or have been found to give their
   bits, so every bit is the same. */

/* Each number depends on those at its own place only, whatever arrays are one. */
#define SIMD _Pragma("omp simd")

typedef void (*Ufunc)(char **, const long *, const long *, void *);
typedef int (*Gemm)(char, char, long, long, long, float, const float *, long, const float *, long, float, float *, long);
typedef void (*Cblas)(int, int, int, long, long, long, float, const float *, long, const float *, long, float, float *,
                      long);
typedef void (*Gemv)(int, int, long, long, float, const float *, long, const float *, long, float, float *, long);

enum { ONEDNN, PLAIN, TURNED, ROW };
enum { ROWS = 101, COLUMNS = 102, AS_IT_IS = 111, TRANSPOSED = 112 };

typedef void (*Multiply)(const float *, long, long, long, const float *, const long *, float *);

/* What all calls for cells of one size share. forth: out [batch, 4 hidden], or turned [4 hidden, batch]; back: out
   [batch, hidden]. By which function each is made, unless it is by a packed weight: then the ends of its pieces are
   given. */
typedef struct {
    long batch, hidden;
    int forth, back;
    void *function[4];
    Multiply multiply;
    const long *forth_ends, *back_ends;
    Ufunc tanh;
    void *data;
    const float *half, *shift, *quarter;
} Cell;

/* out [batch, 4 hidden] = x [batch, k] times the turned weight [4 hidden, k]; [4 hidden, batch] where it is TURNED. */
static void times(const Cell *cell, int kind, const float *weight, long k, const float *x, float *out) {
    long b = cell->batch, m = 4 * cell->hidden;
    void *f = cell->function[kind];
    if (kind == ONEDNN) ((Gemm)f)('N', 'T', b, m, k, 1, x, k, weight, k, 0, out, m);
    else if (kind == PLAIN) ((Cblas)f)(ROWS, AS_IT_IS, TRANSPOSED, b, m, k, 1, x, k, weight, k, 0, out, m);
    else if (kind == TURNED) ((Cblas)f)(ROWS, AS_IT_IS, TRANSPOSED, m, b, k, 1, weight, k, x, k, 0, out, b);
    else ((Gemv)f)(COLUMNS, TRANSPOSED, k, m, 1, weight, k, x, 1, 0, out, 1);
}

/* The same with the weight of the cell, of `b` rows, which are all unless it is packed. */
static void forth_rows(const Cell *cell, const float *weight, const float *x, float *out, long b) {
    long n = cell->hidden;
    if (cell->forth_ends) cell->multiply(x, b, n, 4 * n, weight, cell->forth_ends, out);
    else times(cell, cell->forth, weight, n, x, out);
}

static void back_rows(const Cell *cell, const float *weight, const float *x, float *out, long b) {
    long n = cell->hidden, m = 4 * n;
    void *f = cell->function[cell->back];
    if (cell->back_ends) cell->multiply(x, b, m, n, weight, cell->back_ends, out);
    else if (cell->back == ONEDNN) ((Gemm)f)('N', 'N', b, n, m, 1, x, m, weight, n, 0, out, n);
    else if (cell->back == PLAIN) ((Cblas)f)(ROWS, AS_IT_IS, AS_IT_IS, b, n, m, 1, x, m, weight, n, 0, out, n);
    else ((Gemv)f)(ROWS, TRANSPOSED, m, n, 1, weight, n, x, 1, 0, out, 1);
}

void cell_forth(const Cell *cell, const float *weight, const float *x, float *out) {
    forth_rows(cell, weight, x, out, cell->batch);
}

void cell_back(const Cell *cell, const float *weight, const float *x, float *out) {
    back_rows(cell, weight, x, out, cell->batch);
}

static void tanh_of(const Cell *cell, const float *x, float *out, long n) {
    char *arrays[2] = {(char *)x, (char *)out};
    long strides[2] = {sizeof(float), sizeof(float)};
    cell->tanh(arrays, &n, strides, cell->data);
}

/* One step of `b` rows from their gates, which become tanh of themselves. */
static void activate(const Cell *cell, float *row, const float *c, float *c_after, float *after, long b) {
    long n = cell->hidden, m = 4 * n;
    const float *half = cell->half, *shift = cell->shift;
    tanh_of(cell, row, row, b * m);
    for (long s = 0; s < b; s++) {
        const float *i = row + s * m, *f = i + n, *new = f + n, *before = c + s * n;
        float *next = c_after + s * n;
        SIMD for (long j = 0; j < n; j++) {
            float in = (i[j] * half[j] + shift[j]) * (new[j] * half[2 * n + j] + shift[2 * n + j]);
            next[j] = (f[j] * half[n + j] + shift[n + j]) * before[j] + in;
        }
    }
    tanh_of(cell, c_after, after, b * n);
    for (long s = 0; s < b; s++) {
        const float *o = row + s * m + 3 * n;
        SIMD for (long j = 0; j < n; j++) after[s * n + j] *= o[j] * half[3 * n + j] + shift[3 * n + j];
    }
}

/* No row of a batch knows of another, so each thread takes some through all steps, and none waits for another before the
   end. Only a product by a packed weight has the same bits for some rows as for all. */
#define SHARED_OUT(threads) _Pragma("omp parallel for schedule(static) num_threads(threads) if(threads > 1)")

static int parts_of(const Cell *cell, int threads) {
    long most = cell->forth_ends && cell->back_ends ? cell->batch / 4 : 1;
    return threads < most ? threads : most < 1 ? 1 : most;
}

/* bare [steps, batch, 4 hidden]: the mapped inputs, without their bias unless it is null; then tanh of the gates. states,
   cells [steps + 1, batch, hidden]. */
static void forward_rows(const Cell *cell, const float *weight, long steps, float *bare, float *states, float *cells,
                         float *gates, const float *bias, long rows) {
    long b = cell->batch, n = cell->hidden, m = 4 * n;
    const float *half = cell->half;
    for (long t = 0; t < steps; t++, bare += b * m, states += b * n, cells += b * n) {
        forth_rows(cell, weight, states, gates, rows);
        for (long s = 0; s < rows; s++) {
            float *row = bare + s * m, *more = gates + s * m;
            if (cell->forth == TURNED && !cell->forth_ends) {
                if (bias) SIMD for (long j = 0; j < m; j++) row[j] += bias[j];
                for (long j = 0; j < m; j++) row[j] = (row[j] + gates[j * b + s]) * half[j];
            } else if (bias) {
                SIMD for (long j = 0; j < m; j++) row[j] = (row[j] + bias[j] + more[j]) * half[j];
            } else {
                SIMD for (long j = 0; j < m; j++) row[j] = (row[j] + more[j]) * half[j];
            }
        }
        activate(cell, bare, cells, cells + b * n, states + b * n, rows);
    }
}

void cell_forward(const Cell *cell, const float *weight, long steps, float *bare, float *states, float *cells, float *gates,
                  const float *bias, int threads) {
    long b = cell->batch, n = cell->hidden, m = 4 * n;
    int parts = parts_of(cell, threads);
    SHARED_OUT(parts) for (int p = 0; p < parts; p++) {
        long lo = b * p / parts, hi = b * (p + 1) / parts;
        forward_rows(cell, weight, steps, bare + lo * m, states + lo * n, cells + lo * n, gates + lo * m, bias, hi - lo);
    }
}

/* One step alone, from its gates, which become tanh of themselves. */
void cell_step(const Cell *cell, float *gates, const float *c, float *c_after, float *after) {
    long m = 4 * cell->hidden;
    for (long s = 0; s < cell->batch; s++)
        SIMD for (long j = 0; j < m; j++) gates[s * m + j] *= cell->half[j];
    activate(cell, gates, c, c_after, after, cell->batch);
}

/* As `times`, never turned, and a bias added unless it is null. `room` is as large as out. */
static void mapped(const Cell *cell, int kind, const float *weight, const float *bias, long k, const float *x, float *out,
                   float *room) {
    long b = cell->batch, m = 4 * cell->hidden;
    times(cell, kind, weight, k, x, kind == TURNED ? room : out);
    for (long s = 0; s < b; s++) {
        float *row = out + s * m;
        if (kind == TURNED)
            for (long j = 0; j < m; j++) row[j] = room[j * b + s];
        if (bias) SIMD for (long j = 0; j < m; j++) row[j] += bias[j];
    }
}

/* One step from its input [batch, features], whose product `kind` makes. `room` is twice as large as the gates. */
void cell_whole(const Cell *cell, int kind, long features, const float *x, const float *h, const float *c,
                const float *weight_ih, const float *weight_hh, const float *bias_ih, const float *bias_hh, float *gates,
                float *c_after, float *after, float *room) {
    long size = cell->batch * 4 * cell->hidden;
    mapped(cell, cell->forth, weight_hh, bias_hh, cell->hidden, h, gates, room);
    mapped(cell, kind, weight_ih, bias_ih, features, x, room + size, room);
    SIMD for (long j = 0; j < size; j++) gates[j] += room[size + j];
    cell_step(cell, gates, c, c_after, after);
}

/* One sample of a step back, from tanh of its gates and of c' (u): the gradients of its gates and of its c. Those of its
   results are dh and dc; `with_h` and `with_c`: whether there is one. */
static inline __attribute__((always_inline)) void row_back(const Cell *cell, const float *i, const float *c, const float *u,
                                                           const int with_h, const float *dh, const int with_c,
                                                           const float *dc, float *di, float *before) {
    long n = cell->hidden;
    const float *half = cell->half, *shift = cell->shift, *quarter = cell->quarter;
    const float *f = i + n, *new = f + n, *o = new + n;
    float *df = di + n, *dnew = df + n, *dout = dnew + n;
    SIMD for (long j = 0; j < n; j++) {
        float vi = i[j] * half[j] + shift[j], vf = f[j] * half[n + j] + shift[n + j];
        float vnew = new[j] * half[2 * n + j] + shift[2 * n + j], vo = o[j] * half[3 * n + j] + shift[3 * n + j];
        float through = with_h ? (1 - u[j] * u[j]) * vo * dh[j] : dc[j];
        if (with_h && with_c) through += dc[j];
        di[j] = through * ((1 - i[j] * i[j]) * quarter[j] * vnew);
        df[j] = through * ((1 - f[j] * f[j]) * quarter[n + j] * c[j]);
        dnew[j] = through * ((1 - new[j] * new[j]) * quarter[2 * n + j] * vi);
        dout[j] = with_h ? dh[j] * ((1 - o[j] * o[j]) * quarter[3 * n + j] * u[j]) : 0;
        before[j] = through * vf;
    }
}

/* The gradients of one step's gates and of its c from those of its results; `to_h` or `to_c` may be null. */
void cell_step_back(const Cell *cell, const float *gates, const float *c, const float *to_h, const float *to_c,
                    float *into, float *before, float *room) {
    long n = cell->hidden, m = 4 * n;
    const float *half = cell->half, *shift = cell->shift;
    for (long s = 0; s < cell->batch; s++) {
        const float *i = gates + s * m, *f = i + n, *new = f + n, *old = c + s * n;
        float *after = room + s * n;
        SIMD for (long j = 0; j < n; j++) {
            float in = (i[j] * half[j] + shift[j]) * (new[j] * half[2 * n + j] + shift[2 * n + j]);
            after[j] = (f[j] * half[n + j] + shift[n + j]) * old[j] + in;
        }
    }
    tanh_of(cell, room, room, cell->batch * n);
    for (long s = 0; s < cell->batch; s++) {
        const float *row = gates + s * m, *old = c + s * n, *u = room + s * n;
        const float *dh = to_h ? to_h + s * n : 0, *dc = to_c ? to_c + s * n : 0;
        if (!dc) row_back(cell, row, old, u, 1, dh, 0, dc, into + s * m, before + s * n);
        else if (!dh) row_back(cell, row, old, u, 0, dh, 1, dc, into + s * m, before + s * n);
        else row_back(cell, row, old, u, 1, dh, 1, dc, into + s * m, before + s * n);
    }
}

/* The same, and the gradient of h in to_before. */
void cell_whole_back(const Cell *cell, const float *weight, const float *gates, const float *c, const float *to_h,
                     const float *to_c, float *into, float *before, float *to_before, float *room) {
    cell_step_back(cell, gates, c, to_h, to_c, into, before, room);
    cell_back(cell, weight, into, to_before);
}

/* The gradients of the gates, `into` like bare; to_state and to_cell [batch, hidden] go from the last step to the first.
   `to_out` may be null. `room` is [batch, hidden]. */
static void backward_rows(const Cell *cell, const float *weight, long steps, const float *bare, const float *cells,
                          const float *to_out, float *into, float *to_state, float *to_cell, float *room, long rows) {
    long b = cell->batch, n = cell->hidden, m = 4 * n;
    for (long t = steps - 1; t >= 0; t--) {
        const float *gates = bare + t * b * m, *c = cells + t * b * n, *given = to_out ? to_out + t * b * n : 0;
        float *slopes = into + t * b * m;
        tanh_of(cell, c + b * n, room, rows * n);
        if (given)
            SIMD for (long j = 0; j < rows * n; j++) to_state[j] += given[j];
        for (long s = 0; s < rows; s++)
            row_back(cell, gates + s * m, c + s * n, room + s * n, 1, to_state + s * n, 1, to_cell + s * n,
                     slopes + s * m, to_cell + s * n);
        back_rows(cell, weight, slopes, to_state, rows);
    }
}

void cell_backward(const Cell *cell, const float *weight, long steps, const float *bare, const float *cells,
                   const float *to_out, float *into, float *to_state, float *to_cell, float *room, int threads) {
    long b = cell->batch, n = cell->hidden, m = 4 * n;
    int parts = parts_of(cell, threads);
    SHARED_OUT(parts) for (int p = 0; p < parts; p++) {
        long lo = b * p / parts, hi = b * (p + 1) / parts;
        backward_rows(cell, weight, steps, bare + lo * m, cells + lo * n, to_out ? to_out + lo * n : 0, into + lo * m,
                      to_state + lo * n, to_cell + lo * n, room + lo * n, hi - lo);
    }
}
