"""The course of the root's money through a tracking graph.

Money that came in first leaves first. Of each Pix out of an account, at most the root's money that is still there is
traced: no account passes on more of it than it received, and its own money is never counted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec import Struct

from shared.trace.graph import SECOND, Graph, Member, Pix, TraceLimits

MINUTE = 60 * SECOND


class Source(Struct, frozen=True):
    """The Pix that brought money in, and the centavos of the root's money taken from it."""

    end_to_end_id: str
    amount: int


class Step(Struct, frozen=True):
    """A Pix of the graph with the root's money in it, in centavos.

    `traced` of its amount came from the root, from `sources`; its payee sent `passed` of that on. `parent` is the
    Pix of the previous layer that it is shown under: the source of the most money, else the last one before it. The
    root has none.
    """

    member: Member
    parent: str | None
    sources: tuple[Source, ...]
    traced: int
    passed: int

    @property
    def pix(self) -> Pix:
        """Return its Pix."""
        return self.member.pix

    @property
    def stays(self) -> int:
        """Return the root's money that was not seen leaving the payee's account, in centavos."""
        return self.traced - self.passed

    @property
    def share_passed(self) -> float | None:
        """Return the share of the root's money here that was passed on, None where there is none."""
        return self.passed / self.traced if self.traced else None


class Trace(Struct, frozen=True):
    """The steps of the money of a root, which is the first, in order of layer and time."""

    steps: list[Step]
    limits: TraceLimits
    left_out: int

    @property
    def root(self) -> Step:
        """Return the root."""
        return self.steps[0]

    def step(self, end_to_end_id: str) -> Step:
        """Return the step of a Pix. Raises KeyError."""
        return self.by_id()[end_to_end_id]

    def by_id(self) -> Mapping[str, Step]:
        """Return the steps by EndToEndId."""
        return {step.pix.end_to_end_id: step for step in self.steps}

    def children(self) -> dict[str, list[Step]]:
        """Return the steps shown under each Pix, in order of time."""
        found: dict[str, list[Step]] = {step.pix.end_to_end_id: [] for step in self.steps}
        for step in self.steps:
            if step.parent is not None:
                found[step.parent].append(step)
        return {id_: sorted(steps, key=lambda step: step.pix.moved_at) for id_, steps in found.items()}

    def minutes(self, step: Step) -> tuple[float, float]:
        """Return the minutes from the previous hop, and from the root, to a step."""
        since = self.step(step.parent).pix.moved_at if step.parent else step.pix.moved_at
        return (step.pix.moved_at - since) / MINUTE, (step.pix.moved_at - self.root.pix.moved_at) / MINUTE

    def share(self, step: Step) -> float:
        """Return the share of the root's money that is in a step."""
        return step.traced / self.root.traced if self.root.traced else 0.0


def follow(graph: Graph, limits: TraceLimits) -> Trace:
    """Return the course of the root's money through a graph."""
    flow = _Flow(limits)
    for member in sorted(graph.members, key=lambda each: (each.pix.moved_at, each.layer, each.pix.end_to_end_id)):
        flow.add(member)
    steps = [flow.step(member) for member in graph.members]
    return Trace(steps, limits, graph.left_out)


class _Flow:
    def __init__(self, limits: TraceLimits) -> None:
        self._window = round(limits.hop_window.total_seconds() * SECOND)
        self._inflows: dict[str, list[Member]] = {}
        self._left: dict[str, int] = {}
        self._traced: dict[str, int] = {}
        self._parents: dict[str, str | None] = {}
        self._sources: dict[str, tuple[Source, ...]] = {}

    def add(self, member: Member) -> None:
        """Take the root's money for a Pix from the Pix into its payer's account, the oldest first."""
        pix = member.pix
        before = [] if member.layer == 1 else self._before(pix)
        sources = tuple(self._take(before, pix.net))
        traced = pix.net if member.layer == 1 else sum(source.amount for source in sources)
        self._sources[pix.end_to_end_id] = sources
        self._parents[pix.end_to_end_id] = _parent(member.layer, before, sources)
        self._traced[pix.end_to_end_id] = self._left[pix.end_to_end_id] = traced
        if not member.returns:
            self._inflows.setdefault(pix.payee_id, []).append(member)

    def _before(self, pix: Pix) -> list[Member]:
        inflows = self._inflows.get(pix.payer_id, [])
        return [each for each in inflows if 0 <= pix.moved_at - each.pix.moved_at <= self._window]

    def _take(self, inflows: Sequence[Member], amount: int) -> list[Source]:
        taken = []
        for id_ in (inflow.pix.end_to_end_id for inflow in inflows):
            part = min(self._left[id_], amount)
            if part:
                self._left[id_] -= part
                amount -= part
                taken.append(Source(id_, part))
        return taken

    def step(self, member: Member) -> Step:
        """Return the step of a Pix, after all were added."""
        id_ = member.pix.end_to_end_id
        traced = self._traced[id_]
        return Step(member, self._parents[id_], self._sources[id_], traced, traced - self._left[id_])


def _parent(layer: int, before: Sequence[Member], sources: Sequence[Source]) -> str | None:
    previous = [each.pix.end_to_end_id for each in before if each.layer == layer - 1]
    taken = {source.end_to_end_id: source.amount for source in sources}
    return max(reversed(previous), key=lambda id_: taken.get(id_, 0)) if previous else None
