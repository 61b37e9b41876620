"""What a child has noted can be read after its death."""

from tq.pools.base import Outcome
from tq.pools.prefork.journal import Journal


def test_entries_read_back_in_order() -> None:
    journal = Journal()
    noted = [Outcome(f"j{index}", bytes([index])) for index in range(20)]
    assert all(journal.add(outcome) for outcome in noted)
    assert journal.read() == noted


def test_later_changes_to_an_outcome_are_not_seen() -> None:
    journal = Journal()
    outcome = Outcome("a", b"x")
    journal.add(outcome)
    outcome.settled = True
    assert journal.read() == [Outcome("a", b"x", False)]


def test_a_cleared_journal_is_empty_and_usable() -> None:
    journal = Journal()
    journal.add(Outcome("a", b"x"))
    journal.clear()
    assert journal.read() == []
    journal.add(Outcome("b", b"y"))
    assert journal.read() == [Outcome("b", b"y")]


def test_a_full_journal_says_so_and_keeps_what_it_has() -> None:
    journal = Journal()
    number = 0
    while journal.add(Outcome(f"j{number}", b"x" * 1000)):
        number += 1
    assert number > 50
    assert len(journal.read()) == number
    assert not journal.add(Outcome("huge", b"x" * 100_000))


def test_another_mapping_of_the_same_file_sees_the_entries() -> None:
    import os

    fd = Journal.open_shared()
    writer, reader = Journal(fd), Journal(fd)
    os.close(fd)
    writer.add(Outcome("a", b"x"))
    assert reader.read() == [Outcome("a", b"x")]
    reader.close()
    assert writer.read() == [Outcome("a", b"x")]
