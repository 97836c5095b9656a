"""The geometry of charts, in units of a drawing that is as wide as its column on the page."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

WIDTH = 360
ROW_HEIGHT = 40
BAR_TOP, BAR_HEIGHT = 22, 12
MIN_LENGTH = 2.0
"""The length of a bar for the smallest number that is not 0, so that it can be seen."""

PLOT_TOP, PLOT_HEIGHT = 20, 130
LABEL_HEIGHT = 22
GAP = 2


class Part(Struct, frozen=True):
    """A rectangle of a chart; `kind` is its class in the stylesheet."""

    kind: str
    x: float
    y: float
    width: float
    height: float


class Row(Struct, frozen=True):
    """A horizontal bar with its label; `y` is the top of the row, `text_y` the line of its text."""

    label: str
    number: int
    text_y: float
    parts: list[Part]


class Bars(Struct, frozen=True):
    """A chart of horizontal bars below each other."""

    width: int
    height: int
    rows: list[Row]


class Days(Struct, frozen=True):
    """A chart of days beside each other, with bars upwards for added and downwards for removed.

    `baseline` is between the two; `top` and `bottom` are the largest numbers.
    """

    width: int
    height: int
    baseline: float
    top: int
    bottom: int
    parts: list[Part]
    label_y: float


def bars(rows: Sequence[tuple[str, Sequence[tuple[str, int]]]]) -> Bars:
    """Returns a chart of rows: each has a label, and numbers of several kinds that add up."""
    sums = [sum(number for _, number in numbers) for _, numbers in rows]
    longest = max([*sums, 1])
    drawn = [_row(place, label, numbers, longest) for place, (label, numbers) in enumerate(rows)]
    return Bars(WIDTH, ROW_HEIGHT * len(rows), drawn)


def days(added: Sequence[int], removed: Sequence[int]) -> Days:
    """Returns a chart of the numbers of each day; the two sequences have the same length."""
    top, bottom = max(added), max(removed)
    scale = PLOT_HEIGHT / max(top + bottom, 1)
    baseline = PLOT_TOP + top * scale
    slot = WIDTH / len(added)
    parts = []
    for day, (up, down) in enumerate(zip(added, removed, strict=True)):
        x, width = round(day * slot + GAP / 2, 1), round(slot - GAP, 1)
        above, below = _length(up * scale, up), _length(down * scale, down)
        if up:
            parts.append(Part("added", x, round(baseline - above, 1), width, above))
        if down:
            parts.append(Part("removed", x, round(baseline, 1), width, below))
    bottom_y = PLOT_TOP + PLOT_HEIGHT
    height = bottom_y + 2 * LABEL_HEIGHT
    return Days(
        WIDTH, height, round(baseline, 1), top, bottom, parts, bottom_y + 2 * LABEL_HEIGHT - 6
    )


def _row(place: int, label: str, numbers: Sequence[tuple[str, int]], longest: int) -> Row:
    y, x = place * ROW_HEIGHT, 0.0
    parts = []
    for kind, number in numbers:
        if number:
            length = _length(number / longest * WIDTH, number)
            parts.append(Part(kind, round(x, 1), y + BAR_TOP, length, BAR_HEIGHT))
            x += length
    total = sum(number for _, number in numbers)
    return Row(label, total, y + BAR_TOP - 7, parts)


def _length(length: float, number: int) -> float:
    return round(max(length, MIN_LENGTH), 1) if number else 0.0
