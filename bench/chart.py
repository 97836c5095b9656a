"""The chart of a run: requests a second by server, drawn as SVG for light and dark pages."""

from __future__ import annotations

from html import escape

from bench import targets
from bench.peers import launches, pgbench, pocketbase
from bench.results import CEILING, PRODUCT, Results
from bench.tables import number
from bench.workloads import ADD, GET

WIDTH, LABEL, VALUE = 720, 190, 70
BAR, GAP, TITLE, MARGIN = 18, 6, 34, 16

SERVERS = (
    *(PRODUCT, CEILING, launches.FASTAPI, launches.DJANGO, pocketbase.NAME),
    pgbench.NAME,
)
PANELS = (
    ("PostgreSQL: get one channel, requests a second", "postgres", GET),
    ("PostgreSQL: add a channel, requests a second", "postgres", ADD),
    ("SQLite: get one channel, requests a second", "sqlite", GET),
    ("SQLite: add a channel, requests a second", "sqlite", ADD),
)

_STYLE = """
text { font: 13px system-ui, sans-serif; fill: #1f2328; }
.title { font-weight: 600; }
.other { fill: #8c959f; }
.own { fill: #0969da; }
.bound { fill: none; stroke: #8c959f; stroke-dasharray: 4 3; }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3; }
  .other { fill: #6e7681; }
  .own { fill: #4493f8; }
  .bound { stroke: #8b949e; }
}
"""

Bar = tuple[str, float]


def svg(results: Results) -> str:
    """Returns the chart. The ceiling and pgbench, which are bounds, have dashed outlines."""
    parts: list[str] = []
    top = MARGIN
    for title, store, workload in PANELS:
        bars = _bars(results, store, workload)
        if bars:
            parts.append(_text(MARGIN, top + BAR, title, "title"))
            parts += _panel(bars, top + TITLE)
            top += TITLE + len(bars) * (BAR + GAP) + MARGIN
    style = f"<style>{_STYLE}</style>"
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{top}" '
        f'viewBox="0 0 {WIDTH} {top}" role="img" aria-label="{escape(description(results))}">'
    )
    return "\n".join([head, style, *parts, "</svg>\n"])


def description(results: Results) -> str:
    """Returns the chart in words, for readers who do not see it."""
    sentences = []
    for title, store, workload in PANELS:
        bars = [f"{name} {number(rate)}" for name, rate in _bars(results, store, workload)]
        if bars:
            sentences.append(f"{title}: {', '.join(bars)}.")
    return " ".join(sentences)


def _bars(results: Results, store: str, workload: str) -> list[Bar]:
    bars = []
    for server in SERVERS:
        found = results.measurement(targets.case(results, server, store, workload))
        if found is not None:
            bars.append((server, found.median("per_second")))
    return bars


def _panel(bars: list[Bar], top: int) -> list[str]:
    longest = max(rate for _, rate in bars)
    room = WIDTH - LABEL - VALUE - 2 * MARGIN
    parts = []
    for place, (name, rate) in enumerate(bars):
        y = top + place * (BAR + GAP)
        width = max(1, round(room * rate / longest))
        kind = "own" if name == PRODUCT else "other"
        if name in (CEILING, pgbench.NAME):
            kind = "bound"
        left = MARGIN + LABEL
        parts.append(_text(MARGIN, y + 14, name))
        parts.append(f'<rect class="{kind}" x="{left}" y="{y}" width="{width}" height="{BAR}"/>')
        parts.append(_text(left + width + 8, y + 14, number(rate)))
    return parts


def _text(x: int, y: int, text: str, kind: str = "") -> str:
    named = f' class="{kind}"' if kind else ""
    return f'<text{named} x="{x}" y="{y}">{escape(text)}</text>'
