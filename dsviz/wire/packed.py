"""What is told with every op, as numbers in fixed places: packed straight into a ring, with no event made of it first.

A packed record begins with the byte 0xC1, which no msgpack does; it is little-endian. Its second byte says what it is:

    0..250   a node of a kind ran, with so many inputs: u8 released, u8 made | saved << 4, u32 node, kind, call, twin,
             iteration, duration, u64 start; then, each a u32, the inputs, the buffers released before it, those
             saved from now on, and for each buffer it made its number << 4 | reused << 3 | category, and its bytes
    251      the same for a node with at most 3 inputs and little else: u8 inputs, u8 0, the same numbers up to start, 3
             inputs, 2 released buffers, a saved one, and one it made, which has the kind's bytes; 0 where there is none
    253      a loop begins a turn, or was left: 2 bytes of nothing, u32 site, frame, i32 index, u64 time
    254      a module's call begins: 2 bytes of nothing, u32 call, parent, kind, u64 time
    255      a module's call ended: u8 failed, 1 byte of nothing, u32 call, u64 time

What does not fit is told as the event that it stands for.
"""

from __future__ import annotations

import struct

MARK = 0xC1
MOST_INPUTS = 250
SMALL, TURN, ENTERED, LEFT = 251, 253, 254, 255
MOST_WORDS = 255  # inputs and what befell buffers, of one record

# As they are read, and as they are written: there with the record's length before them.
RAN = [struct.Struct(f"<4B6IQ{count}I") for count in range(MOST_WORDS + 1)]
SMALL_RAN, TURNED = struct.Struct("<2xBx6IQ7I"), struct.Struct("<4xIIiQ")
BEGUN, ENDED = struct.Struct("<4x3IQ"), struct.Struct("<2xBxIQ")
pack_ran = [struct.Struct(f"<8IQ{count}I").pack_into for count in range(MOST_WORDS + 1)]
pack_small = struct.Struct("<8IQ7I").pack_into
pack_turn = struct.Struct("<4IiQ").pack_into
pack_entered = struct.Struct("<5IQ").pack_into
pack_left = struct.Struct("<3IQ").pack_into
FIXED, SMALL_SIZE, TURN_SIZE, ENTERED_SIZE, LEFT_SIZE = (
    36,
    SMALL_RAN.size,
    TURNED.size,
    BEGUN.size,
    ENDED.size,
)
