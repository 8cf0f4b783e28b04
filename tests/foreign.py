"""A framework of its own: numbers that remember what made them. It speaks dsviz/protocol.md with the standard library only.

Run by tests/test_protocol.py under a session. It imports neither dsviz nor the engine nor msgpack.
"""

import hashlib
import hmac
import json
import mmap
import os
import socket
import struct
import sys
import time


def pack(value):
    """msgpack, as much of it as is needed."""
    if value is None or isinstance(value, bool):
        return {None: b"\xc0", False: b"\xc2", True: b"\xc3"}[value]
    if isinstance(value, int):
        return b"\xd3" + struct.pack(">q", value)
    if isinstance(value, float):
        return b"\xcb" + struct.pack(">d", value)
    if isinstance(value, str):
        data = value.encode()
        return b"\xdb" + struct.pack(">I", len(data)) + data
    if isinstance(value, bytes):
        return b"\xc6" + struct.pack(">I", len(value)) + value
    if isinstance(value, dict):
        items = b"".join(pack(key) + pack(item) for key, item in value.items())
        return b"\xdf" + struct.pack(">I", len(value)) + items
    return b"\xdd" + struct.pack(">I", len(value)) + b"".join(map(pack, value))


def unpack(data, at=0):
    """The value at `at` and where the next one begins."""
    tag = data[at]
    if tag < 0x80:
        return tag, at + 1
    if tag >= 0xE0:
        return tag - 256, at + 1
    if 0xA0 <= tag < 0xC0:
        return data[at + 1 : at + 1 + tag - 0xA0].decode(), at + 1 + tag - 0xA0
    if tag in (0xC0, 0xC2, 0xC3):
        return {0xC0: None, 0xC2: False, 0xC3: True}[tag], at + 1
    if 0xCA <= tag <= 0xD3:
        form = {0xCA: ">f", 0xCB: ">d", 0xCC: ">B", 0xCD: ">H", 0xCE: ">I", 0xCF: ">Q",
                0xD0: ">b", 0xD1: ">h", 0xD2: ">i", 0xD3: ">q"}[tag]  # fmt: skip
        return struct.unpack_from(form, data, at + 1)[0], at + 1 + struct.calcsize(form)
    if tag in (0xC4, 0xC5, 0xC6, 0xD9, 0xDA, 0xDB):
        form = {0xC4: ">B", 0xC5: ">H", 0xC6: ">I", 0xD9: ">B", 0xDA: ">H", 0xDB: ">I"}[tag]
        size = struct.unpack_from(form, data, at + 1)[0]
        begin = at + 1 + struct.calcsize(form)
        raw = data[begin : begin + size]
        return (raw if tag < 0xD9 else raw.decode()), begin + size
    many = {0xDC: ">H", 0xDD: ">I", 0xDE: ">H", 0xDF: ">I"}.get(tag)
    count = struct.unpack_from(many, data, at + 1)[0] if many else tag & 0x0F
    at += 1 + (struct.calcsize(many) if many else 0)
    is_map = tag in (0xDE, 0xDF) or 0x80 <= tag < 0x90
    found = []
    for _ in range(count * (2 if is_map else 1)):
        value, at = unpack(data, at)
        found.append(value)
    return (dict(zip(found[::2], found[1::2], strict=True)) if is_map else found), at


class Debugger:
    """The program's end: section 1 to 3 and 5 of the protocol."""

    def __init__(self):
        where = os.environ.pop("DSVIZ_SESSION")
        if where.startswith("fd:"):
            with open(int(where[3:]), "rb") as pipe:
                where = pipe.readline().decode()
        self.setup = json.loads(where)
        address = self.setup["address"]
        if os.path.isabs(address):
            self.socket = socket.socket(socket.AF_UNIX)
            self.socket.connect(address)
        else:
            host, port = address.rsplit(":", 1)
            self.socket = socket.create_connection((host, int(port)))
        mine, secret = os.urandom(32), bytes.fromhex(self.setup["secret"])
        self.send({"t": "hello", "version": 1, "nonce": mine})
        theirs = self.receive()["nonce"]

        def sign(who, other, own):
            return hmac.new(secret, who + other + own, hashlib.sha256).digest()

        self.send({"t": "proof", "mac": sign(b"program", theirs, mine)})
        assert hmac.compare_digest(self.receive()["mac"], sign(b"server", mine, theirs)), "an impostor"
        self.ring()
        self.stops, self.verb = 0, "next" if self.setup["pause_at_entry"] else "continue"
        version = int(os.environ.get("FOREIGN_VERSION", "1"))
        self.send({"t": "hello", "version": version, "pid": os.getpid(), "python": "toy 1.0",
                   "script": sys.argv[0], "args": sys.argv[1:]})  # fmt: skip

    def send(self, message):
        data = pack(message)
        self.socket.sendall(struct.pack("<I", len(data)) + data)

    def receive(self):
        size = struct.unpack("<I", self.exactly(4))[0]
        return unpack(self.exactly(size))[0]

    def exactly(self, size):
        data = b""
        while len(data) < size:
            more = self.socket.recv(size - len(data))
            if not more:
                sys.exit("the debugger is gone")
            data += more
        return data

    def ring(self):
        self.capacity, self.head = self.setup["capacity"], 0
        self.path = os.path.join(self.setup["folder"], f"ring-{os.getpid()}-0")
        with open(os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600), "r+b") as file:
            file.write(b"\0" * (4096 + self.capacity))
            file.flush()
            self.map = mmap.mmap(file.fileno(), 4096 + self.capacity)
        self.version = int(os.environ.get("FOREIGN_RING", "1"))
        struct.pack_into("<8sIIQQ", self.map, 0, b"DSVRING1", self.version, os.getpid(), 0, self.capacity)
        self.send({"t": "ring", "path": self.path})

    def event(self, *fields):
        self.record(pack(fields))

    def events(self, *several):
        """Together in one record, where the ring is of a version that has such."""
        for data in [pack(several)] if self.version > 1 else map(pack, several):
            self.record(data)

    def record(self, data):
        record = struct.pack("<I", len(data)) + data + b"\0" * (-len(data) % 4)
        while self.head + len(record) - struct.unpack_from("<Q", self.map, 128)[0] > self.capacity:
            time.sleep(0.001)
        place = self.head % self.capacity
        first = min(len(record), self.capacity - place)
        self.map[4096 + place : 4096 + place + first] = record[:first]
        self.map[4096 : 4096 + len(record) - first] = record[first:]
        self.head += len(record)
        struct.pack_into("<Q", self.map, 64, self.head)

    def before(self, pending, op, line):
        """A node is about to run: stand still where that is wanted."""
        struct.pack_into("<QQ", self.map, 192, pending["node"], pending["op"] << 32 | pending["frame"])
        if self.verb == "continue":
            return
        self.stops += 1
        self.send({"t": "stop", "number": self.stops, "reason": "step" if self.stops > 1 else "entry",
                   "text": f"Paused before {op}", "position": "node", "node": pending["node"], "op": op, "phase": 0,
                   "path": os.path.abspath(sys.argv[0]), "line": line, "pending": pending,
                   "heads": {self.path: self.head}})  # fmt: skip
        while True:
            message = self.receive()
            if message["t"] == "go" and message["number"] == self.stops:
                self.verb = message["verb"]
                return
            if message["t"] == "terminate":
                sys.exit(0)
            if message["t"] == "request":
                self.send({"t": "reply", "id": message["id"], "ok": False, "error": "A toy cannot do that."})


TEXTS, FRAMES = {}, {}


class Toy:
    """The framework: a number, and the number of its node."""

    debugger = None
    nodes = 0

    def __init__(self, value, node=0):
        self.value, self.node = value, node
        if not node:
            Toy.nodes += 1
            self.node = Toy.nodes
            Toy.debugger.event(8, self.node, "input", "x", [], text("float64"), 8, 0)

    def __add__(self, other):
        return run("plus", lambda a, b: a + b, self, other)

    def __mul__(self, other):
        return run("times", lambda a, b: a * b, self, other)


def text(what):
    if what not in TEXTS:
        TEXTS[what] = len(TEXTS) + 1
        Toy.debugger.event(1, TEXTS[what], what)
    return TEXTS[what]


def run(op, function, *inputs):
    caller = sys._getframe(2)
    key = (caller.f_lineno, caller.f_lasti)
    if key not in FRAMES:
        FRAMES[key] = len(FRAMES) + 1
        file, function_name = text(os.path.abspath(sys.argv[0])), text(caller.f_code.co_name)
        Toy.debugger.event(2, FRAMES[key], 0, file, caller.f_lineno, function_name, caller.f_lasti)
    Toy.nodes += 1
    node, numbers = Toy.nodes, [toy.node for toy in inputs]
    pending = {"node": node, "op": text(op), "phase": 0, "inputs": numbers, "shapes": [[], []], "call": 0,
               "frame": FRAMES[key], "twin": 0, "iteration": 0, "attrs": {}}  # fmt: skip
    Toy.debugger.before(pending, op, caller.f_lineno)
    begin = time.perf_counter_ns()
    value = function(*(toy.value for toy in inputs))
    took = time.perf_counter_ns() - begin
    Toy.debugger.events(
        (9, node, text(op), 0, numbers, [], text("float64"), 0, FRAMES[key], 0, 0, begin, took, 8, 0, {}),
        (23, node, "output", "<f8", [], [], struct.pack("<d", value)),
    )
    return Toy(value, node)


if __name__ == "__main__":
    Toy.debugger = Debugger()
    x, y = Toy(3.0), Toy(4.0)
    total = x * y
    for _ in range(3):
        total = total + x
    print(total.value)
