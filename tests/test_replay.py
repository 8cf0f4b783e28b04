"""Values of a recorded run: kept ones, and recomputed ones that are the program's to the last bit, or a reason why not."""

import subprocess
import sys

import numpy as np
import pytest

import dsviz as ds
from dsviz import events
from dsviz.playback import NotKeptError, Playback
from dsviz.recording.replay import _Run

TRAIN = """\
import sys
import numpy as np
import dsviz as ds
from dsviz import nn
import dsviz.nn.functional as F

ds.configure(cpu_fast=sys.argv[2] == "fast")
ds.manual_seed(3)
truth = {}


class Net(ds.Module):
    def __init__(self):
        self.conv = nn.Conv2d(3, 8, 3, padding=1)
        self.norm = nn.BatchNorm2d(8)
        self.embed = nn.Embedding(20, 16)
        self.attend = nn.MultiheadAttention(16, 4, dropout=0.1, batch_first=True)
        self.lstm = nn.LSTM(16, 12, batch_first=True)
        self.wide = nn.Linear(8 * 16 * 16 + 12, 64)
        self.drop = nn.Dropout(0.3)
        self.out = nn.Linear(65, 5)

    def forward(self, image, words):
        h = F.max_pool2d(F.relu(self.norm(self.conv(image))), 2)
        truth["h"] = h
        e = self.embed(words)
        attended, _ = self.attend(e, e, e)
        states, _ = self.lstm(e + attended)
        x = ds.cat([h.flatten(1), states[:, -1]], dim=1)
        a, b = self.wide(x).chunk(2, dim=1)
        parts = [a.sigmoid() * b, b[..., ::2], a[:, [0, 3, 5]], a[:, 1:15]]
        return self.out(self.drop(ds.cat(parts, 1)))


net = Net()
opt = ds.optim.Adam(net.parameters(), lr=1e-2)
rng = np.random.default_rng(0)
for step in range(2):
    image = ds.tensor(rng.standard_normal((9, 3, 32, 32)).astype("f"))
    words, y = ds.tensor(rng.integers(0, 20, (9, 7))), ds.tensor(rng.integers(0, 5, 9))
    loss = F.cross_entropy(net(image, words), y)
    np.save(f"{sys.argv[1]}/h{step}.npy", truth["h"].detach().numpy())
    print(truth["h"].node.id)
    opt.zero_grad()
    loss.backward()
    opt.step()
"""


@pytest.fixture(scope="module", params=["fast", "numpy"])
def trained(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("replay")
    (folder / "train.py").write_text(TRAIN)
    command = [sys.executable, "-m", "dsviz", "record", "--trace-level", "2", "-o", str(folder / "run.dsviz")]
    ran = subprocess.run(
        [*command, str(folder / "train.py"), str(folder), request.param],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    with Playback(folder / "run.dsviz") as run:
        yield run, folder, [int(line) for line in ran.stdout.split()]


def test_large_values_are_recomputed_to_the_bit(trained):
    run, folder, numbers = trained
    for step, node in enumerate(numbers):
        real = np.load(folder / f"h{step}.npy")
        assert real.nbytes > 64 << 10
        known = run.known(node)
        assert known.how == "recomputed"
        assert known.ops >= 3
        assert known.array.tobytes() == real.tobytes()
        assert run.inspect(node)["how"] == "recomputed"


def test_every_op_run_again_gives_what_the_program_had(trained):
    # Dropout and attention draw what they drew, weights are those of their own iteration, averages are not
    # disturbed, index arrays and slices are the ones that were used.
    run, _, _ = trained
    replay, same, ops = run._replay, 0, set()
    for event in run.reader.events():
        if not isinstance(event, events.Op) or event.phase:
            continue
        for index in range(len(event.outputs)) if len(event.outputs) > 1 else (-1,):
            again = _Run(replay, run.reader.count).compute(event.node, index)
            kept = replay._kept(event.node, run.reader.count, index)
            assert kept is None or again.tobytes() == kept.tobytes(), replay.text(event.op)
            same += kept is not None
            ops.add(replay.text(event.op))
    assert same > 60
    assert {"dropout", "batch_norm", "conv2d", "getitem", "cat"} <= ops


def test_a_parameter_has_the_numbers_of_its_iteration(tmp_path):
    net = ds.Linear(300, 70)  # its result is too large to be kept itself
    opt = ds.optim.SGD(net.parameters(), lr=0.1)
    x, made = ds.randn(300, 300), []
    with ds.record(tmp_path / "run.dsviz", level=2):
        for _ in range(3):
            y = net(x)
            made.append(
                (y.node.id, y.detach().numpy().copy(), net.weight.node.id, net.weight.detach().numpy().copy())
            )
            opt.zero_grad()
            (y * y).mean().backward()
            opt.step()
    with ds.open(tmp_path / "run.dsviz") as run:
        for node, real, weight, numbers in made:
            assert run.known(node).how == "recomputed"
            assert run.value(node).tobytes() == real.tobytes()
            run.at(node)
            run.next()
            assert run.value(weight).tobytes() == numbers.tobytes()
            run.end()
        assert run.value(made[0][2]).tobytes() == made[2][3].tobytes(), "at the end it is the last one used"


def recorded(path, block, **options):
    with ds.record(path, level=2, **options):
        value = block()
    return value.node.id, value.detach().numpy().copy()


def big(value=1.0):
    return ds.full((200, 200), value)


def test_what_was_changed_in_place_is_refused(tmp_path):
    def block():
        x = big()
        view = x[1:]
        x.mul_(3)  # the record of `view` says what it was made from, and that is no longer so
        return view + 1

    node, _ = recorded(tmp_path / "run.dsviz", block)
    with ds.open(tmp_path / "run.dsviz") as run, pytest.raises(NotKeptError, match="was changed in place"):
        run.value(node)


def test_an_array_changed_behind_the_engine_is_refused_or_right(tmp_path):
    raw = np.ones((200, 200), "f")
    x = ds.from_numpy(raw) if hasattr(ds, "from_numpy") else ds.tensor(raw)

    def block():
        _ = x * 2
        x.array[:] = 5
        return x * 3

    node, _ = recorded(tmp_path / "run.dsviz", block)
    with ds.open(tmp_path / "run.dsviz") as run, pytest.raises(NotKeptError, match="other numbers"):
        run.value(node)


def test_an_op_of_the_programs_own_is_refused(tmp_path):
    @ds.custom_op
    def twice_for_replay(input):
        return input * 2

    node, _ = recorded(tmp_path / "run.dsviz", lambda: twice_for_replay(big()))
    code = f"import dsviz as ds\nds.open({str(tmp_path / 'run.dsviz')!r}).value({node})"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert "an op of the program's own" in ran.stderr


def test_a_value_given_up_for_the_budget_is_named(tmp_path):
    x = big(2.0)

    def block():
        y = x + 1
        for n in range(40):
            _ = big(float(n)) * 2 + ds.tensor(np.full((200, 200), n, "f"))
        return y

    node, _ = recorded(tmp_path / "run.dsviz", block, value_budget=800_000)
    with (
        ds.open(tmp_path / "run.dsviz") as run,
        pytest.raises(NotKeptError, match="given up to keep the byte budget"),
    ):
        run.value(node)


def test_at_level_1_the_reason_is_the_level(tmp_path):
    with ds.record(tmp_path / "run.dsviz"):
        y = big() + ds.tensor([1.0] * 200)
    with ds.open(tmp_path / "run.dsviz") as run:
        with pytest.raises(NotKeptError, match="Trace at level 2"):
            run.value(y.node.id)
        with pytest.raises(NotKeptError, match="has not run at this point"):
            run.value(10_000)


def test_gradients_are_kept_small_and_refused_large(tmp_path):
    small, large = ds.randn(4, requires_grad=True), ds.randn(300, 300, requires_grad=True)
    with ds.record(tmp_path / "run.dsviz", level=2):
        (small * small).sum().backward()
        (large * large).sum().backward()
    with ds.open(tmp_path / "run.dsviz") as run:
        backward = [e for e in run.reader.events() if isinstance(e, events.Op) and e.phase == 1]
        assert any(run.known(e.node).how == "kept" for e in backward if 4 in e.shape)
        refused = [e.node for e in backward if e.shape == (300, 300)]
        with pytest.raises(NotKeptError, match="is a gradient, which is not run again"):
            run.value(refused[-1])


def test_a_hostile_recording_cannot_ask_for_all_memory(tmp_path):
    from dsviz.recording import Meta, Recording

    for nbytes, shape in ((1 << 50, (3,)), (12, (1 << 20, 1 << 20))):
        path = tmp_path / f"{nbytes}.dsviz"
        writer = Recording.create(path, Meta())
        attrs = {"shape": list(shape), "dtype": "float32", "seed": 1, "counter": 0}
        writer.extend([
            events.Text(1, "rand"), events.Text(2, "float32"),
            events.Op(1, 1, 0, (), (3,), 2, 0, 0, 0, 0, 0, 1, nbytes, 0, attrs),
        ])  # fmt: skip
        writer.close()
        with ds.open(path) as run, pytest.raises(NotKeptError, match="too large to be made again"):
            run.value(1)


def test_a_chain_longer_than_python_recursion_is_recomputed(tmp_path):
    def block():
        x = big(1.0)
        for _ in range(1500):
            x = x * 1.001
        return x

    node, real = recorded(tmp_path / "run.dsviz", block)
    with ds.open(tmp_path / "run.dsviz") as run:
        known = run.known(node)
        assert (known.how, known.array.tobytes()) == ("recomputed", real.tobytes())
        assert known.ops >= 1500
