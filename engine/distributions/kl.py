"""`kl_divergence` and `register_kl`, under the name of PyTorch's module."""

from engine.distributions.divergence import kl_divergence, register_kl

__all__ = ["kl_divergence", "register_kl"]
