"""CUDA for a graph of symbols: the same passes as in C, with the threads of a warp or a block on each row.

What arrays hold is E, what is computed in is T: float for half precision. Elements are computed in the order they are
written and nothing is contracted, so that they are what one op after another gives; sums and extremes of a row are
taken by each thread and then over the threads, in the same order each time.
"""

from __future__ import annotations

from collections.abc import Sequence

from engine.jit.passes import ENDS, Passes
from engine.jit.symbol import UNIFORM, Symbol, Tape

# What arrays hold and what is computed in, by the character of the type.
KINDS = {"f": ("float", "float"), "d": ("double", "double"), "e": ("__half", "float")}


MOST = 512  # threads of a block: what leaves each of them 128 registers


class Function(Passes):
    """The CUDA of one kernel. Its parameters are arrays in, arrays out, plain numbers, rows and the length of a row.

    In the place of the outputs that are sums over all rows stands one array, of a part for each of them, each team of
    threads and each column; a second kernel, `NAME_join`, adds the parts up.
    """

    dear = frozenset()  # to compute a thing again takes no longer than to read it

    def _kind(self, k: int) -> str:
        layout = self.inputs[k]
        return "unsigned char" if layout.truth else "T" if layout.exact else "E"

    def _value(self, s: Symbol, stage: int) -> str:
        return f"(T)a{s.value}" if s.op == "argument" else super()._value(s, stage)

    def parameters(self) -> list[str]:
        """What the kernel is given, in order."""
        found = [f"const {self._kind(k)} *__restrict__ i{k}" for k in range(len(self.inputs))]
        found += [
            f"{'T' if o.exact else 'E'} *__restrict__ o{i}"
            for i, o in enumerate(self.outputs)
            if o.form != "column"
        ]
        found += ["T *__restrict__ parts"] if self.columns else []
        return [
            *found,
            *[f"double a{n}" for n in range(self.traits.numbers)],
            "long long rows",
            "long long C",
        ]

    def text(self) -> str:
        """The kernel, and the one that joins the parts of sums over all rows."""
        lines = [
            f'extern "C" __global__ void __launch_bounds__({MOST}) {self.name}({", ".join(self.parameters())}) {{'
        ]
        lines += [self._declared(s, 0) for s in self.used if s.level == UNIFORM]
        numbers = self._numbers()
        if self.flat:
            lines += [f"const {self._kind(k)} *i{k}r = i{k};" for k in numbers]
            lines += [f"E *o{i}r = o{i};" for i in range(len(self.outputs))]
            lines += ["EACH(c, rows * C) {", *self._body(0), "}", "}"]
            return "\n".join(lines) + "\n"
        lines.append("const long long first = blockIdx.x * (long long)blockDim.y + threadIdx.y;")
        lines.append("const long long teams = gridDim.x * (long long)blockDim.y;")
        lines += [f"T *o{i} = parts + ({n} * teams + first) * C;" for n, i in enumerate(self.columns)]
        lines.append("for (long long r = first; r < rows; r += teams) {")
        lines += [self._row_start(k) for k in numbers if self.inputs[k].form in ("full", "strided")]
        lines += [f"E *o{i}r = o{i} + r * C;" for i, o in enumerate(self.outputs) if o.form == "full"]
        done: set[int] = set()
        for stage in range(self.stages):
            lines += self._rows(stage, done)
            lines += self._pass(stage)
        lines += self._rows(self.stages, done)
        written = [
            f"o{i}[r] = {self._name(o.symbol)};" for i, o in enumerate(self.outputs) if o.form == "row"
        ]
        if written:
            lines += ["if (threadIdx.x == 0 && blockIdx.y == 0) {", *written, "}"]
        lines += ["}", "}"]
        return "\n".join(lines) + "\n" + self._join()

    def _body(self, stage: int) -> list[str]:
        """As in C, but that a team's first row begins its part of a sum over all rows."""
        lines = super()._body(stage)
        for i in self.columns:
            start = f"o{i}[c] += "
            for n, line in enumerate(lines):
                if line.startswith(start):
                    value = line[len(start) : -1]
                    lines[n] = f"o{i}[c] = r == first ? {value} : o{i}[c] + {value};"
        return lines

    def _pass(self, stage: int) -> list[str]:
        ends = [s for s in self.used if s.op in ENDS and s.args[0].stage == stage]
        body = self._body(stage)
        if not ends and not any(line.startswith("o") for line in body):
            return []
        before, inside, after = [], [], []
        for s in ends:
            name, arg, part = self._name(s), self._name(s.args[0]), f"t{s.index}"
            if s.op == "sum":
                before.append(f"T {part} = 0;")
                inside.append(f"{part} += {arg};")
                after.append(f"const T {name} = total({part});")
            else:
                before.append(f"T {part} = {'-' if s.op == 'max' else ''}INFINITY;")
                inside.append(f"{part} = {s.op}imum_({part}, {arg});")
                after.append(f"const T {name} = {s.op}imum_of({part});")
        loop = "ALONG(c, C) {" if self.traits.reduces else "ACROSS(c, C) {"
        return [*before, loop, *body, *inside, "}", *after]

    def _join(self) -> str:
        if not self.columns:
            return ""
        to = "".join(f"E *__restrict__ o{i}, " for i in self.columns)
        chosen = "".join(f"blockIdx.y == {n} ? o{i} : " for n, i in enumerate(self.columns[:-1]))
        return (
            JOIN.replace("NAME", self.name)
            .replace("TO", to)
            .replace("CHOSEN", f"{chosen}o{self.columns[-1]}")
        )


# A block adds up the parts of 32 columns, a line of threads for each share of the teams that had a row.
JOIN = """
extern "C" __global__ void NAME_join(const T *__restrict__ parts, TO long long teams, long long filled, long long C) {
  __shared__ T sums[32][33];
  const long long c = blockIdx.x * 32ll + threadIdx.x;
  const T *own = parts + blockIdx.y * teams * C;
  T sum = 0;
  if (c < C) for (long long t = threadIdx.y; t < filled; t += blockDim.y) sum += own[t * C + c];
  sums[threadIdx.y][threadIdx.x] = sum;
  __syncthreads();
  if (threadIdx.y == 0 && c < C) {
    for (int k = 1; k < blockDim.y; k++) sum += sums[k][threadIdx.x];
    E *to = CHOSEN;
    to[c] = sum;
  }
}
"""

HEAD = """#ifndef INFINITY
#define INFINITY __int_as_float(0x7f800000)
#endif
#ifndef NAN
#define NAN __int_as_float(0x7fffffff)
#endif
#define INLINE static __device__ __forceinline__
#define EACH(c, n) for (long long c = blockIdx.x * (long long)blockDim.x + threadIdx.x; c < (n); c += (long long)gridDim.x * blockDim.x)
// The elements of a row: by the threads of its team, or by several blocks where nothing is made of all of them.
#define ALONG(c, n) for (long long c = threadIdx.x; c < (n); c += blockDim.x)
#define ACROSS(c, n) for (long long c = blockIdx.y * (long long)blockDim.x + threadIdx.x; c < (n); c += (long long)gridDim.y * blockDim.x)
INLINE T exp_(T x) { return exp(x); }
INLINE T expm1_(T x) { return expm1(x); }
INLINE T log_(T x) { return log(x); }
INLINE T log1p_(T x) { return log1p(x); }
INLINE T tanh_(T x) { return tanh(x); }
INLINE T erf_(T x) { return erf(x); }
INLINE T sqrt_(T x) { return sqrt(x); }
INLINE T abs_(T x) { return fabs(x); }
INLINE T sin_(T x) { return sin(x); }
INLINE T cos_(T x) { return cos(x); }
INLINE T power_(T x, T y) { return pow(x, y); }
INLINE T maximum_(T a, T b) { return a > b || a != a ? a : b; }
INLINE T minimum_(T a, T b) { return a < b || a != a ? a : b; }
INLINE T sign_(T x) { return x > 0 ? (T)1 : x < 0 ? (T)-1 : x; }
INLINE T added_(T a, T b) { return a + b; }
// What the threads of a team hold, joined: a warp by itself, or all warps of the block. All of them get the same bits.
#define OVER(NAME, JOINED) \\
static __device__ T NAME(T v) { \\
  for (int o = 16; o && blockDim.x > 1; o >>= 1) v = JOINED(v, __shfl_xor_sync(0xffffffffu, v, o)); \\
  if (blockDim.x <= 32) return v; \\
  __shared__ T each[32]; \\
  __syncthreads(); \\
  if (threadIdx.x % 32 == 0) each[threadIdx.x / 32] = v; \\
  __syncthreads(); \\
  v = each[0]; \\
  for (int k = 1; k < blockDim.x / 32; k++) v = JOINED(v, each[k]); \\
  return v; \\
}
OVER(total, added_)
OVER(maximum_of, maximum_)
OVER(minimum_of, minimum_)
"""


def program(functions: Sequence[Function], tape: Tape) -> str:
    """The whole file."""
    holds, computes = KINDS[tape.dtype.char]
    half = "#include <cuda_fp16.h>\n" if tape.dtype.char == "e" else ""
    return f"{half}typedef {holds} E;\ntypedef {computes} T;\n{HEAD}" + "\n".join(f.text() for f in functions)
