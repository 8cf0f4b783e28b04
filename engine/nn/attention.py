"""Attention of several heads, and the layers of a Transformer made of it."""

from __future__ import annotations

import contextlib
import copy
import enum
import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from engine.creation import empty, zeros
from engine.located import located
from engine.module import Module
from engine.nn import init
from engine.nn.container import ModuleList
from engine.nn.dropout import Dropout
from engine.nn.linear import Linear
from engine.nn.norm import LayerNorm
from engine.ops.activation import gelu, relu, softmax
from engine.ops.attention import scaled_dot_product_attention
from engine.ops.comparison import where
from engine.ops.layout import reshape, transpose
from engine.ops.linear import linear, matmul
from engine.ops.noise import dropout
from engine.ops.split import split
from engine.tensor import Parameter, Tensor, beside


class MultiheadAttention(Module):
    """Attention of `num_heads` heads (Vaswani et al. 2017), with PyTorch's parameters: `in_proj_weight`
    [3 embed, embed] (`q_proj_weight`, `k_proj_weight`, `v_proj_weight` where keys or values have sizes of their
    own), `in_proj_bias` and `out_proj`.

    Raises `ValueError` when the heads do not divide `embed_dim`.
    """

    in_proj_weight: Parameter | None
    in_proj_bias: Parameter | None
    q_proj_weight: Parameter | None
    k_proj_weight: Parameter | None
    v_proj_weight: Parameter | None

    def __init__(
        self, embed_dim: int, num_heads: int, dropout: float = 0.0, bias: bool = True,
        add_bias_kv: bool = False, add_zero_attn: bool = False, kdim: int | None = None,
        vdim: int | None = None, batch_first: bool = False, device: Any = None, dtype: Any = None,
    ) -> None:  # fmt: skip
        if add_bias_kv or add_zero_attn:
            raise located(
                ValueError("MultiheadAttention has no add_bias_kv or add_zero_attn; both have to be False")
            )
        self.embed_dim = embed_dim
        self.num_heads = num_heads
        self.dropout, self.batch_first = dropout, batch_first
        self.kdim, self.vdim = kdim or embed_dim, vdim or embed_dim
        kind = {"device": device, "dtype": dtype}
        self.joint = self.kdim == self.vdim == embed_dim
        joint = Parameter(empty(3 * embed_dim, embed_dim, **kind)) if self.joint else None
        self.register_parameter("in_proj_weight", joint)
        for name, size in (("q", embed_dim), ("k", self.kdim), ("v", self.vdim)):
            own = None if self.joint else Parameter(empty(embed_dim, size, **kind))
            self.register_parameter(f"{name}_proj_weight", own)
        self.register_parameter("in_proj_bias", Parameter(zeros(3 * embed_dim, **kind)) if bias else None)
        for parameter in self.parameters():
            if parameter.ndim == 2:
                init.xavier_uniform_(parameter)
        self.out_proj = Linear(embed_dim, embed_dim, bias=bias, **kind)
        if self.out_proj.bias is not None:
            init.zeros_(self.out_proj.bias)

    @property
    def num_heads(self) -> int:
        """How many heads; assigning another number takes effect at the next call."""
        return int(self.__dict__["_num_heads"])

    @num_heads.setter
    def num_heads(self, value: int) -> None:
        if isinstance(value, bool) or not isinstance(value, int) or value < 1 or self.embed_dim % value:
            fits = [n for n in range(1, self.embed_dim + 1) if self.embed_dim % n == 0]
            raise located(
                ValueError(
                    f"num_heads={value!r} does not divide embed_dim={self.embed_dim}; "
                    f"it can be {', '.join(map(str, fits[:12]))}"
                )
            )
        self.__dict__["_num_heads"] = value

    @property
    def head_dim(self) -> int:
        """Features of one head."""
        return int(self.embed_dim // self.num_heads)

    def forward(
        self, query: Any, key: Any, value: Any, key_padding_mask: Any = None, need_weights: bool = True,
        attn_mask: Any = None, average_attn_weights: bool = True, is_causal: bool = False,
    ) -> tuple[Tensor, Tensor | None]:  # fmt: skip
        """`query` [steps, batch, embed] ([batch, steps, embed] with `batch_first`, or [steps, embed]).

        Masks are True where a query may *not* look, or numbers added to the scores: `attn_mask` [queries, keys] or
        [batch · heads, queries, keys], `key_padding_mask` [batch, keys]. Gives the output, and the weights
        [batch, queries, keys] if `need_weights` (of each head unless averaged).
        """
        single = len(query.shape) == 2
        given = [query] if query is key is value else [query, key, value]
        if single:
            given = [t.unsqueeze(0) for t in given]
            if key_padding_mask is not None:
                key_padding_mask = key_padding_mask.unsqueeze(0)
        elif not self.batch_first:
            given = [transpose(t, 0, 1) for t in given]
        q, k, v = self._projected(*(given if len(given) == 3 else given * 3))
        mask = self._mask(attn_mask, key_padding_mask, q, k, is_causal)
        p = self.dropout if self.training else 0.0
        weights = None
        if need_weights:
            scores = matmul(q / math.sqrt(self.head_dim), transpose(k, -2, -1))
            weights = softmax(scores if mask is None else scores + mask, -1)
            mixed = matmul(dropout(weights, p, p > 0), v)
            if average_attn_weights:
                weights = weights.mean(1)
        else:
            mixed = scaled_dot_product_attention(q, k, v, mask, p)
        batch, _, steps, _ = mixed.shape
        out = self.out_proj(reshape(transpose(mixed, 1, 2), batch, steps, self.embed_dim))
        if single:
            return out.squeeze(0), None if weights is None else weights.squeeze(0)
        return (out if self.batch_first else transpose(out, 0, 1)), weights

    def _projected(self, query: Any, key: Any, value: Any) -> list[Tensor]:
        """Queries, keys and values [batch, heads, steps, features]; of one tensor by one product."""
        size = self.embed_dim
        if query is key is value and self.in_proj_weight is not None:
            mapped = split(linear(query, self.in_proj_weight, self.in_proj_bias), size, -1)
        else:
            mapped = tuple(
                self._mapped(i, t, own)
                for i, (t, own) in enumerate(
                    ((query, self.q_proj_weight), (key, self.k_proj_weight), (value, self.v_proj_weight))
                )
            )
        return [
            transpose(reshape(made, *made.shape[:-1], self.num_heads, self.head_dim), 1, 2) for made in mapped
        ]

    def _mapped(self, i: int, t: Any, own: Any) -> Tensor:
        part = slice(i * self.embed_dim, (i + 1) * self.embed_dim)
        weight = own if self.in_proj_weight is None else self.in_proj_weight[part]
        return linear(t, weight, None if self.in_proj_bias is None else self.in_proj_bias[part])

    def _mask(self, attn_mask: Any, padding: Any, q: Any, k: Any, causal: bool) -> Any:
        """All masks as numbers to add to scores [batch, heads, queries, keys], or None."""
        if causal and attn_mask is None:
            attn_mask = beside(q, np.triu(np.ones((q.shape[2], k.shape[2]), bool), 1))
        (batch, _, queries, _), keys = q.shape, k.shape[2]
        if attn_mask is not None:
            _of_shape("attn_mask", attn_mask, (queries, keys), (batch * self.num_heads, queries, keys))
        if padding is not None:
            _of_shape("key_padding_mask", padding, (batch, keys))
        mask = None if attn_mask is None else _added(attn_mask, q.dtype)
        if mask is not None and mask.ndim == 3:
            mask = reshape(mask, -1, self.num_heads, *mask.shape[1:])
        if padding is not None:
            added = reshape(_added(padding, q.dtype), batch, 1, 1, keys)
            mask = added if mask is None else mask + added
        return mask


def _of_shape(name: str, mask: Any, *fit: tuple[int, ...]) -> None:
    """Raise unless a mask has one of these shapes."""
    got = tuple(mask.shape)
    if got not in fit:
        shapes = " or ".join(str(list(shape)) for shape in fit)
        raise located(ValueError(f"{name} needs the shape {shapes}, got {list(got)}"))


def _added(mask: Any, dtype: Any) -> Tensor:
    return where(mask, float("-inf"), 0.0).to(dtype) if mask.dtype.kind == "b" else mask  # type: ignore[no-any-return]


class TransformerEncoderLayer(Module):
    """Self-attention and a feed-forward network, each with a residual and a `LayerNorm` (Vaswani et al. 2017)."""

    def __init__(
        self, d_model: int, nhead: int, dim_feedforward: int = 2048, dropout: float = 0.1,
        activation: str | Callable[[Any], Any] = "relu", layer_norm_eps: float = 1e-5,
        batch_first: bool = False, norm_first: bool = False, bias: bool = True, device: Any = None,
        dtype: Any = None,
    ) -> None:  # fmt: skip
        if isinstance(activation, str) and activation not in ("relu", "gelu"):
            raise located(ValueError(f'activation is "relu", "gelu" or a function, got {activation!r}'))
        kind: dict[str, Any] = {"device": device, "dtype": dtype}
        self.self_attn = MultiheadAttention(d_model, nhead, dropout, bias, batch_first=batch_first, **kind)
        self.linear1 = Linear(d_model, dim_feedforward, bias, **kind)
        self.dropout = Dropout(dropout)
        self.linear2 = Linear(dim_feedforward, d_model, bias, **kind)
        self.norm_first = norm_first
        self.norm1 = LayerNorm(d_model, layer_norm_eps, bias=bias, **kind)
        self.norm2 = LayerNorm(d_model, layer_norm_eps, bias=bias, **kind)
        self.dropout1, self.dropout2 = Dropout(dropout), Dropout(dropout)
        known: dict[str, Any] = {"relu": relu, "gelu": gelu}
        self.activation: Any = known[activation] if isinstance(activation, str) else activation

    def forward(
        self, src: Any, src_mask: Any = None, src_key_padding_mask: Any = None, is_causal: bool = False
    ) -> Tensor:
        """`src` [steps, batch, d_model] ([batch, steps, d_model] with `batch_first`); masks as in `MultiheadAttention`."""

        def attend(x: Any) -> Any:
            found = self.self_attn(
                x, x, x, key_padding_mask=src_key_padding_mask, need_weights=False, attn_mask=src_mask,
                is_causal=is_causal,
            )  # fmt: skip
            return self.dropout1(found[0])

        def feed(x: Any) -> Any:
            return self.dropout2(self.linear2(self.dropout(self.activation(self.linear1(x)))))

        if self.norm_first:
            src = src + attend(self.norm1(src))
            return src + feed(self.norm2(src))  # type: ignore[no-any-return]
        src = self.norm1(src + attend(src))
        return self.norm2(src + feed(src))  # type: ignore[no-any-return]


class TransformerEncoder(Module):
    """`num_layers` copies of a layer, one after another, and an optional normalisation at the end.

    `enable_nested_tensor` and `mask_check` are accepted as PyTorch has them; they change nothing here.
    """

    norm: Module | None

    def __init__(
        self, encoder_layer: Module, num_layers: int, norm: Module | None = None,
        enable_nested_tensor: bool = True, mask_check: bool = True,
    ) -> None:  # fmt: skip
        # The last two choose between ways of computing the same in PyTorch; here there is one.
        self.layers = ModuleList([copy.deepcopy(encoder_layer) for _ in range(num_layers)])
        self.num_layers = num_layers
        self.norm = norm

    def forward(
        self, src: Any, mask: Any = None, src_key_padding_mask: Any = None, is_causal: bool = False
    ) -> Tensor:
        """`src` through all layers; masks as in `MultiheadAttention`."""
        for layer in self.layers:
            src = layer(src, src_mask=mask, src_key_padding_mask=src_key_padding_mask, is_causal=is_causal)
        return src if self.norm is None else self.norm(src)  # type: ignore[no-any-return]


class SDPBackend(enum.Enum):
    """Which kernel of PyTorch's computes attention; here there is one way on each device, and all of them mean it."""

    ERROR = -1
    MATH = 0
    FLASH_ATTENTION = 1
    EFFICIENT_ATTENTION = 2
    CUDNN_ATTENTION = 3


@contextlib.contextmanager
def sdpa_kernel(backends: Any, set_priority: bool = False) -> Iterator[None]:
    """Taken for PyTorch's sake: attention is computed as ever inside it. Raises `TypeError` for what is no `SDPBackend`."""
    for one in backends if isinstance(backends, (list, tuple)) else (backends,):
        if not isinstance(one, SDPBackend):
            raise located(TypeError(f"sdpa_kernel: expected an SDPBackend or a list of them, got {one!r}"))
    yield
