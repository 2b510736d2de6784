"""The GoogleSQL of the desk, from the files beside it."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from shared.contract.tables import MATERIALIZED, first, first_of
from shared.desk.keyed import REVIEW_PREFIX

HELD = (
    *("end_to_end_id", "side", "initiated_at", "scored_at", "amount", "payer_id", "payee_id", "decision"),
    *("score", "policy_decision", "hold_until", "reasons", "model_version", "degraded"),
)
"""Columns of `shared.desk.records.HeldPix`, in the order of its fields."""
MOST = 2_000
"""Rows of the past that a page reads, at most, the latest ones."""


class DeskSql:
    """Queries of one dataset."""

    def __init__(self, project: str, dataset: str) -> None:
        self._project, self._name = project, dataset
        self._dataset = f"{project}.{dataset}"

    @property
    def held(self) -> str:
        """Return the query of held Pix asked for from @since to @until whose deadline comes after @now."""
        return self._held(_AHEAD)

    @property
    def ended(self) -> str:
        """Return the query of those of `held` that have ended, or that another tool's analyst has judged."""
        return self._ended(_AHEAD, f" AND NOT STARTS_WITH(report_id, '{REVIEW_PREFIX}')")

    @property
    def overdue(self) -> str:
        """Return the query of Pix asked for from @since to @until whose deadline passed after @after and by @now."""
        return self._held(_PASSED)

    @property
    def ended_in_time(self) -> str:
        """Return the query of those of `overdue` that ended or were judged before."""
        return self._ended(_PASSED, "")

    @property
    def reviews(self) -> str:
        """Return the query of events from @since on."""
        return self._filled("reviews", which="")

    @property
    def history(self) -> str:
        """Return the query of the events of the Pix @id and @side from @since on."""
        return self._filled("reviews", which="AND end_to_end_id = @id AND side = @side")

    @property
    def reviewed(self) -> str:
        """Return the query of decisions from @since to @until that were judged from @judged_since on."""
        judged = f"SELECT end_to_end_id FROM `{self._dataset}.reviews` WHERE `at` >= @judged_since"  # noqa: S608 (names of our own)
        which = f"{_PERIOD} AND end_to_end_id IN ({judged} AND event = 'JUDGED')"
        return f"SELECT {', '.join(HELD)} FROM ({self._first(which)}) AS decided"  # noqa: S608 (names of our own)

    def decided(self, ids: int, columns: str = ", ".join(HELD)) -> str:
        """Return the query of columns of the decisions about @id_0, @id_1 and so on from @since to @until."""
        named = ", ".join(f"@id_{number}" for number in range(ids))
        chosen = self._first(f"{_PERIOD} AND end_to_end_id IN ({named})")
        return f"SELECT {columns} FROM ({chosen}) AS decided"  # noqa: S608 (names of our own)

    def payments(self, party: str) -> str:
        """Return the query of the Pix of @account as `party`, payer_id or payee_id, from @since to @until."""
        view = next(view for view, column in MATERIALIZED.items() if column == party)
        return self._filled("payments", party=party, view=view, most=str(MOST))

    @property
    def reports(self) -> str:
        """Return the query of reports about @payer and @payee, and @payer_person and @payee_person."""
        return self._filled("reports", shared=self._shared, most=str(MOST))

    @property
    def outcomes(self) -> str:
        """Return the query of the outcomes of the Pix @id from @since on."""
        return self._filled("outcomes")

    @property
    def earlier(self) -> str:
        """Return the query of earlier verdicts about @payer and @payee, without the Pix @own."""
        return self._filled("earlier", shared=self._shared, most=str(MOST))

    @property
    def _shared(self) -> str:
        """Return the query of the Pix of @payer or @payee, on either side, from @since on; one may come twice."""
        return self._filled("shared").rstrip()

    def _held(self, deadline: str) -> str:
        return f"SELECT {', '.join(HELD)} FROM ({self._stopped(deadline)}) AS decided"  # noqa: S608 (names of our own)

    def _ended(self, deadline: str, judged: str) -> str:
        """Return the query of Pix that have ended by their deadline, and by the reports that count as verdicts."""
        return self._filled("ended", first=self._stopped(deadline), judged=judged)

    def _stopped(self, deadline: str) -> str:
        """Return the query of held and blocked Pix by their deadline, each by the first row that stopped it.

        The view of them holds no others, so a copy that was not stopped, and came first, is not seen here.
        """
        return first_of(f"`{self._dataset}.holds` WHERE {_PERIOD} AND initiated_at <= @until AND {deadline}")

    def _first(self, which: str) -> str:
        return first(self._project, self._name, "@until", which)

    def _filled(self, name: str, **values: str) -> str:
        return _text(name).format(dataset=self._dataset, **values)


_PERIOD = "initiated_at >= @since"
_AHEAD, _PASSED = "hold_until > @now", "hold_until > @after AND hold_until <= @now"


@cache
def _text(name: str) -> str:
    return Path(__file__).with_name(f"{name}.sql").read_text("utf-8")
