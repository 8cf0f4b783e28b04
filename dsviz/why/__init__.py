"""Questions about a graph and their answers: why this shape, why this value, why no gradient."""

from dsviz.why.chain import Answer, Step
from dsviz.why.gradient import why_no_grad
from dsviz.why.shape import why_shape
from dsviz.why.value import why_value

__all__ = ["Answer", "Step", "why_no_grad", "why_shape", "why_value"]
