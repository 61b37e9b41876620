"""How far chords are, read by the side, while parts come back."""

from typing import Any

from tq.backends import connect
from tq.wire.result import ResultMeta


def test_progress_counts_parts_and_ends_with_the_chord(server: Any) -> None:
    backend = connect(server.url)
    backend.set_chord_sizes({"g1": 2, "g2": 3})
    backend.add_to_chord("g2", 2)
    assert backend.chord_progress(["g1", "g2", "never"]) == {
        "g1": (2, 0), "g2": (5, 0), "never": (None, 0),
    }  # fmt: skip
    first, second = (ResultMeta(task_id=name, status="SUCCESS", result=1) for name in "ab")
    assert backend.count_chord_part(backend.chord_part("g1", first, 0)) is None
    assert backend.chord_progress(["g1"]) == {"g1": (2, 1)}
    claim = backend.count_chord_part(backend.chord_part("g1", second, 1))
    assert claim is not None
    backend.finish_chord("g1", claim)
    assert backend.chord_progress(["g1"]) == {"g1": (None, 0)}
    assert backend.chord_progress([]) == {}
    backend.close()
