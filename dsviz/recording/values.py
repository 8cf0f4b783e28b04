"""Arrays in a recording: named by what they hold, so that equal ones are kept once."""

from __future__ import annotations

import hashlib
import math
import re
from collections import OrderedDict
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from numpy.typing import NDArray

KEY_SIZE = 16
MOST_DIMENSIONS = 64
# Numbers and truth values only: an object array would be a pickle by another name.
_DTYPE = re.compile(r"\|b1|\|[iu]1|[<>](?:[iuf][248]|c8|c16|f16|c32)")


class Value(NamedTuple):
    """An array's bytes in C order, with NumPy's name of its dtype such as "<f4"."""

    dtype: str
    shape: tuple[int, ...]
    data: bytes

    @property
    def key(self) -> bytes:
        """What the recording knows it by: a hash of dtype, shape and bytes."""
        return value_key(self.dtype, self.shape, self.data)

    @classmethod
    def of(cls, array: NDArray[Any]) -> Value:
        """The value of a NumPy array."""
        return cls(array.dtype.str, tuple(array.shape), array.tobytes())

    def array(self) -> NDArray[Any]:
        """The value as a read-only NumPy array.

        >>> import numpy as np
        >>> Value.of(np.arange(3, dtype="<i8")).array()
        array([0, 1, 2])
        """
        import numpy as np

        array: NDArray[Any] = np.frombuffer(self.data, np.dtype(self.dtype)).reshape(self.shape)
        return array


def value_key(dtype: str, shape: tuple[int, ...], data: bytes | memoryview) -> bytes:
    """BLAKE2b of dtype, shape and bytes, 16 bytes long."""
    digest = hashlib.blake2b(f"{dtype}{shape}".encode(), digest_size=KEY_SIZE)
    digest.update(data)
    return digest.digest()


def problem(dtype: str, shape: tuple[int, ...], size: int) -> str:
    """Why `size` bytes cannot be an array of this dtype and shape; "" where they can.

    >>> problem("<f4", (2, 3), 24), problem("|O", (1,), 8)
    ('', "dtype '|O' is not one that can be kept")
    """
    if not _DTYPE.fullmatch(dtype):
        return f"dtype {dtype!r} is not one that can be kept"
    if len(shape) > MOST_DIMENSIONS:
        return f"an array of {len(shape)} dimensions cannot be kept"
    if any(length < 0 for length in shape):
        return f"{shape} is not a shape"
    expected = int(dtype[2:]) * math.prod(shape)
    return "" if size == expected else f"{size} bytes where dtype and shape need {expected}"


class Budget:
    """Which arrays are kept: the ones used last, and all pinned ones, within `limit` bytes.

    A new array pushes out the unpinned ones that were used longest ago; one that does not fit even
    so is refused, and then nothing is pushed out.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.used = 0
        self._pinned: dict[bytes, int] = {}
        self._pinned_bytes = 0
        self._kept: OrderedDict[bytes, tuple[int, int]] = OrderedDict()  # key: row, bytes

    def __contains__(self, key: bytes) -> bool:
        return key in self._kept or key in self._pinned

    def resize(self, limit: int) -> None:
        """Keep so many bytes from here on; what is kept already stays until it is pushed out."""
        self.limit = limit

    def touch(self, key: bytes, pin: bool) -> None:
        """An array that is kept was used again."""
        if key in self._pinned:
            return
        if pin:
            self._pinned[key] = size = self._kept.pop(key)[1]
            self._pinned_bytes += size
        else:
            self._kept.move_to_end(key)

    def add(self, key: bytes, number: int, size: int, pin: bool) -> list[tuple[int, bytes]] | None:
        """Keep a new array; rows and keys of those pushed out for it, or None where it is refused."""
        if self._pinned_bytes + size > self.limit:
            return None
        out = []
        while self.used + size > self.limit and self._kept:
            other, (row, freed) = self._kept.popitem(last=False)
            self.used -= freed
            out.append((row, other))
        self.used += size
        if pin:
            self._pinned[key] = size
            self._pinned_bytes += size
        else:
            self._kept[key] = (number, size)
        return out
