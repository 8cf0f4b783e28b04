"""Functions of functions, under the names of PyTorch's `torch.func`: derivatives, mapping, and modules without state."""

from engine.func.mapping import vmap
from engine.func.stateless import functional_call, stack_module_state
from engine.func.transforms import grad, grad_and_value, hessian, jacfwd, jacrev, jvp, vjp

__all__ = [
    "functional_call",
    "grad",
    "grad_and_value",
    "hessian",
    "jacfwd",
    "jacrev",
    "jvp",
    "stack_module_state",
    "vjp",
    "vmap",
]
