"""A case as a user sees it, and the content of its verdict form."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from shared.contract.feedback import ShownBecause
from shared.contract.fields import Verdict
from shared.desk.case_state import CaseState
from shared.desk.records import CaseStep, HeldPix


class Judgement(Struct, frozen=True):
    """The content of a verdict form.

    `token` is its proof (`DeskKey.token`), `seen` the id of the verdict that its page showed, empty without one.
    """

    verdict: Verdict
    reason: str
    note: str
    token: str
    seen: str = ""


class OpenCase(Struct, frozen=True):
    """A case as a user sees it: the decision, its state and events, why it is shown, and the holder of its lock."""

    pix: HeldPix
    state: CaseState
    events: Sequence[CaseStep]
    why: ShownBecause
    holder: str | None

    @property
    def version(self) -> str:
        """Return the id of the verdict that the user sees, empty without one."""
        shown = self.state.second if self.is_blind else self.state.judged
        return "" if shown is None else shown.review_id

    @property
    def is_blind(self) -> bool:
        """Return whether earlier verdicts are hidden from the user."""
        return self.why is ShownBecause.SECOND_REVIEW
