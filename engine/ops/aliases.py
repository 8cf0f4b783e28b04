"""Functions under the second names they have in PyTorch."""

from __future__ import annotations

from engine.ops import arithmetic, comparison, layout, part, products, rounding, trigonometric

__all__ = [
    "absolute", "arccos", "arccosh", "arcsin", "arcsinh", "arctan", "arctan2", "arctanh", "clip", "concat",
    "concatenate", "divide", "fix", "ger", "greater", "greater_equal", "less", "less_equal", "moveaxis",
    "multiply", "negative", "not_equal", "subtract", "swapaxes", "swapdims", "true_divide",
]  # fmt: skip

absolute = arithmetic.abs
arccos = trigonometric.acos
arccosh = trigonometric.acosh
arcsin = trigonometric.asin
arcsinh = trigonometric.asinh
arctan = trigonometric.atan
arctan2 = trigonometric.atan2
arctanh = trigonometric.atanh
clip = arithmetic.clamp
concat = layout.cat
concatenate = layout.cat
divide = arithmetic.div
fix = rounding.trunc
ger = products.outer
greater = comparison.gt
greater_equal = comparison.ge
less = comparison.lt
less_equal = comparison.le
moveaxis = part.movedim
multiply = arithmetic.mul
negative = arithmetic.neg
not_equal = comparison.ne
subtract = arithmetic.sub
swapaxes = layout.transpose
swapdims = layout.transpose
true_divide = arithmetic.div
