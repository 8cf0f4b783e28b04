"""What the debugger says of complex numbers: their magnitudes in statistics and pictures, a+bj in words, recordings to the bit."""

from __future__ import annotations

import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from dsviz.debuggee.inspection import plain
from dsviz.debuggee.scope import describe
from dsviz.debuggee.summary import moved, sampled, summarize
from dsviz.debuggee.view import look
from dsviz.playback import Playback
from engine.anomaly import anomaly
from engine.tensor import tensor

NAN, INF = math.nan, math.inf

# Values of more than 64 KB are made again from what they were made of.
PROGRAM = """\
import sys
import numpy as np
import dsviz as ds

ds.manual_seed(0)
weight = ds.nn.Parameter(ds.randn(140, 140, dtype=ds.cfloat))
opt = ds.optim.Adam([weight], lr=0.1)
image = ds.randn(140, 140)
bad = ds.tensor([1j, float("nan")])
for turn in range(2):
    waves = ds.fft.fft2(image, norm="ortho")
    mixed = ds.where(waves.abs() > 1e9, waves, waves * (2 - 1j) * weight)
    kept = mixed.masked_fill(ds.tensor(np.tri(140, dtype=bool)), 0.5 - 2j)
    parts = ds.view_as_real(kept)
    back = ds.fft.irfft2(kept[:, :71], s=(140, 140))
    single = kept[0, 1] + bad[0]
    loss = back.square().mean() + parts.mean()
    opt.zero_grad()
    loss.backward()
    opt.step()
    for name in ("waves", "mixed", "kept", "parts", "back"):
        value = globals()[name]
        np.save(f"{sys.argv[1]}/{value.node.id}.npy", value.detach().numpy())
poisoned = kept[0, :2] * bad
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("complex")
    (made / "waves.py").write_text(PROGRAM)
    command = [sys.executable, "-W", "error", "-m", "dsviz", "record", "--trace-level", "2", "-o", str(made / "run.dsviz")]  # fmt: skip
    ran = subprocess.run(
        [*command, str(made / "waves.py"), str(made)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    return made


def test_a_recording_makes_complex_values_again_to_the_bit(folder: Path) -> None:
    files = sorted(folder.glob("*.npy"))
    assert len(files) == 10
    with Playback(folder / "run.dsviz") as run:
        run.end()
        how = set()
        for file in files:
            known = run.known(int(file.stem))
            how.add(known.how)
            np.testing.assert_array_equal(known.array, np.load(file))
        assert how == {"recomputed"}
        small = [
            n for n in run.store.nodes if n < int(files[0].stem) and run.inspect(n)["dtype"] == "complex64"
        ]
        assert small
        assert all("texts" in run.look(n) for n in small)


def test_the_printed_graph_and_the_reasons_know_them(folder: Path) -> None:
    def dsviz(*words: str) -> str:
        command = [sys.executable, "-W", "error", "-m", "dsviz", *words]
        ran = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
        assert "Traceback" not in ran.stderr, ran.stderr
        return ran.stdout

    assert "140×140 complex64" in dsviz("print", str(folder / "run.dsviz"))
    told = dsviz("why", str(folder / "waves.py"), str(folder))
    assert "why is mul [2] not finite?" in told
    assert "holds NaN or Inf from the start" in told


def test_statistics_are_those_of_the_magnitudes() -> None:
    one = summarize(7, np.array([3 + 4j, 0, -1, 2j], np.complex64))
    assert one is not None
    assert (one.minimum, one.maximum, one.mean, one.zeros, one.count) == (0, 5, 2, 1, 4)
    odd = summarize(7, np.array([complex(NAN, 1), complex(INF, NAN), complex(1, INF), 3 + 4j]))
    assert odd is not None
    assert (odd.minimum, odd.maximum, odd.nans, odd.infs) == (5, 5, 2, 1)
    number = summarize(7, np.array(1 + 1j))
    assert number is not None
    assert number.mean == pytest.approx(math.sqrt(2))


def test_how_far_they_moved_counts_both_parts() -> None:
    before = np.array([1 + 0j, 2j])
    kept = sampled(before)
    assert moved(kept, before) == 0
    assert moved(kept, np.array([1 + 1j, 2j])) == pytest.approx(1 / math.sqrt(6))


def test_a_part_is_drawn_by_magnitude_and_written_as_people_write() -> None:
    seen = look(np.array([[3 + 4j, -0.0], [complex(NAN, 0), 1e-7 - 2j]]))
    assert (seen["dtype"], seen["range"]) == ("complex128", [0.0, 5.0])
    assert seen["rows"] == [[5.0, 0.0], ["nan", 2.0]]
    assert seen["texts"] == [["3+4j", "0+0j"], ["nan+0j", "1e-07-2j"]]
    assert sum(seen["histogram"]) == 3
    maps = look(np.full((3, 2, 2), 1j), "1:")
    assert (len(maps["maps"]), maps["texts"]) == (2, [["0+1j"] * 2] * 2)
    assert look(np.array(2j))["texts"] == [["0+2j"]]
    assert look(np.zeros((0, 2), np.complex64))["texts"] == []
    wide = look(np.full((200, 3), 1j))
    assert len(wide["texts"]) == len(wide["rows"]) == 50
    assert "texts" not in look(np.ones((2, 2)))


def test_names_and_numbers_in_words() -> None:
    assert describe(tensor(1.5 - 2j))["text"] == "1.5-2j"
    assert describe(np.complex64(1j))["text"] == "1j"
    assert plain(1 - 0.5j) == "1-0.5j"


def test_detect_anomaly_looks_at_complex_gradients() -> None:
    node = (tensor([1j], requires_grad=True) * 2).node
    with pytest.raises(RuntimeError, match="has NaN values"):
        anomaly.look(node, (np.array([complex(0, NAN)]), None))
