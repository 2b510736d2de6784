"""A trace as an SVG picture: a column for each hop, a box for each Pix, lines as broad as the root's money."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from html import escape
from typing import NamedTuple

from shared.trace import words
from shared.trace.colours import NONE, VERDICTS, colour
from shared.trace.flow import Step, Trace

BOX_WIDTH, BOX_HEIGHT, LINE_HEIGHT = 280, 88, 17
GAP_X, GAP_Y, MARGIN, HEAD = 90, 20, 24, 92
BROADEST = 16.0
"""Width of the line of all the root's money, in pixels."""
_STYLE = (
    "text{font:13px system-ui,sans-serif;fill:#263238}.title{font-size:18px;font-weight:600}"
    ".amount{font-size:15px;font-weight:600}.faint{fill:#546e7a}"
)


class BoxCorner(NamedTuple):
    """The upper left corner of a box, in pixels."""

    x: float
    y: float


def render(trace: Trace) -> str:
    """Return a trace as an SVG document."""
    places = layout(trace)
    width = max(place.x for place in places.values()) + BOX_WIDTH + MARGIN
    width = max(width, 4 * MARGIN + 2 * BOX_WIDTH)
    height = max(place.y for place in places.values()) + BOX_HEIGHT + MARGIN
    body = "\n".join([*_head(trace), *_columns(trace), *_lines(trace, places), *_boxes(trace, places)])
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height:g}" '
        f'viewBox="0 0 {width} {height:g}" role="img">\n<style>{_STYLE}</style>\n'
        f'<rect width="100%" height="100%" fill="#fff"/>\n{body}\n</svg>\n'
    )


def layout(trace: Trace) -> Mapping[str, BoxCorner]:
    """Return the place of each Pix: its hop is its column; boxes share no row unless one follows the other."""
    children, places = trace.children(), dict[str, BoxCorner]()
    rows = 0

    def put(step: Step) -> float:
        nonlocal rows
        inner = [put(child) for child in children[step.pix.end_to_end_id]]
        y = (inner[0] + inner[-1]) / 2 if inner else HEAD + MARGIN + rows * (BOX_HEIGHT + GAP_Y)
        rows += not inner
        places[step.pix.end_to_end_id] = BoxCorner(_column(step.member.layer), y)
        return y

    put(trace.root)
    return places


def _head(trace: Trace) -> Iterator[str]:
    yield _text(MARGIN, 34, words.title(trace), "title")
    yield _text(MARGIN, 55, words.limits(trace), "faint")
    x = float(MARGIN)
    for name, fill in (*VERDICTS.items(), ("no verdict", NONE)):
        yield f'<rect x="{x}" y="66" width="12" height="12" rx="2" fill="{fill}"/>'
        yield _text(x + 18, 77, name.capitalize(), "faint")
        x += 110


def _columns(trace: Trace) -> Iterator[str]:
    for layer in sorted({step.member.layer for step in trace.steps}):
        yield _text(_column(layer), HEAD + 12, "Root" if layer == 1 else f"Hop {layer}", "faint")


def _column(layer: int) -> int:
    return MARGIN + (layer - 1) * (BOX_WIDTH + GAP_X)


def _lines(trace: Trace, places: Mapping[str, BoxCorner]) -> Iterator[str]:
    for step in trace.steps:
        shown = {source.end_to_end_id: source.amount for source in step.sources}
        if step.parent is not None:
            shown.setdefault(step.parent, 0)
        for source, amount in shown.items():
            share = amount / trace.root.traced
            yield _line(places[source], places[step.pix.end_to_end_id], share, step, source == step.parent)


def _line(start: BoxCorner, end: BoxCorner, share: float, step: Step, main: bool) -> str:
    x0, y0 = start.x + BOX_WIDTH, start.y + BOX_HEIGHT / 2
    x1, y1 = end.x, end.y + BOX_HEIGHT / 2
    bend = max(abs(x1 - x0) / 2, GAP_X / 2)
    dash = "" if main and not step.member.returns else ' stroke-dasharray="7 5"'
    return (
        f'<path d="M{x0:g} {y0:g} C{x0 + bend:g} {y0:g} {x1 - bend:g} {y1:g} {x1:g} {y1:g}" fill="none" '
        f'stroke="{colour(step.pix.verdict)}" stroke-opacity="0.45" stroke-width="{1 + BROADEST * share:.1f}"{dash}/>'
    )


def _boxes(trace: Trace, places: Mapping[str, BoxCorner]) -> Iterator[str]:
    for step in trace.steps:
        place, fill = places[step.pix.end_to_end_id], colour(step.pix.verdict)
        dash = ' stroke-dasharray="7 5"' if step.member.returns else ""
        yield f"<g><title>{escape(_tooltip(step))}</title>"
        yield (
            f'<rect x="{place.x:g}" y="{place.y:g}" width="{BOX_WIDTH}" height="{BOX_HEIGHT}" rx="6" fill="#fff" '
            f'stroke="{fill}" stroke-width="1.5"{dash}/>'
            f'<rect x="{place.x:g}" y="{place.y:g}" width="6" height="{BOX_HEIGHT}" rx="3" fill="{fill}"/>'
        )
        for number, (text, kind) in enumerate(_words(trace, step)):
            yield _text(place.x + 16, place.y + 21 + number * LINE_HEIGHT, text, kind)
        yield "</g>"


def _words(trace: Trace, step: Step) -> list[tuple[str, str]]:
    """Return the lines in a box, each with its style."""
    way = f"{words.account(step.pix.payer_id)} → {words.account(step.pix.payee_id)}"
    hop, root = trace.minutes(step)
    time = "" if step.parent is None else f" after {words.minutes(hop)}"
    later = f"{words.minutes(root)} after the root, " if step.member.layer > 2 else ""
    share = "" if step.parent is None else f"{trace.share(step):.0%} of the root"
    shown = step.share_passed is not None and not words.last_layer(trace, step)
    passed = f"{step.share_passed:.0%} passed on" if shown else ""
    back = "back on its path" if step.member.returns else passed
    return [
        (f"{words.brl(step.pix.net)}{time}", "amount"),
        (way, ""),
        (f"{later}{step.pix.decision or 'no decision'}", "faint"),
        (", ".join(filter(None, (share, back))), "faint"),
    ]


def _tooltip(step: Step) -> str:
    pix = step.pix
    return f"{pix.end_to_end_id}\n{pix.payer_id} → {pix.payee_id}\n{words.judged(step)}"


def _text(x: float, y: float, text: str, kind: str = "") -> str:
    return f'<text x="{x:g}" y="{y:g}" class="{kind}">{escape(text)}</text>'
