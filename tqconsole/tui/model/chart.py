"""Charts drawn with block characters: bars over time, and sparklines."""

from collections.abc import Sequence
from itertools import groupby

from tqconsole.tui.model.format import Cell, Glyphs, rate

__all__ = ["bars", "regroup", "scale_top", "sparkline"]

_BLOCKS = " ▁▂▃▄▅▆▇█"
_ASCII_BLOCKS = "  ..::|##"
_AXIS = 6


def _blocks(symbols: Glyphs) -> str:
    return _BLOCKS if symbols.bar == "█" else _ASCII_BLOCKS


def sparkline(values: Sequence[float], symbols: Glyphs, top: float | None = None) -> str:
    """Return one character for each value; any value above zero is seen."""
    blocks = _blocks(symbols)
    highest = max(top or 0.0, max(values, default=0.0))
    if highest <= 0:
        return blocks[1] * len(values)
    return "".join(
        blocks[max(1, min(8, round(8 * value / highest)))] if value > 0 else blocks[1]
        for value in values
    )


def scale_top(highest: float) -> float:
    """Return a round number at or above the highest value."""
    step = 1.0
    while step * 10 < highest:
        step *= 10
    for factor in (1, 1.5, 2, 3, 4, 5, 6, 8, 10):
        if step * factor >= highest:
            return step * factor
    return step * 10


def regroup(series: Sequence[int], step: int, last: int) -> list[float]:
    """Return means of `step` neighbours, cut at multiples of it so that old bars stand still.

    Args:
        series: Counts per second, oldest first.
        step: Seconds in a bar.
        last: The second that the newest count belongs to.
    """
    if step == 1:
        return [float(value) for value in series]
    means: list[float] = []
    first = last - len(series) + 1
    at = (-first) % step  # the first whole bar begins here
    while at < len(series):
        part = series[at : at + step]
        means.append(sum(part) / len(part))
        at += step
    return means


def bars(
    good: Sequence[float], bad: Sequence[float], width: int, height: int, symbols: Glyphs
) -> list[list[Cell]]:
    """Draw two stacked series as bars with a scale at the left; the newest is at the right.

    Args:
        good: Values, oldest first; drawn above the bad ones.
        bad: Values of the same times.
        width: Cells of a line.
        height: Lines.
        symbols: Blocks are of eighths, or of three sizes in ASCII.
    """
    room = max(1, width - _AXIS)
    good, bad = good[-room:], bad[-room:]
    top = scale_top(max((g + b for g, b in zip(good, bad, strict=True)), default=1.0) or 1.0)
    units = 8 * height
    columns = [
        (_units(g + b, top, units), _units(b, top, units)) for g, b in zip(good, bad, strict=True)
    ]
    blank = " " * (room - len(columns))
    blocks = _blocks(symbols)
    lines: list[list[Cell]] = []
    for row in range(height - 1, -1, -1):
        label = rate(top) if row == height - 1 else "0" if row == 0 else ""
        line = [Cell(f"{label:>{_AXIS - 1}}", "muted"), Cell(symbols.pipe, "rule"), Cell(blank)]
        drawn = [_bar_cell(total - 8 * row, failed - 8 * row, blocks) for total, failed in columns]
        for style, cells in groupby(drawn, key=lambda cell: cell.style):
            line.append(Cell("".join(cell.text for cell in cells), style))
        lines.append(line)
    return lines


def _units(value: float, top: float, units: int) -> int:
    """Return the height of a bar in eighths; what is not nothing is seen."""
    return 0 if value <= 0 else max(1, round(units * value / top))


def _bar_cell(total: int, failed: int, blocks: str) -> Cell:
    """Return one cell of a bar: how far it is filled, and how far of that is failures."""
    total, failed = max(0, min(8, total)), max(0, min(8, failed))
    if not total:
        return Cell(" ")
    if not failed:
        return Cell(blocks[total], "success")
    if total == 8 and failed < 8:
        return Cell(blocks[failed], "chart-both")
    return Cell(blocks[total], "error" if 2 * failed >= total else "success")
