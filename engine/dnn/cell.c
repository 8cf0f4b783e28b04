/* The steps of a long short-term memory in one call.

   Elementwise work is done in one pass where NumPy takes nine, in NumPy's order and rounding (-ffp-contract=off). The
   products and tanh are the functions that NumPy and the path without this file call, so every bit is the same. */

typedef void (*Ufunc)(char **, const long *, const long *, void *);
typedef int (*Gemm)(char, char, long, long, long, float, const float *, long, const float *, long, float, float *, long);
typedef void (*Cblas)(int, int, int, long, long, long, float, const float *, long, const float *, long, float, float *,
                      long);
typedef void (*Gemv)(int, int, long, long, float, const float *, long, const float *, long, float, float *, long);

enum { ONEDNN, PLAIN, TURNED, ROW };
enum { ROWS = 101, COLUMNS = 102, AS_IT_IS = 111, TRANSPOSED = 112 };

/* forward: out [batch, 4 hidden], or turned [4 hidden, batch]; back: out [batch, hidden] */
typedef struct {
    long steps, batch, hidden;
    int forth, back; /* by which function each product is made */
    void *function[4];
    Ufunc tanh;
    void *data;
    const float *weight, *half, *shift, *quarter;
} Cell;

static void forth(const Cell *cell, const float *x, float *out) {
    long b = cell->batch, n = cell->hidden, m = 4 * n;
    void *f = cell->function[cell->forth];
    if (cell->forth == ONEDNN) ((Gemm)f)('N', 'T', b, m, n, 1, x, n, cell->weight, n, 0, out, m);
    else if (cell->forth == PLAIN) ((Cblas)f)(ROWS, AS_IT_IS, TRANSPOSED, b, m, n, 1, x, n, cell->weight, n, 0, out, m);
    else if (cell->forth == TURNED) ((Cblas)f)(ROWS, AS_IT_IS, TRANSPOSED, m, b, n, 1, cell->weight, n, x, n, 0, out, b);
    else ((Gemv)f)(COLUMNS, TRANSPOSED, n, m, 1, cell->weight, n, x, 1, 0, out, 1);
}

static void back(const Cell *cell, const float *x, float *out) {
    long b = cell->batch, n = cell->hidden, m = 4 * n;
    void *f = cell->function[cell->back];
    if (cell->back == ONEDNN) ((Gemm)f)('N', 'N', b, n, m, 1, x, m, cell->weight, n, 0, out, n);
    else if (cell->back == PLAIN) ((Cblas)f)(ROWS, AS_IT_IS, AS_IT_IS, b, n, m, 1, x, m, cell->weight, n, 0, out, n);
    else ((Gemv)f)(ROWS, TRANSPOSED, m, n, 1, cell->weight, n, x, 1, 0, out, 1);
}

static void tanh_of(const Cell *cell, const float *x, float *out, long n) {
    char *arrays[2] = {(char *)x, (char *)out};
    long strides[2] = {sizeof(float), sizeof(float)};
    cell->tanh(arrays, &n, strides, cell->data);
}

/* One step from its gates, which become tanh of themselves. */
static void activate(const Cell *cell, float *row, const float *c, float *c_after, float *after) {
    long n = cell->hidden, m = 4 * n;
    const float *half = cell->half, *shift = cell->shift;
    tanh_of(cell, row, row, cell->batch * m);
    for (long s = 0; s < cell->batch; s++) {
        const float *i = row + s * m, *f = i + n, *new = f + n;
        for (long j = 0; j < n; j++) {
            float in = (i[j] * half[j] + shift[j]) * (new[j] * half[2 * n + j] + shift[2 * n + j]);
            c_after[s * n + j] = (f[j] * half[n + j] + shift[n + j]) * c[s * n + j] + in;
        }
    }
    tanh_of(cell, c_after, after, cell->batch * n);
    for (long s = 0; s < cell->batch; s++) {
        const float *o = row + s * m + 3 * n;
        for (long j = 0; j < n; j++) after[s * n + j] *= o[j] * half[3 * n + j] + shift[3 * n + j];
    }
}

/* bare [steps, batch, 4 hidden]: the mapped inputs, then tanh of the gates. states, cells [steps + 1, batch, hidden]. */
void cell_forward(const Cell *cell, float *bare, float *states, float *cells, float *gates) {
    long b = cell->batch, n = cell->hidden, m = 4 * n;
    for (long t = 0; t < cell->steps; t++, bare += b * m, states += b * n, cells += b * n) {
        forth(cell, states, gates);
        if (cell->forth == TURNED) {
            for (long s = 0; s < b; s++)
                for (long j = 0; j < m; j++) bare[s * m + j] = (bare[s * m + j] + gates[j * b + s]) * cell->half[j];
        } else {
            for (long s = 0; s < b; s++)
                for (long j = 0; j < m; j++) bare[s * m + j] = (bare[s * m + j] + gates[s * m + j]) * cell->half[j];
        }
        activate(cell, bare, cells, cells + b * n, states + b * n);
    }
}

/* One step alone, from its gates, which become tanh of themselves. */
void cell_step(const Cell *cell, float *gates, const float *c, float *c_after, float *after) {
    long m = 4 * cell->hidden;
    for (long s = 0; s < cell->batch; s++)
        for (long j = 0; j < m; j++) gates[s * m + j] *= cell->half[j];
    activate(cell, gates, c, c_after, after);
}

/* The gradients of one step's gates and of its c from those of its results; `to_h` or `to_c` may be null. */
void cell_step_back(const Cell *cell, const float *gates, const float *c, const float *to_h, const float *to_c,
                    float *into, float *before, float *room) {
    long n = cell->hidden, m = 4 * n;
    const float *half = cell->half, *shift = cell->shift, *quarter = cell->quarter;
    for (long s = 0; s < cell->batch; s++) {
        const float *i = gates + s * m, *f = i + n, *new = f + n;
        for (long j = 0; j < n; j++) {
            float in = (i[j] * half[j] + shift[j]) * (new[j] * half[2 * n + j] + shift[2 * n + j]);
            room[s * n + j] = (f[j] * half[n + j] + shift[n + j]) * c[s * n + j] + in;
        }
    }
    tanh_of(cell, room, room, cell->batch * n);
    for (long s = 0; s < cell->batch; s++) {
        const float *i = gates + s * m, *f = i + n, *new = f + n, *o = new + n;
        float *di = into + s * m, *df = di + n, *dnew = df + n, *dout = dnew + n;
        for (long j = 0; j < n; j++) {
            float u = room[s * n + j], through = 0;
            float vi = i[j] * half[j] + shift[j], vf = f[j] * half[n + j] + shift[n + j];
            float vnew = new[j] * half[2 * n + j] + shift[2 * n + j], vo = o[j] * half[3 * n + j] + shift[3 * n + j];
            if (to_h) through = (1 - u * u) * vo * to_h[s * n + j];
            if (to_c) through = to_h ? through + to_c[s * n + j] : to_c[s * n + j];
            di[j] = through * ((1 - i[j] * i[j]) * quarter[j] * vnew);
            df[j] = through * ((1 - f[j] * f[j]) * quarter[n + j] * c[s * n + j]);
            dnew[j] = through * ((1 - new[j] * new[j]) * quarter[2 * n + j] * vi);
            dout[j] = to_h ? to_h[s * n + j] * ((1 - o[j] * o[j]) * quarter[3 * n + j] * u) : 0;
            before[s * n + j] = through * vf;
        }
    }
}

/* The gradients of the gates, `into` like bare; to_state and to_cell [batch, hidden] go from the last step to the first.
   `to_out` may be null. `room` is [batch, hidden]. */
void cell_backward(const Cell *cell, const float *bare, const float *cells, const float *to_out, float *into,
                   float *to_state, float *to_cell, float *room) {
    long b = cell->batch, n = cell->hidden, m = 4 * n;
    const float *half = cell->half, *shift = cell->shift, *quarter = cell->quarter;
    for (long t = cell->steps - 1; t >= 0; t--) {
        const float *gates = bare + t * b * m, *c = cells + t * b * n;
        float *slopes = into + t * b * m;
        tanh_of(cell, c + b * n, room, b * n);
        for (long s = 0; s < b; s++) {
            const float *i = gates + s * m, *f = i + n, *new = f + n, *o = new + n;
            const float *g = to_out ? to_out + t * b * n + s * n : 0;
            float *di = slopes + s * m, *df = di + n, *dnew = df + n, *dout = dnew + n;
            float *state = to_state + s * n, *carry = to_cell + s * n;
            if (g)
                for (long j = 0; j < n; j++) state[j] += g[j];
            for (long j = 0; j < n; j++) {
                float u = room[s * n + j];
                float vi = i[j] * half[j] + shift[j], vf = f[j] * half[n + j] + shift[n + j];
                float vnew = new[j] * half[2 * n + j] + shift[2 * n + j], vo = o[j] * half[3 * n + j] + shift[3 * n + j];
                float through = (1 - u * u) * vo * state[j] + carry[j];
                di[j] = through * ((1 - i[j] * i[j]) * quarter[j] * vnew);
                df[j] = through * ((1 - f[j] * f[j]) * quarter[n + j] * c[s * n + j]);
                dnew[j] = through * ((1 - new[j] * new[j]) * quarter[2 * n + j] * vi);
                dout[j] = state[j] * ((1 - o[j] * o[j]) * quarter[3 * n + j] * u);
                carry[j] = through * vf;
            }
        }
        back(cell, slopes, to_state);
    }
}
