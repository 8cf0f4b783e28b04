"""Rows of a table, chosen by number."""

from __future__ import annotations

from typing import Any

from engine.creation import empty
from engine.located import located
from engine.module import Module
from engine.nn import init
from engine.ops.indexing import embedding
from engine.tensor import Parameter, Tensor


class Embedding(Module):
    """`weight` [num_embeddings, embedding_dim], looked up by whole numbers; starts normal, as in PyTorch."""

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        padding_idx: int | None = None,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        self.num_embeddings, self.embedding_dim, self.padding_idx = num_embeddings, embedding_dim, padding_idx
        self.weight = Parameter(empty(num_embeddings, embedding_dim, device=device, dtype=dtype))
        init.normal_(self.weight)
        if padding_idx is not None:
            self.weight.array[padding_idx] = 0

    @classmethod
    def from_pretrained(
        cls, embeddings: Any, freeze: bool = True, padding_idx: int | None = None
    ) -> Embedding:
        """A table with these rows [num_embeddings, embedding_dim]; `freeze`: it is not learned.

        Raises `ValueError` for another rank.
        """
        if len(embeddings.shape) != 2:
            raise located(ValueError(f"embeddings have to be [rows, features], got {list(embeddings.shape)}"))
        rows, features = embeddings.shape
        made = cls(rows, features, padding_idx)
        made.weight = Parameter(embeddings, requires_grad=not freeze)
        return made

    def forward(self, input: Any) -> Tensor:
        """`input` [...] of row numbers to [..., embedding_dim]."""
        return embedding(input, self.weight, self.padding_idx)

    def extra_repr(self) -> str:
        """The sizes."""
        padding = "" if self.padding_idx is None else f", padding_idx={self.padding_idx}"
        return f"{self.num_embeddings}, {self.embedding_dim}{padding}"
