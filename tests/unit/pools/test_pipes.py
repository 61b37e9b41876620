"""Frames survive any cutting of the stream."""

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from tq.pools.base import Job, Outcome
from tq.pools.prefork.pipes import Batch, FrameReader, Report, frame, raw_frame


@given(st.lists(st.binary(max_size=300), max_size=20), st.lists(st.integers(1, 200), min_size=1))
def test_frames_come_out_whole_however_the_stream_is_cut(
    parts: list[bytes], sizes: list[int]
) -> None:
    stream = b"".join(raw_frame(part) for part in parts)
    reader = FrameReader()
    found: list[bytes] = []
    at = turn = 0
    while at < len(stream):
        size = sizes[turn % len(sizes)]
        found += [bytes(part) for part in reader.feed(stream[at : at + size])]
        at, turn = at + size, turn + 1
    assert found == parts


def test_a_batch_reads_back() -> None:
    batch = Batch(7, [Job("a", b"\x00\xff", 1.5, None), Job("b", b"")])
    (part,) = FrameReader().feed(bytes(frame(batch)))
    assert msgspec.msgpack.decode(part, type=Batch) == batch


def test_a_report_reads_back() -> None:
    report = Report([Outcome("a", b"x", True)], [1.5], 0.25, [3], [4, 5], True, "why")
    (part,) = FrameReader().feed(bytes(frame(report)))
    assert msgspec.msgpack.decode(part, type=Report) == report
