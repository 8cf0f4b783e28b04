/* Several of NumPy's loops over large arrays, a cacheful at a time, on all cores.

   Each number is made by the function that NumPy makes it by, so every bit is the same; what lies between two steps never
   leaves the cache. */

#include <fenv.h>

enum { PIECE = 2048, MOST = 4, SLOTS = 64 };

typedef void (*Loop)(char **, const long *, const long *, void *);

/* loop(slot[0], ..., slot[count - 1]), of which the last is written; without a loop slot[0] ? slot[1] : slot[2]. What is
   one number for a row is computed once for it; SUM and EXTREME make one of all its elements. */
enum { EACH, ROW, SUM, EXTREME };
typedef struct {
    Loop loop;
    void *data;
    long form, count, slot[MOST];
} Step;

/* An array whose element of row r and column c is at base + r * down + c * across, or, without a base, room for a piece
   `down` bytes behind the begin of a thread's own. */
typedef struct {
    char *base;
    long down, across;
} Slot;

/* Blended, not branched, on whole words: a number stands for an array whose step is 0. */
#define CHOOSE(T)                                                                                                      \
    {                                                                                                                  \
        const unsigned char *c = (unsigned char *)at[0];                                                               \
        const T *a = (T *)at[1], *b = (T *)at[2], x = *a, y = *b;                                                      \
        T *out = (T *)at[3];                                                                                           \
        if (!step[0]) { for (long i = 0; i < n; i++) out[i] = *c ? a[step[1] ? i : 0] : b[step[2] ? i : 0]; }          \
        else if (step[1] && step[2]) { for (long i = 0; i < n; i++) out[i] = c[i] ? a[i] : b[i]; }                     \
        else if (step[1]) { for (long i = 0; i < n; i++) out[i] = c[i] ? a[i] : y; }                                   \
        else if (step[2]) { for (long i = 0; i < n; i++) out[i] = c[i] ? x : b[i]; }                                   \
        else { for (long i = 0; i < n; i++) out[i] = c[i] ? x : y; }                                                   \
    }

static void choose(char **at, const long *step, long n, long size) {
    if (size == 4) CHOOSE(unsigned)
    else CHOOSE(unsigned long long)
}

/* A row as NumPy reduces it: from 0, or from its first element. */
static void reduce(const Step *s, char *from, char *to, long n, long size) {
    char *given[3] = {to, from, to};
    long step[3] = {0, size, 0};
    if (s->form == EXTREME) {
        __builtin_memcpy(to, from, size);
        given[1] += size, n--;
    } else __builtin_memset(to, 0, size);
    if (n) s->loop(given, &n, step, s->data);
}

/* All steps on rows x row elements of `size` bytes; a `whole` row at a time. flags: what went wrong in floating point. */
void weave_run(const Step *steps, long count, const Slot *slots, long used, long rows, long row, long size, long room,
               int whole, int threads, int *flags) {
    long piece = whole ? row : PIECE, across = (row + piece - 1) / piece, pieces = rows * across;
    int found = 0;
#pragma omp parallel num_threads(threads) if (threads > 1) reduction(| : found)
    {
        char own[room + 1] __attribute__((aligned(64))), *at[SLOTS], *given[MOST];
        long step[MOST];
        feclearexcept(FE_ALL_EXCEPT);
#pragma omp for schedule(static)
        for (long i = 0; i < pieces; i++) {
            long r = i / across, c = i % across * piece, n = row - c < piece ? row - c : piece, one = 1;
            for (long k = 0; k < used; k++)
                at[k] = slots[k].base ? slots[k].base + r * slots[k].down + c * slots[k].across : own + slots[k].down;
            for (const Step *s = steps; s < steps + count; s++) {
                if (s->form >= SUM) {
                    reduce(s, at[s->slot[0]], at[s->slot[1]], n, size);
                    continue;
                }
                for (long k = 0; k < s->count; k++) given[k] = at[s->slot[k]], step[k] = slots[s->slot[k]].across;
                if (s->form == ROW)
                    for (long k = 0; k < s->count; k++) step[k] = size;
                if (s->loop) s->loop(given, s->form == ROW ? &one : &n, step, s->data);
                else choose(given, step, n, size);
            }
        }
        found |= fetestexcept(FE_DIVBYZERO | FE_OVERFLOW | FE_INVALID);
    }
    *flags = found;
}
