// What CUDA adds to C++, for a block of threads that take turns on one CPU core: each has a stack of its own and runs
// until it waits for the others. tests/emulated.py puts this before the kernels.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <ucontext.h>
#include <utility>
#include <vector>
using std::max; using std::min; using std::fma; using std::sqrt; using std::exp; using std::log; using std::tanh; using std::erf;

#define __global__
#define __device__
#define __shared__ static
#define __half _Float16

struct Place { unsigned x, y, z; };
static Place threadIdx, blockIdx, blockDim, gridDim;

namespace emulated {
constexpr size_t STACK = 1 << 16;
struct Thread { ucontext_t context; Place place; bool done; int waits; };  // waits: 0 no, 1 for the block, 2 for the warp
static std::vector<Thread> threads;
static std::vector<char> stacks;
static ucontext_t home;
static int now;
static void (*body)(void**);
static void** given;
static unsigned char slots[1024][16];

static void wait(int what) {
    threads[now].waits = what;
    swapcontext(&threads[now].context, &home);
}

static void start() {
    body(given);
    threads[now].done = true;
    swapcontext(&threads[now].context, &home);
}

// Those that have not ended of `from` to `to` go on when all of them wait.
static bool release(size_t from, size_t to, int what) {
    bool some = false;
    for (size_t t = from; t < to; t++)
        if (!threads[t].done) { if (threads[t].waits != what) return false; some = true; }
    for (size_t t = from; t < to; t++) threads[t].waits = 0;
    return some;
}

static void block() {
    size_t count = size_t(blockDim.x) * blockDim.y * blockDim.z;
    threads.assign(count, Thread{});
    stacks.resize(count * STACK);
    for (size_t t = 0; t < count; t++) {
        Thread& one = threads[t];
        one.place = {unsigned(t % blockDim.x), unsigned(t / blockDim.x % blockDim.y), unsigned(t / blockDim.x / blockDim.y)};
        getcontext(&one.context);
        one.context.uc_stack.ss_sp = stacks.data() + t * STACK;
        one.context.uc_stack.ss_size = STACK;
        one.context.uc_link = nullptr;
        makecontext(&one.context, start, 0);
    }
    for (bool moved = true; moved;) {
        moved = false;
        for (size_t t = 0; t < count; t++)
            if (!threads[t].done && !threads[t].waits) {
                now = int(t);
                threadIdx = threads[t].place;
                swapcontext(&home, &threads[t].context);
                moved = true;
            }
        for (size_t w = 0; w < count; w += 32) moved |= release(w, std::min(w + 32, count), 2);
        moved |= release(0, count, 1);
    }
}

template <class... P, size_t... I> void call(void (*f)(P...), void** a, std::index_sequence<I...>) { f(*(P*)a[I]...); }
template <class... P> void call(void (*f)(P...), void** a) { call(f, a, std::index_sequence_for<P...>{}); }
}  // namespace emulated

static void __syncthreads() { emulated::wait(1); }
template <class V> V __shfl_down_sync(unsigned, V value, int by) {
    int me = emulated::now;
    std::memcpy(emulated::slots[me], &value, sizeof(V));
    emulated::wait(2);
    if (me % 32 + by < 32) std::memcpy(&value, emulated::slots[me + by], sizeof(V));
    emulated::wait(2);
    return value;
}
static unsigned long long __umul64hi(unsigned long long a, unsigned long long b) { return (unsigned long long)(((unsigned __int128)a * b) >> 64); }

extern "C" int emulate(void (*body)(void**), void** args, const unsigned* grid, const unsigned* size) {
    emulated::body = body;
    emulated::given = args;
    gridDim = {grid[0], grid[1], grid[2]};
    blockDim = {size[0], size[1], size[2]};
    for (unsigned z = 0; z < grid[2]; z++)
        for (unsigned y = 0; y < grid[1]; y++)
            for (unsigned x = 0; x < grid[0]; x++) {
                blockIdx = {x, y, z};
                emulated::block();
                for (auto& one : emulated::threads) if (!one.done) return 1;  // some wait for ever
            }
    return 0;
}
