"""What a row tells about a child."""

import time

from tq.pools.prefork.marks import Marks


def test_a_fresh_row_tells_of_no_job() -> None:
    row = Marks().row(3)
    assert (row.last_started, row.last_done, row.running()) == (0, 0, 0)
    assert row.running_for() == 0.0


def test_a_job_runs_from_its_start_to_its_end() -> None:
    row = Marks().row(0)
    row.floats[row.started_at] = time.time() - 5.0
    row.integers[row.started] = 9
    assert row.running() == 9
    assert row.running_for() >= 5.0
    row.integers[row.done] = 9
    assert row.running() == 0
    assert row.running_for() == 0.0
    assert row.last_started == 9


def test_rows_do_not_overlap() -> None:
    marks = Marks()
    rows = [marks.row(index) for index in range(4)]
    for row in rows:
        for place in (row.started, row.started_at, row.done, row.soft):
            assert row.integers[place] == 0
            row.integers[place] = row.index + 1
    rows[1].clear()
    assert [row.last_done for row in rows] == [1, 0, 3, 4]


def test_a_start_in_the_future_counts_as_now() -> None:
    row = Marks().row(0)
    row.floats[row.started_at] = time.time() + 100.0
    row.integers[row.started] = 1
    assert row.running_for() == 0.0
