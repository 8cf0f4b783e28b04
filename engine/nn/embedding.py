"""Rows of a table, chosen by number."""

from __future__ import annotations

from typing import Any

from engine.creation import empty
from engine.located import located
from engine.module import Module
from engine.nn import init
from engine.nn.widths import width
from engine.ops.indexing import embedding
from engine.tensor import Parameter, Tensor


class Embedding(Module):
    """`weight` [num_embeddings, embedding_dim], looked up by whole numbers; starts normal, as in PyTorch.

    Both sizes can be assigned: a vocabulary that grows keeps the rows it has.
    """

    num_embeddings = width("num_embeddings")
    embedding_dim = width("embedding_dim")

    def resized(self, num_embeddings: int | None = None, embedding_dim: int | None = None) -> Embedding:
        """A fresh table of these sizes."""
        rows, columns = num_embeddings or self.num_embeddings, embedding_dim or self.embedding_dim
        return Embedding(rows, columns, self.padding_idx, dtype=self.weight.dtype)

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        padding_idx: int | None = None,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        sparse: bool = False,
        _weight: Any = None,
        _freeze: bool = False,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        if padding_idx is not None and not -num_embeddings <= padding_idx < num_embeddings:
            raise located(ValueError(f"padding_idx {padding_idx} has to be one of the {num_embeddings} rows"))
        self.num_embeddings, self.embedding_dim, self.padding_idx = num_embeddings, embedding_dim, padding_idx
        self.max_norm, self.norm_type = max_norm, norm_type
        self.scale_grad_by_freq, self.sparse = scale_grad_by_freq, sparse
        if _weight is not None:
            if tuple(_weight.shape) != (num_embeddings, embedding_dim):
                raise located(
                    ValueError(
                        f"_weight has shape {list(_weight.shape)}, expected {[num_embeddings, embedding_dim]}"
                    )
                )
            self.weight = Parameter(_weight, requires_grad=not _freeze)
            return
        made = empty(num_embeddings, embedding_dim, device=device, dtype=dtype)
        self.weight = Parameter(made, requires_grad=not _freeze)
        init.normal_(self.weight)
        if padding_idx is not None:
            self.weight.array[padding_idx] = 0

    @classmethod
    def from_pretrained(
        cls, embeddings: Any, freeze: bool = True, padding_idx: int | None = None, max_norm: float | None = None,
        norm_type: float = 2.0, scale_grad_by_freq: bool = False, sparse: bool = False,
    ) -> Embedding:  # fmt: skip
        """A table with these rows [num_embeddings, embedding_dim]; `freeze`: it is not learned.

        Raises `ValueError` for another rank.
        """
        if len(embeddings.shape) != 2:
            raise located(ValueError(f"embeddings have to be [rows, features], got {list(embeddings.shape)}"))
        rows, features = embeddings.shape
        return cls(
            rows, features, padding_idx, max_norm, norm_type, scale_grad_by_freq, sparse, embeddings, freeze
        )

    def forward(self, input: Any) -> Tensor:
        """`input` [...] of row numbers to [..., embedding_dim]."""
        return embedding(
            input, self.weight, self.padding_idx, self.max_norm, self.norm_type, self.scale_grad_by_freq,
            self.sparse,
        )  # fmt: skip

    def extra_repr(self) -> str:
        """The sizes."""
        padding = "" if self.padding_idx is None else f", padding_idx={self.padding_idx}"
        return f"{self.num_embeddings}, {self.embedding_dim}{padding}"
