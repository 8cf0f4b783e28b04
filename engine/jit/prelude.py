"""The C that every kernel begins with: elementary functions that a compiler turns into vector instructions.

In float32 they are polynomials without branches, fitted by least squares; `LIMITS` says how far each may be from the
exact value, in units of the last place. In float64 they are the C library's. Coefficients of erf are those NumPy's
path uses, so both paths agree.
"""

from __future__ import annotations

from engine.ops.exponential import _ONE, _P, _Q

# Units in the last place of float32, as the tests measure them over all ranges.
LIMITS = {"exp": 2, "expm1": 4, "log": 2, "log1p": 4, "tanh": 4, "erf": 16}


def _horner(coefficients: tuple[float, ...], x: str) -> str:
    text = f"{coefficients[-1]!r}f"
    for coefficient in coefficients[-2::-1]:
        text = f"FMA({text}, {x}, {coefficient!r}f)"
    return text


_EXP = (0.500000001, 0.166665766, 0.0416664646, 0.00836323533, 0.00139336633)
_LOG = (
    0.333333312, -0.24999989, 0.200007075, -0.166684802, 0.142499365, -0.124110507, 0.116615111, -0.115712007,
    0.0714975388,
)  # fmt: skip
_TANH_P = (0.999999999, 0.136761383, 0.00386359485, 2.79119654e-05, 3.03555573e-08, -1.20336218e-11)
_TANH_Q = (1.0, 0.470094703, 0.0272285182, 0.000393028627, 1.2806962e-06)

SINGLE = f"""
#ifdef __FMA__
#define FMA(a, b, c) __builtin_fmaf(a, b, c)
#else
#define FMA(a, b, c) ((a) * (b) + (c))
#endif
typedef union {{ float f; int i; }} bits;
INLINE float at_bits(int i) {{ bits b; b.i = i; return b.f; }}
INLINE int bits_of(float f) {{ bits b; b.f = f; return b.i; }}
/* e^r - 1 for |r| <= ln 2 / 2 */
INLINE float near_one(float r) {{ return FMA(r * r, {_horner(_EXP, "r")}, r); }}
INLINE float exp_(float x) {{
  float y = x > -104.0f ? x : -104.0f;
  y = y < 89.0f ? y : 89.0f;
  float n = __builtin_rintf(y * 1.44269504f);
  float r = FMA(n, -0.693145752f, y);
  r = FMA(n, -1.42860677e-6f, r);
  int k = (int)n, half = k >> 1;
  float e = (near_one(r) + 1.0f) * at_bits((half + 127) << 23) * at_bits((k - half + 127) << 23);
  return x != x ? x : e;
}}
INLINE float expm1_(float x) {{
  float y = x > -104.0f ? x : -104.0f;
  y = y < 89.0f ? y : 89.0f;
  float n = __builtin_rintf(y * 1.44269504f);
  float r = FMA(n, -0.693145752f, y);
  r = FMA(n, -1.42860677e-6f, r);
  int k = (int)n, half = k >> 1;
  float a = at_bits((half + 127) << 23), b = at_bits((k - half + 127) << 23);
  float big = (near_one(r) + 1.0f) * a * b - 1.0f;
  float small = FMA(near_one(r), a * b, a * b - 1.0f);
  float e = n == 0.0f ? near_one(r) : k > 126 ? big : small;
  return x != x ? x : x == 0.0f ? x : e;
}}
INLINE float log_(float x) {{
  int tiny = x < 1.17549435e-38f;
  float y = tiny ? x * 8388608.0f : x;
  int i = bits_of(y);
  int e = (i - 0x3f3504f3) >> 23;
  float f = at_bits(i - (e << 23)) - 1.0f;
  float n = (float)(tiny ? e - 23 : e);
  float p = FMA(f * f, FMA(f, {_horner(_LOG, "f")}, -0.5f), n * -2.12194440e-4f);
  float l = FMA(n, 0.693359375f, f + p);
  l = x == 0.0f ? -INFINITY : l;
  l = x < 0.0f ? NAN : l;
  l = x == INFINITY ? x : l;
  return x != x ? x : l;
}}
INLINE float log1p_(float x) {{
  float u = 1.0f + x;
  float d = x - (u - 1.0f);
  float l = log_(u) + d / u;
  return u == 1.0f ? x : x == INFINITY ? x : u == 0.0f ? -INFINITY : l;
}}
INLINE float tanh_(float x) {{
  float y = x > -9.1f ? x : -9.1f;
  y = y < 9.1f ? y : 9.1f;
  float z = y * y;
  float t = y * ({_horner(_TANH_P, "z")}) / ({_horner(_TANH_Q, "z")});
  t = t > 1.0f ? 1.0f : t < -1.0f ? -1.0f : t;
  return x != x ? x : x * x < 1e-7f ? x : t;
}}
INLINE float erf_(float x) {{
  float y = x > -{_ONE}f ? x : -{_ONE}f;
  y = y < {_ONE}f ? y : {_ONE}f;
  float z = y * y;
  float t = y * ({_horner(_P, "z")}) / ({_horner(_Q, "z")});
  t = t > 1.0f ? 1.0f : t < -1.0f ? -1.0f : t;
  return x != x ? x : t;
}}
INLINE float sqrt_(float x) {{ return __builtin_sqrtf(x); }}
INLINE float abs_(float x) {{ return __builtin_fabsf(x); }}
INLINE float sin_(float x) {{ return sinf(x); }}
INLINE float cos_(float x) {{ return cosf(x); }}
INLINE float power_(float x, float y) {{ return powf(x, y); }}
"""

DOUBLE = """
INLINE double exp_(double x) { return exp(x); }
INLINE double expm1_(double x) { return expm1(x); }
INLINE double log_(double x) { return log(x); }
INLINE double log1p_(double x) { return log1p(x); }
INLINE double tanh_(double x) { return tanh(x); }
INLINE double erf_(double x) { return erf(x); }
INLINE double sqrt_(double x) { return __builtin_sqrt(x); }
INLINE double abs_(double x) { return __builtin_fabs(x); }
INLINE double sin_(double x) { return sin(x); }
INLINE double cos_(double x) { return cos(x); }
INLINE double power_(double x, double y) { return pow(x, y); }
"""

HEAD = """#include <math.h>
#include <stdlib.h>
#include <string.h>
#define INLINE static inline __attribute__((always_inline))
#ifdef _OPENMP
extern int omp_get_thread_num(void);
#define TEAM _Pragma("omp parallel for schedule(static) num_threads(threads) if(threads > 1)")
#define MEMBER omp_get_thread_num()
#else
#define TEAM
#define MEMBER 0
#endif
"""

BOTH = """
INLINE T maximum_(T a, T b) { return a > b || a != a ? a : b; }
INLINE T minimum_(T a, T b) { return a < b || a != a ? a : b; }
INLINE T sign_(T x) { return x > 0 ? (T)1 : x < 0 ? (T)-1 : x; }
"""


def prelude(single: bool) -> str:
    """What stands before the kernels of float32 (`single`) or float64."""
    kind = "float" if single else "double"
    return f"{HEAD}typedef {kind} T;\n{SINGLE if single else DOUBLE}{BOTH}"
