"""Short-time Fourier transforms: `ds.stft`, and back, `ds.istft`, as PyTorch has them, with gradients of any order."""

from __future__ import annotations

from typing import Any

import numpy as np

from engine import fft
from engine.errors import shape_text
from engine.located import located
from engine.ops.complex import view_as_complex, view_as_real
from engine.ops.fold import fold, unfold
from engine.ops.pad import pad
from engine.tensor import Tensor, beside

__all__ = ["istft", "stft"]


def stft(
    input: Any, n_fft: int, hop_length: int | None = None, win_length: int | None = None, window: Any = None,
    center: bool = True, pad_mode: str = "reflect", normalized: bool = False, onesided: bool | None = None,
    return_complex: bool | None = None,
) -> Tensor:  # fmt: skip
    """The transform of windows of `n_fft` samples, `hop_length` (n_fft // 4) apart, of [time] or [batch, time].

    Gives [batch, frequencies, windows]: n_fft // 2 + 1 frequencies, all `n_fft` of a complex input or unless `onesided`.
    `window` [win_length] is put in the middle of `n_fft`; with `center` the first window is centred on the first sample,
    the input continued by `pad_mode`. `normalized` divides by the root of n_fft. Without `return_complex` the two parts
    are a last dimension. Raises `RuntimeError` and `ValueError` that name the argument.
    """
    rank = len(input.shape)
    if rank not in (1, 2):
        raise located(ValueError(f"stft: input is [time] or [batch, time], got {shape_text(input.shape)}"))
    weights = _window("stft", input, n_fft, win_length, window)
    hop = _hop("stft", n_fft, hop_length)
    whole = input.is_complex() or weights.is_complex()
    if return_complex is None:
        if not whole:
            raise located(
                RuntimeError(
                    "stft: say return_complex, True for complex numbers or False for a last dimension of two parts"
                )
            )
        return_complex = True
    if onesided is None:
        onesided = not whole
    if onesided and whole:
        raise located(
            RuntimeError(
                "stft: onesided=True is for a real input and a real window: of complex ones no half says all"
            )
        )
    signal = input if rank == 2 else input.unsqueeze(0)
    if center:
        by = n_fft // 2
        if pad_mode == "reflect" and by >= signal.shape[-1]:
            raise located(
                ValueError(
                    f"stft: center with pad_mode='reflect' continues the input by {by} samples and needs more than that, got {shape_text(input.shape)}"
                )
            )
        signal = pad(signal.unsqueeze(1), (by, by), mode=pad_mode).squeeze(1)
    if signal.shape[-1] < n_fft:
        raise located(
            ValueError(f"stft: n_fft={n_fft} samples do not fit into the {signal.shape[-1]} there are")
        )
    frames = unfold(signal.unsqueeze(1).unsqueeze(1), (1, n_fft), stride=(1, hop)) * weights.unsqueeze(-1)
    transform = fft.rfft if onesided else fft.fft
    made = transform(frames, dim=1, norm="ortho" if normalized else None)
    if rank == 1:
        made = made[0]
    return made if return_complex else view_as_real(made)


def istft(
    input: Any, n_fft: int, hop_length: int | None = None, win_length: int | None = None, window: Any = None,
    center: bool = True, normalized: bool = False, onesided: bool | None = None, length: int | None = None,
    return_complex: bool = False,
) -> Tensor:  # fmt: skip
    """What `stft` was given: the windows of [batch, frequencies, windows] added up, divided by the squares of their weights.

    `length` cuts the result, or fills it up with zeros. Raises `RuntimeError` where the weights add up to 0.
    """
    if not input.is_complex():
        if not input.shape or input.shape[-1] != 2:
            raise located(
                RuntimeError(
                    f"istft: input is complex, or has a last dimension of two parts, got {shape_text(input.shape)} {input.dtype}"
                )
            )
        input = view_as_complex(input)
    rank = len(input.shape)
    if rank not in (2, 3):
        raise located(
            ValueError(
                f"istft: input is [frequencies, windows] or [batch, frequencies, windows], got {shape_text(input.shape)}"
            )
        )
    spectrum = input if rank == 3 else input.unsqueeze(0)
    if onesided is None:
        onesided = spectrum.shape[1] != n_fft
    expected = n_fft // 2 + 1 if onesided else n_fft
    if spectrum.shape[1] != expected:
        raise located(
            ValueError(f"istft: n_fft={n_fft} needs {expected} frequencies, got {spectrum.shape[1]}")
        )
    if onesided and return_complex:
        raise located(RuntimeError("istft: return_complex=True needs all frequencies, onesided=False"))
    hop = _hop("istft", n_fft, hop_length)
    weights = _window("istft", input.real, n_fft, win_length, window)
    norm = "ortho" if normalized else None
    if onesided:
        frames = fft.irfft(spectrum, n_fft, dim=1, norm=norm)
    else:
        frames = fft.ifft(spectrum, dim=1, norm=norm)
        frames = frames if return_complex else frames.real
    count = spectrum.shape[2]
    total = n_fft + hop * (count - 1)
    signal = _added(frames * weights.unsqueeze(-1), total, n_fft, hop)
    squares = (weights * weights).unsqueeze(-1).expand(n_fft, count).unsqueeze(0)
    envelope = _added(squares, total, n_fft, hop)
    start = n_fft // 2 if center else 0
    end = total - n_fft // 2 if center else total
    if length is not None:
        end = start + length
    signal, envelope = signal[:, start:end], envelope[:, start:end]
    least = np.abs(envelope.detach().cpu().numpy()).min(initial=np.inf)
    if least <= 1e-11:
        raise located(
            RuntimeError(
                f"istft: the squares of the windows add up to {least:.3g} somewhere, where nothing of the signal is left: take a smaller hop_length or another window"
            )
        )
    made = signal / envelope
    if length is not None and made.shape[1] < length:
        made = pad(made, (0, length - made.shape[1]))
    return made if rank == 3 else made[0]  # type: ignore[no-any-return]


def _added(frames: Any, total: int, n_fft: int, hop: int) -> Any:
    """Windows [batch, n_fft, windows] added up where they lie."""
    return fold(frames, (1, total), (1, n_fft), stride=(1, hop))[:, 0, 0]


def _hop(name: str, n_fft: int, hop_length: int | None) -> int:
    hop = n_fft // 4 if hop_length is None else hop_length
    if hop < 1:
        raise located(ValueError(f"{name}: hop_length has to be 1 or more, got {hop}"))
    return hop


def _window(name: str, input: Any, n_fft: int, win_length: int | None, window: Any) -> Any:
    """The weights of `n_fft` samples: the window with zeros on both sides, or ones."""
    if not isinstance(n_fft, int) or n_fft < 1:
        raise located(ValueError(f"{name}: n_fft has to be 1 or more, got {n_fft!r}"))
    size = n_fft if win_length is None else win_length
    if not 0 < size <= n_fft:
        raise located(ValueError(f"{name}: win_length has to be from 1 to n_fft={n_fft}, got {size}"))
    if window is None:
        window = beside(input, np.ones(size, input.real.dtype))
    elif tuple(window.shape) != (size,):
        raise located(
            ValueError(f"{name}: window has to be of shape [{size}], got {shape_text(window.shape)}")
        )
    left = (n_fft - size) // 2
    return pad(window, (left, n_fft - size - left)) if size < n_fft else window
