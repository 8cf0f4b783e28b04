"""Where a comparison runs and in what precision, the same for every contestant."""

from __future__ import annotations

from typing import NamedTuple

# fp32: products and convolutions in full float32; tf32: their inputs rounded to 10 bits of fraction; fp16 and bf16:
# the loss is computed under `autocast`, as a training script does; it is not scaled, which takes no time.
PRECISIONS = {
    "fp32": "full float32",
    "tf32": "TF32",
    "fp16": "autocast to float16",
    "bf16": "autocast to bfloat16",
}
HALVES = {"fp16": "float16", "bf16": "bfloat16"}


class Setting(NamedTuple):
    """`device` is "cpu" or "cuda", `precision` one of `PRECISIONS`."""

    device: str = "cpu"
    precision: str = "fp32"

    @property
    def gpu(self) -> bool:
        """Whether it is a GPU."""
        return self.device == "cuda"


CPU = Setting()
