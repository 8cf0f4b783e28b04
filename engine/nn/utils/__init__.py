"""What works on the parameters of a network, or makes batches for it."""

from engine.nn.clip import clip_grad_norm_, clip_grad_value_, get_total_norm
from engine.nn.sequence import pad_sequence
from engine.nn.utils import parametrizations, parametrize, rnn
from engine.nn.utils.normed import remove_spectral_norm, remove_weight_norm, spectral_norm, weight_norm
from engine.nn.utils.vector import parameters_to_vector, vector_to_parameters

__all__ = [
    "clip_grad_norm_",
    "clip_grad_value_",
    "get_total_norm",
    "pad_sequence",
    "parameters_to_vector",
    "parametrizations",
    "parametrize",
    "remove_spectral_norm",
    "remove_weight_norm",
    "rnn",
    "spectral_norm",
    "vector_to_parameters",
    "weight_norm",
]
