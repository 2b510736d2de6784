"""Outcomes and reports that wait for the decisions on their Pix."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple, Self

from infra.local.aftermath.fitting import DecidedPix, Message, TopicMessage, fitted, left_to_desk
from shared.contract.topics import OUTCOMES

REMEMBERED_MAX = 1_000_000
"""Pix whose later messages can still be fitted; the oldest is forgotten first."""
_STRICTER = ("APPROVE", "BLOCK", "HOLD", "REJECT")

Truth = Callable[[str], str | None]
"""Returns the situation of a fraud by its EndToEndId, None for a legitimate Pix."""


class Decided(NamedTuple):
    """A decision of one side about a Pix."""

    end_to_end_id: str
    side: str
    decision: str


class Published(NamedTuple):
    """A published Pix, and the side that asks."""

    end_to_end_id: str
    side: str
    amount: str
    payee_ispb: str

    @classmethod
    def of(cls, message: Message) -> Self:
        """Return the record of a message of pix-transactions."""
        side, ispb = message.get("side", "PAYER"), message["payee"]["ispb"]
        return cls(message["end_to_end_id"], side, message["amount"], ispb)


class HeldMessages:
    """Outcomes and reports, each held until every side that was asked about its Pix has decided.

    The strictest decision counts. Reports on a Pix that was stopped are left out, and those on its later hops, whose
    money never came; so are reviews that the events tell by themselves, as those here take their place.
    """

    def __init__(self, truth: Truth, *, desk: bool = False) -> None:
        """With `desk`, Pix that are stopped for review wait for people."""
        self._truth = truth
        self._fit = left_to_desk if desk else fitted
        self._asked: dict[str, dict[str, Published]] = {}
        self._decided: dict[str, DecidedPix] = {}
        self._held: dict[str, list[TopicMessage]] = {}
        self._ready: list[TopicMessage] = []
        self._roots: dict[str, str] = {}
        self._reported: dict[str, str] = {}

    def ask(self, pix: Published) -> None:
        """Record a published Pix."""
        self._asked.setdefault(pix.end_to_end_id, {})[pix.side] = pix
        while len(self._asked) > REMEMBERED_MAX:
            oldest = next(iter(self._asked))
            for of in (self._asked, self._decided, self._held):
                of.pop(oldest, None)

    def hold(self, told: TopicMessage) -> None:
        """Take an outcome or a report; one about a Pix that was not published here stays as it is."""
        self._remember(told.message)
        about = self._about(told.message)
        unknown = next((id_ for id_ in about if id_ in self._asked and id_ not in self._decided), None)
        if unknown is not None:
            self._held.setdefault(unknown, []).append(told)
        else:
            self._ready += self._fitted(told, [self._decided[id_] for id_ in about if id_ in self._decided])

    def waiting(self, most: int | None = None) -> list[str]:
        """Return the Pix whose messages are held, at most so many of the oldest."""
        return list(self._held)[:most]

    def decide(self, found: Iterable[Decided]) -> None:
        """Release the messages of Pix that all sides have decided."""
        by_id: dict[str, dict[str, str]] = {}
        for each in found:
            by_id.setdefault(each.end_to_end_id, {}).setdefault(each.side, each.decision)
        for id_, decisions in by_id.items():
            if id_ in self._held and self._asked[id_].keys() <= decisions.keys():
                strictest = max(decisions.values(), key=_STRICTER.index)
                pix = next(iter(self._asked[id_].values()))
                self._decided[id_] = DecidedPix(id_, pix.amount, pix.payee_ispb, strictest, self._truth(id_))
                for told in self._held.pop(id_):
                    self.hold(told)

    def take(self) -> list[TopicMessage]:
        """Return the released messages, and forget them."""
        ready, self._ready = self._ready, []
        return ready

    def _remember(self, message: Message) -> None:
        """Keep the Pix of an infraction report, by which a marker names it, and the root of one on a later hop."""
        if message.get("source") == "MED":
            self._reported[message["report_id"]] = message["end_to_end_id"]
            if root := message.get("root_end_to_end_id"):
                self._roots[message["end_to_end_id"]] = root

    def _about(self, message: Message) -> list[str]:
        """Return the Pix without which there were no such message: the one that it names, and the root of that."""
        named = message.get("end_to_end_id") or message.get("root_end_to_end_id")
        named = named or self._reported.get(message.get("infraction_report_id", ""))
        if named is None:
            return []
        return [self._roots[named], named] if "source" in message and named in self._roots else [named]

    def _fitted(self, told: TopicMessage, decided: list[DecidedPix]) -> list[TopicMessage]:
        if told.topic == OUTCOMES:
            return self._fit(decided[0], told.message) if decided else [told]
        if any(pix.is_refused for pix in decided):
            return []
        if told.message["source"] == "ANALYST" and any(pix.decision != "APPROVE" for pix in decided):
            return []
        return [self._tracked(told)]

    def _tracked(self, told: TopicMessage) -> TopicMessage:
        """Return a report without the edges of Pix that were stopped; those that wait for a decision stay."""
        if not told.message.get("graph"):
            return told
        refused = {id_ for edge in told.message["graph"] if self._is_refused(id_ := edge["end_to_end_id"])}
        graph = [edge for edge in told.message["graph"] if edge["end_to_end_id"] not in refused]
        return told._replace(message=told.message | {"graph": graph})

    def _is_refused(self, end_to_end_id: str) -> bool:
        pix = self._decided.get(end_to_end_id)
        return pix is not None and pix.is_refused
