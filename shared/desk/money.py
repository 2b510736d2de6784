"""The chain of money behind a Pix as a drawing: a box for each Pix, a line for the root's money in it."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

from msgspec import Struct

from shared.trace.flow import Step, Trace
from shared.trace.svg import BOX_HEIGHT, BOX_WIDTH, BROADEST, GAP_X, HEAD, MARGIN, BoxCorner, layout

SHORT = 8


class Box(Struct, frozen=True):
    """A Pix: its upper left corner, its id, hop, amount and share of the root's money, accounts and verdict."""

    end_to_end_id: str
    x: float
    y: float
    hop: int
    amount: int
    share: float
    payer: str
    payee: str
    decision: str | None
    verdict: str | None


class MoneyLine(Struct, frozen=True):
    """The way of money between two boxes, as the path of a curve and its width."""

    path: str
    width: float


class Drawing(Struct, frozen=True):
    """A chain of money; `root` is its first Pix, `width` and `height` are those of the view box."""

    root: str
    boxes: tuple[Box, ...]
    lines: tuple[MoneyLine, ...]
    width: float
    height: float
    left_out: int


def drawn(trace: Trace, blind: Collection[str] = (), with_verdicts: bool = True) -> Drawing:
    """Return the drawing of a trace, without the verdicts of the Pix in `blind`; a blind review sees none."""
    hidden = blind if with_verdicts else [step.pix.end_to_end_id for step in trace.steps]
    places = {id_: BoxCorner(place.x - MARGIN + 2, place.y - HEAD) for id_, place in layout(trace).items()}
    width = max(place.x for place in places.values()) + BOX_WIDTH + 2
    height = max(place.y for place in places.values()) + BOX_HEIGHT + 2
    boxes = tuple(_box(trace, step, places[step.pix.end_to_end_id], hidden) for step in trace.steps)
    return Drawing(trace.root.pix.end_to_end_id, boxes, tuple(_lines(trace, places)), width, height, trace.left_out)


def _box(trace: Trace, step: Step, place: BoxCorner, hidden: Collection[str]) -> Box:
    pix = step.pix
    accounts = pix.payer_id[:SHORT], pix.payee_id[:SHORT]
    share = trace.share(step)
    verdict = None if pix.end_to_end_id in hidden else pix.verdict
    hop, (x, y) = step.member.layer, place
    return Box(pix.end_to_end_id, x, y, hop, pix.net, share, *accounts, pix.decision, verdict)


def _lines(trace: Trace, places: Mapping[str, BoxCorner]) -> Iterator[MoneyLine]:
    for step in trace.steps:
        for source in step.sources:
            start, end = places[source.end_to_end_id], places[step.pix.end_to_end_id]
            yield MoneyLine(_curve(start, end), round(1 + BROADEST * source.amount / trace.root.traced, 1))


def _curve(start: BoxCorner, end: BoxCorner) -> str:
    x0, y0, x1, y1 = start.x + BOX_WIDTH, start.y + BOX_HEIGHT / 2, end.x, end.y + BOX_HEIGHT / 2
    bend = max(abs(x1 - x0) / 2, GAP_X / 2)
    return f"M{x0:g} {y0:g} C{x0 + bend:g} {y0:g} {x1 - bend:g} {y1:g} {x1:g} {y1:g}"
