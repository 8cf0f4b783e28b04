from __future__ import annotations

import ast
import itertools
import sys
import threading
import traceback
import types
from collections.abc import Iterator

import pytest

from dsviz.debuggee import probes


@pytest.fixture
def told() -> Iterator[list]:
    heard: list = []
    probes.install()
    probes.listen(
        lambda site, taken: heard.append((site, taken)), lambda site, turn: heard.append((site, turn))
    )
    yield heard
    probes.listen(probes.ignore, probes.ignore)


def run(source: str, probed: bool = True, **names: object) -> dict:
    tree = ast.parse(source, "made_up.py")
    if probed:
        tree, _ = probes.instrument(tree, "made_up.py", 1)
    space: dict = {"__name__": "made_up", **names}
    exec(compile(tree, "made_up.py", "exec"), space)
    return space


def test_if_and_elif(told: list) -> None:
    space = run(
        """\
def f(x):
    if x > 1:
        return 1
    elif x:
        return 2
    else:
        return 3
"""
    )
    assert [space["f"](x) for x in (5, 1, 0)] == [1, 2, 3]
    assert told == [(1, True), (1, False), (2, True), (1, False), (2, False)]


def test_for_tells_each_turn_and_the_end(told: list) -> None:
    run("for x in 'ab':\n    pass\nelse:\n    done = 1\n")
    assert told == [(1, 0), (1, 1), (1, -1)]


def test_break_return_and_exception_leave_the_loop(told: list) -> None:
    source = """\
def f(how):
    for x in [1, 2]:
        if how == 'break':
            break
        if how == 'return':
            return
        1 / 0
"""
    f = run(source)["f"]
    f("break")
    f("return")
    with pytest.raises(ZeroDivisionError):
        f("raise")
    assert [t for t in told if t[0] == 1] == [(1, 0), (1, -1)] * 3


def test_while_with_else_and_break(told: list) -> None:
    source = """\
def f(n):
    while (n := n - 1) > 0:
        if n == 7:
            break
    else:
        return 'else'
    return 'broken'
"""
    f = run(source)["f"]
    assert f(3) == "else"
    assert f(9) == "broken"
    assert [t for t in told if t[0] == 1] == [(1, 0), (1, 1), (1, -1), (1, 0), (1, 1), (1, -1)]


def test_break_in_the_else_of_an_inner_loop_leaves_the_outer_one(told: list) -> None:
    run("while True:\n    for x in []:\n        break\n    else:\n        break\n")
    assert told == [(1, 0), (1, -1)]


def test_comprehensions_clause_by_clause(told: list) -> None:
    space = run("r = [x * y for x in (1, 2) for y in (3, 4) if y > 3]\n")
    assert space["r"] == [4, 8]
    assert told == [(1, 0), (2, 0), (2, 1), (2, -1), (1, 1), (2, 0), (2, 1), (2, -1), (1, -1)]


def test_a_generator_is_closed_at_the_same_moment(told: list) -> None:
    source = """
log = []
def gen():
    try:
        yield 1
        yield 2
    finally:
        log.append('closed')
for x in gen():
    log.append(x)
    break
log.append('after')
"""
    assert run(source)["log"] == run(source, probed=False)["log"] == [1, "closed", "after"]


def test_recursion_nests(told: list) -> None:
    run("def f(n):\n    for i in range(2):\n        if n:\n            f(n - 1)\nf(1)\n")
    turns = [t for t in told if t[0] == 1]
    assert turns == [(1, 0), (1, 0), (1, 1), (1, -1), (1, 1), (1, 0), (1, 1), (1, -1), (1, -1)]


def test_threads_do_not_mix(told: list) -> None:
    space = run(
        """\
def f(n):
    total = 0
    for i in range(n):
        while i:
            i -= 1
            total += 1
    return total
"""
    )
    results: list = []
    threads = [threading.Thread(target=lambda: results.append(space["f"](50))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [50 * 49 // 2] * 4


def test_a_truth_value_is_asked_once_for_each_part(told: list) -> None:
    class Loud:
        def __init__(self, value: bool) -> None:
            self.value, self.asked = value, 0

        def __bool__(self) -> bool:
            self.asked += 1
            return self.value

    a, b = Loud(False), Loud(True)
    run("if a and b:\n    pass\nif not a or b:\n    pass\nwhile a and b:\n    pass\n", a=a, b=b)
    assert (a.asked, b.asked) == (3, 0)


SAMPLES = [
    "for x in 5:\n    pass\n",
    "def g():\n    yield 1\n    1 / 0\nfor x in g():\n    pass\n",
    "for a, b in [(1, 2, 3)]:\n    pass\n",
    "class B:\n    def __bool__(self):\n        return 3\nif B():\n    pass\n",
    "class B:\n    def __bool__(self):\n        raise ValueError('no')\nx = 1\nwhile x and B():\n    pass\n",
    "r = [1 / x for x in (1, 0)]\n",
    "r = {x for x in None}\n",
    "if undefined_name > 3:\n    pass\n",
    "for x in iter([1]):\n    raise StopIteration(x)\n",
    "def g():\n    for x in [1]:\n        yield x\n        raise StopIteration\nlist(g())\n",
    "class I:\n    def __iter__(self):\n        return 3\nfor x in I():\n    pass\n",
    "while (lambda: 1 / 0)():\n    pass\n",
]


@pytest.mark.parametrize("source", SAMPLES)
def test_tracebacks_are_unchanged(source: str, told: list, monkeypatch: pytest.MonkeyPatch) -> None:
    import linecache

    text_lines = source.splitlines(keepends=True)
    monkeypatch.setitem(linecache.cache, "made_up.py", (len(source), None, text_lines, "made_up.py"))

    def text(probed: bool) -> str:
        try:
            run(source, probed)
        except Exception as error:  # noqa: BLE001
            trace = traceback.TracebackException.from_exception(error)
            mine = [f for f in trace.stack if f.filename == "made_up.py"]
            trace.stack = traceback.StackSummary.from_list(mine)
            frames = [f.filename for f in traceback.extract_tb(error.__traceback__)]
            assert probes.__file__ not in frames
            # Carets may be more exact than Python's own: it blames a loop's whole header.
            lines = "".join(trace.format()).splitlines()
            return "\n".join(line for line in lines if line.strip(" ^~"))
        raise AssertionError("nothing was raised")

    assert text(True) == text(False)


PROGRAMS = [
    "'''doc'''\nfrom __future__ import annotations\nif 1:\n    pass\nx: int = 3\nr = __doc__\n",
    """\
r = []
async def a():
    for i in range(3):
        yield i
async def b():
    async for i in a():
        r.append(i)
    r.extend([i async for i in a()])
import asyncio
asyncio.run(b())
""",
    """\
def g(n):
    while True:
        got = yield n
        if got is None:
            return 'end'
        n += got
i = g(1)
r = [next(i), i.send(4)]
try:
    next(i)
except StopIteration as e:
    r.append(e.value)
""",
    """\
def f(x):
    match x:
        case [a, b] if a > b:
            return 'gt'
        case _:
            for i in range(3):
                if i == 2:
                    return i
r = [f([2, 1]), f([1, 2])]
""",
    """\
class A:
    n = 3
    while n:
        n -= 1
    for k in range(2):
        locals()[f'k{k}'] = k
r = sorted(k for k in vars(A) if not k.startswith('_'))
""",
    "def f():\n    n = 2\n    while n:\n        n -= 1\n    return sorted(locals())\nr = f()\n",
    "r = [y for x in range(4) if (y := x * 2) > 2]\n",
    """\
r = {a: [b for b in range(a)] for a in range(3)}
s = tuple(sum(x for x in range(n)) for n in range(4))
""",
    """\
def outer():
    total = 0
    def inner(n):
        nonlocal total
        while n:
            n -= 1
            total += n
    for i in range(4):
        inner(i)
    return total
r = outer()
""",
    """\
r = []
for i in range(3):
    try:
        if i == 1:
            continue
        r.append(i)
    finally:
        r.append('f')
else:
    r.append('else')
""",
    "r = []\nxs = [1, 2, 3]\nfor x in xs:\n    r.append(x)\n    if x == 1:\n        xs.remove(2)\n",
    """\
n = 5
r = 0
while n:
    n -= 1
    if n == 3:
        continue
    try:
        if n == 1:
            break
    finally:
        r += n
""",
]  # fmt: skip


@pytest.mark.parametrize("source", PROGRAMS)
def test_results_are_the_same(source: str, told: list) -> None:
    plain, probed = run(source, probed=False), run(source)
    assert plain["r"] == probed["r"]
    names = {k for k in probed if "@" not in k}
    assert names == set(plain)


def test_functions_of_unknown_decorators_are_left_alone(told: list) -> None:
    source = """\
@numba.njit
def f(x):
    for i in x:
        if i:
            pass
@property
def g(x):
    if x:
        pass
"""
    _, sites = probes.instrument(ast.parse(source), "a.py", 1)
    assert [(s.label, s.line, s.scope) for s in sites] == [("if x", 8, "g")]


def test_sites_say_where_and_what() -> None:
    source = """\
def f(x):
    if x:
        a
    elif y:
        b
    else:
        c
        d
    return [i for i in x]
"""
    tree = ast.parse(source)
    before = ast.dump(tree)
    _, sites = probes.instrument(tree, "a.py", 10)
    assert ast.dump(tree) == before
    assert [(s.id, s.construct, s.line, s.body, s.orelse, s.label, s.scope) for s in sites] == [
        (10, "if", 2, (3, 3), (4, 8), "if x", "f"),
        (11, "if", 4, (5, 5), (7, 8), "elif y", "f"),
        (12, "comprehension", 9, (9, 9), (0, 0), "for i in x", "f"),
    ]


def test_a_loop_in_which_nothing_runs_is_never_told() -> None:
    heard: list = []
    pending = probes.Pending(lambda site, turn: heard.append((site, turn)))
    for t in range(3):
        pending.turn(1, t)
        for u in range(100):
            pending.turn(2, u)
        pending.turn(2, -1)
        if t == 1:
            assert pending.moved
            pending.flush()
            assert not pending.moved
    pending.turn(1, -1)
    assert heard == [(1, 0), (1, 1), (1, -1)]


LOOPS = """\
def items(n):
    for i in range(n):
        yield i

def f(n):
    for a in items(n):
        while a:
            a -= 1
            if a == 2:
                break
        for b in items(3):
            if b == 1:
                break
    return [[x for x in range(i)] for i in range(n)]

f(4), f(2)
"""


@pytest.mark.parametrize("every", [1, 3])
def test_turns_that_are_only_counted_are_told_as_those_that_are_called_for(every: int) -> None:
    def heard(counted: bool) -> list:
        found: list = []
        pending = probes.Pending(lambda site, index: found.append((site, index)))
        decided = itertools.count()

        def flush(site: int, taken: bool) -> None:
            if next(decided) % every == 0:
                pending.flush()

        probes.install()
        probes.listen(flush, pending.turn, *((pending.open, pending.left) if counted else ()))
        try:
            run(LOOPS)
        finally:
            probes.listen(probes.ignore, probes.ignore)
        return found

    assert heard(True) == heard(False) != []


def test_a_loop_that_another_thread_finds_left_is_told_by_its_own() -> None:
    found: list = []
    pending = probes.Pending(lambda site, index: found.append((site, index)))
    outer, inner = pending.open(1), pending.open(2)
    pending.flush()
    pending.left_elsewhere(inner)
    assert found == [(1, 0), (2, 0)]
    outer.turn += 1
    pending.flush()
    assert found == [(1, 0), (2, 0), (2, -1), (1, 1)]


def test_large_files_of_the_standard_library_still_compile() -> None:
    import argparse
    import typing

    for module in (argparse, typing, traceback):
        assert isinstance(module, types.ModuleType)
        with open(str(module.__file__), encoding="utf-8") as file:
            tree, sites = probes.instrument(ast.parse(file.read()), str(module.__file__), 1)
        compile(tree, str(module.__file__), "exec")
        assert len(sites) > 20
    assert sys.version_info
