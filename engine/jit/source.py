"""C for a graph of symbols: a pass over each row for every reduction that later values wait for.

Elements are computed in the order they are written; the compiler may neither contract products and sums nor change the
order of anything but sums and extremes over a row, which are taken in lanes and in pieces of `PIECE` elements.
"""

from __future__ import annotations

from collections.abc import Sequence

from engine.jit.passes import ENDS, Passes
from engine.jit.prelude import prelude
from engine.jit.symbol import UNIFORM, Tape

PIECE = 2048
PIECES = 16  # at most, of the rows, in which columns are summed


class Function(Passes):
    """The C of one kernel."""

    def text(self) -> str:
        """The function that does a range of the rows, and the one that shares them out to threads."""
        lines = [
            f"static void {self.name}_part(void **in, void **out, const double *args, const long C,",
            "  const long lo, const long hi, T *scratch, T *columns) {",
        ]
        numbers = self._numbers()
        lines += [f"const {self._kind(k)} *i{k} = in[{k}];" for k in numbers]
        for i, o in enumerate(self.outputs):
            if o.form == "column":
                lines.append(f"T *restrict o{i} = columns + C * {self.columns.index(i)};")
            else:
                lines.append(f"T *restrict o{i} = out[{i}];")
        lines += [f"T *restrict k{n} = scratch + C * {n};" for n in range(self.scratch)]
        lines += [self._declared(s, 0) for s in self.used if s.level == UNIFORM]
        if self.flat:
            lines += [f"const {self._kind(k)} *i{k}r = i{k};" for k in numbers]
            lines += [f"T *restrict o{i}r = o{i};" for i in range(len(self.outputs))]
            lines += ["#pragma omp simd", "for (long c = lo; c < hi; c++) {"]
            lines += self._body(0)
            lines += ["}", "}"]
            return "\n".join(lines) + self._entry()
        lines.append("for (long r = lo; r < hi; r++) {")
        lines += [self._row_start(k) for k in numbers if self.inputs[k].form in ("full", "strided")]
        lines += [
            f"T *restrict o{i}r = o{i} + r * C;" for i, o in enumerate(self.outputs) if o.form == "full"
        ]
        done: set[int] = set()
        for stage in range(self.stages):
            lines += self._rows(stage, done)
            lines += self._pass(stage)
        lines += self._rows(self.stages, done)
        for i, o in enumerate(self.outputs):
            if o.form == "row":
                lines.append(f"o{i}[r] = {self._name(o.symbol)};")
        lines += ["}", "}"]
        return "\n".join(lines) + self._entry()

    def _pass(self, stage: int) -> list[str]:
        ends = [s for s in self.used if s.op in ENDS and s.args[0].stage == stage]
        body = self._body(stage)
        if not ends and not any(line.lstrip().startswith(("o", "k")) for line in body):
            return []
        before, clauses, inside, after = [], [], [], []
        for s in ends:
            name, arg = self._name(s), self._name(s.args[0])
            if s.op == "sum":
                before.append(f"double t{s.index} = 0;")
                inside.append((f"T p{s.index} = 0;", f"p{s.index} += {arg};", f"t{s.index} += p{s.index};"))
                clauses.append(f"reduction(+:p{s.index})")
                after.append(f"const T {name} = (T)t{s.index};")
            else:
                worst, op = ("-INFINITY", ">") if s.op == "max" else ("INFINITY", "<")
                before.append(f"T t{s.index} = {worst}; int n{s.index} = 0;")
                inside.append(
                    (
                        f"T p{s.index} = {worst}; int q{s.index} = 0;",
                        f"p{s.index} = {arg} {op} p{s.index} ? {arg} : p{s.index}; q{s.index} |= {arg} != {arg};",
                        f"t{s.index} = p{s.index} {op} t{s.index} ? p{s.index} : t{s.index}; n{s.index} |= q{s.index};",
                    )
                )
                clauses.append(f"reduction({s.op}:p{s.index}) reduction(|:q{s.index})")
                after.append(f"const T {name} = n{s.index} ? NAN : t{s.index};")
        pragma = "#pragma omp simd " + " ".join(clauses)
        if not ends:
            return [pragma, "for (long c = 0; c < C; c++) {", *body, "}"]
        return [
            *before,
            f"for (long b = 0; b < C; b += {PIECE}) {{",
            f"const long e = b + {PIECE} < C ? b + {PIECE} : C;",
            *(start for start, _, _ in inside),
            pragma,
            "for (long c = b; c < e; c++) {",
            *body,
            *(add for _, add, _ in inside),
            "}",
            *(end for _, _, end in inside),
            "}",
            *after,
        ]

    def _entry(self) -> str:
        count = len(self.columns)
        join = "".join(
            f"T *o{n} = out[{i}];\nmemset(o{n}, 0, C * sizeof(T));\nfor (long p = 0; p < pieces; p++)\n"
            f"  for (long c = 0; c < C; c++) o{n}[c] += columns[(p * {count} + {n}) * C + c];\n"
            for n, i in enumerate(self.columns)
        )
        return (
            ENTRY.replace("NAME", self.name)
            .replace("SCRATCH", str(self.scratch))
            .replace("COLUMNS", str(count))
            .replace("JOIN", join)
            .replace("PIECES", f"rows < {8 * PIECES} ? (rows + 7) / 8 : {PIECES}" if count else "threads")
            .replace("ALIGN", "16" if self.flat else "1")
        )


ENTRY = """
/* 0, or 1 where there was no memory. What is summed over rows is so in pieces that their number alone decides: no bit
   depends on the number of threads. */
int NAME(void **in, void **out, const double *args, long rows, long C, int threads) {
  threads = threads > 64 ? 64 : threads;
  const long pieces = PIECES, share = ((rows + pieces - 1) / pieces + ALIGN - 1) / ALIGN * ALIGN;
  T *scratch = 0, *columns = 0;
  if (SCRATCH && !(scratch = malloc(threads * SCRATCH * C * sizeof(T)))) return 1;
  if (COLUMNS && !(columns = calloc(pieces * COLUMNS * C, sizeof(T)))) return free(scratch), 1;
  TEAM for (long p = 0; p < pieces; p++) {
    const long lo = p * share < rows ? p * share : rows, hi = lo + share < rows ? lo + share : rows;
    NAME_part(in, out, args, C, lo, hi, scratch + SCRATCH * C * MEMBER, columns + COLUMNS * C * p);
  }
JOIN  free(scratch);
  free(columns);
  return 0;
}
"""


def program(functions: Sequence[Function], tape: Tape) -> str:
    """The whole C file."""
    return prelude(tape.dtype.itemsize == 4) + "\n".join(function.text() for function in functions)
