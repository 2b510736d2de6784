"""A look at a challenger, from the pointer to what follows, over the twins in memory."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Any

import msgspec
import numpy as np
import pytest

from shared.adapters.memory.learning import MemoryHealth, MemoryLedger, MemoryRuns
from shared.adapters.memory.serving import MemoryBlobs
from shared.contract.event import micros
from shared.contract.measures import FORETOLD, SAVING
from shared.errors import Unavailable
from shared.learning.config import Config
from shared.learning.contest.cohorts import FOLDER
from shared.learning.contest.contest import Compared, Contest
from shared.learning.lifecycle.arm_counts import ArmRows
from shared.learning.lifecycle.challenge import ChallengeCommands
from shared.learning.lifecycle.operator_move import OperatorMove
from shared.learning.lifecycle.pointer import publish, read_pointer, write_pointer
from shared.scoring.challenge import Challenge
from shared.scoring.rules import Rules
from tests.unit.learning.bundles import small_bundle
from tests.unit.learning.synthetic import CONFIG

START = dt.datetime(2026, 6, 1, tzinfo=dt.UTC)
AGE, DAYS = 1, 12
AS_OF = START + dt.timedelta(days=DAYS + AGE, hours=6)
SPEC = msgspec.structs.replace(CONFIG.contest, label_age_days=AGE, days_min=7, days_max=30)


class Tables:
    """Queries that answer with days on which one of both stops more frauds; `asked` counts those of a day."""

    def __init__(self, better: bool, mode: str) -> None:
        self.better, self.mode, self.asked, self.away = better, mode, 0, False
        self.health = MemoryHealth()

    def rows(self, sql: str, _: Mapping[str, Any]) -> list[dict[str, Any]]:
        if self.away:
            raise Unavailable("BigQuery is away")
        if ".health`" in sql and "QUALIFY" in sql and "score_events" not in sql:
            return [_stored(row.columns()) for row in [*self.health.stored, *_grown()]]
        self.asked += 1
        day = dt.datetime.fromisoformat(sql.split("initiated_at >= TIMESTAMP '")[1][:10]).replace(tzinfo=dt.UTC)
        known = "verdict IN" in sql
        rows = list(self._rows(int(day.strftime("%j")), known))
        return rows if " AS account " in sql else self._totals(rows)

    def _rows(self, seed: int, known: bool) -> list[dict[str, Any]]:
        rng = np.random.default_rng(seed)
        stopped, passed = ("CHALLENGER", "CHAMPION") if self.better else ("CHAMPION", "CHALLENGER")
        return [
            self._row(stopped if i % 3 else passed, rng, fraud=rng.random() < 0.5, known=known) for i in range(240)
        ]

    def _row(self, stopped_by: str, rng: np.random.Generator, fraud: bool, known: bool) -> dict[str, Any]:
        shadow = self.mode == "SHADOW"
        arm = "CHAMPION" if shadow or rng.random() < 0.5 else "CHALLENGER"
        champion, challenger = ("HOLD", "APPROVE") if stopped_by == "CHAMPION" else ("APPROVE", "HOLD")
        decision = champion if arm == "CHAMPION" else challenger
        label = ("FRAUD" if fraud else "LEGITIMATE") if known else None
        return {
            "side": "PAYER", "arm": arm, "propensity": 1.0 if shadow else 0.5, "decision": decision,
            "policy": decision, "challenger_decision": challenger, "known": label,
            "brl": float(rng.lognormal(6, 0.3)), "score": 0.5,
            "challenger_score": 0.5 + 0.2 * (stopped_by != "CHAMPION"),
            "control_probability": None, "account": int(rng.integers(0, 1024)),
        }  # fmt: skip

    def _totals(self, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        names = ("side", "arm", "propensity", "decision", "policy", "challenger_decision", "known")
        own = [{name: row[name] for name in names} | {"pix": 1} for row in rows]
        agreed = {"side": "PAYER", "decision": "APPROVE", "policy": "APPROVE", "challenger_decision": "APPROVE"}
        known = rows[0]["known"] and "LEGITIMATE"
        arms = [("CHAMPION", 1.0)] if self.mode == "SHADOW" else [("CHAMPION", 0.5), ("CHALLENGER", 0.5)]
        more = [agreed | {"arm": arm, "propensity": chance, "known": known, "pix": 5_000} for arm, chance in arms]
        return [*own, *more]


def _grown() -> list[Any]:
    """Return frauds of an older day, known by half after a day and whole in the end."""
    from shared.learning.monitoring.ladder import AGES
    from shared.learning.monitoring.measures import Key

    day = micros(START - dt.timedelta(days=90))
    return [Key(day, day, "PAYER", "v1", age).count("missed", 50 if age == 1 else 60, 9_000) for age in AGES]


def _stored(row: Mapping[str, Any]) -> dict[str, Any]:
    times = {name: dt.datetime.fromtimestamp(row[name] / 1e6, dt.UTC) for name in ("day", "measured_at")}
    return {**row, **times}


class World:
    """v1 serves and v2 is tried; `look` looks once."""

    def __init__(self, is_better: bool = True, mode: str = "SHADOW", **spec: Any) -> None:
        self.models, self.rows, self.ledger = MemoryBlobs(), MemoryBlobs(), MemoryLedger()
        self.tables, self.mode = Tables(is_better, mode), mode
        self.config: Config = msgspec.structs.replace(CONFIG, contest=msgspec.structs.replace(SPEC, **spec))
        self.moves = OperatorMove(self.models, MemoryRuns, self.ledger, lambda: AS_OF, "job")
        arms = ArmRows(self.tables, "bank", "pix", Rules([]))
        self.steps = ChallengeCommands(self.models, self.ledger, arms, lambda: AS_OF, "job")
        for version in ("v1", "v2", "v3"):
            publish(self.models, version, small_bundle(version))
        self.moves.promote("v1", "first")
        self.challenge()

    def challenge(self, version: str = "v2") -> None:
        """Try a challenger."""
        state = read_pointer(self.models)
        assert state.pointer
        started, share = START.isoformat(), 0.0 if self.mode == "SHADOW" else 0.5
        test = Challenge(version, self.mode, started, started, share)  # type: ignore[arg-type]  # a mode
        write_pointer(self.models, msgspec.structs.replace(state.pointer, challenge=test), state)

    def look(self, apply: bool = True, as_of: dt.datetime = AS_OF) -> Compared:
        parts = (self.models, self.rows, self.tables, self.tables.health, self.moves, self.steps, self.config)
        return Contest(*parts, "bank", "pix", 87).run(as_of, apply, lambda *_: None)

    def actions(self) -> list[str]:
        return [row.action for row in self.ledger.stored]

    @property
    def serving(self) -> str | None:
        return read_pointer(self.models).version

    @property
    def tried(self) -> Challenge | None:
        pointer = read_pointer(self.models).pointer
        return pointer.challenge if pointer else None


@pytest.mark.parametrize("mode", ["SHADOW", "SHARE"])
def test_a_better_challenger_serves_and_the_ledger_tells_why(mode: str) -> None:
    world = World(mode=mode)
    found = world.look()
    assert (found.outcome, found.consequence) == ("BETTER", "PROMOTED")
    assert (world.serving, world.tried) == ("v2", None)
    assert world.actions()[-2:] == ["CHALLENGE_BETTER", "SWAP"]
    told = world.ledger.stored[-2]
    assert (told.from_version, told.to_version) == ("v1", "v2")
    assert msgspec.json.decode(told.metrics or "")["low"] > 0


@pytest.mark.parametrize("mode", ["SHADOW", "SHARE"])
def test_a_worse_challenger_is_dropped(mode: str) -> None:
    world = World(False, mode)
    found = world.look()
    assert (found.outcome, found.consequence) == ("WORSE", "DROPPED")
    assert (world.serving, world.tried) == ("v1", None)
    assert "CHALLENGE_WORSE" in world.actions()


def test_nothing_follows_unless_asked_for() -> None:
    world = World()
    assert world.look(apply=False).consequence == "NONE"
    assert world.serving == "v1"
    assert world.actions() == ["SWAP"]


def test_a_configuration_may_leave_the_decision_to_a_person_who_is_told_once() -> None:
    world = World(True, "SHADOW", better="tell")
    assert [world.look().consequence for _ in range(2)] == ["TOLD", "TOLD"]
    assert world.actions() == ["SWAP", "CHALLENGE_BETTER"]
    assert world.serving == "v1"


def test_a_day_is_read_once_and_a_look_is_a_point_once() -> None:
    world = World(True, "SHADOW", better="tell")
    world.look()
    asked = world.tables.asked
    world.look()
    assert world.tables.asked == asked
    points = [(row.measure, row.age_days, row.model_version, row.segment) for row in world.tables.health.stored]
    assert points == [(SAVING, AGE, "v2", "v1"), (FORETOLD, None, "v2", "v1")]
    world.look(as_of=AS_OF + dt.timedelta(days=1))
    assert world.tables.asked == asked + 4  # totals and rows of one day more with labels, and of one without
    assert len(world.tables.health.stored) == 4


def test_scores_alone_never_decide() -> None:
    world = World()
    early = START + dt.timedelta(days=1, hours=7)
    found = world.look(as_of=early)
    assert (found.outcome, found.consequence) == ("TOO_FEW", "NONE")
    assert found.foretold is not None
    assert world.serving == "v1"
    assert [row.measure for row in world.tables.health.stored] == [FORETOLD]


def test_what_is_not_shown_in_time_is_dropped() -> None:
    world = World()
    world.config = msgspec.structs.replace(
        world.config,
        contest=msgspec.structs.replace(SPEC, days_max=8),
        gate=msgspec.structs.replace(world.config.gate, frauds_min=10**6),
    )
    found = world.look()
    assert (found.outcome, found.consequence) == ("TOO_FEW", "DROPPED")
    assert world.actions()[1] == "CHALLENGE_NOT_SHOWN"
    assert world.tried is None


@pytest.mark.parametrize("better", [True, False])
def test_a_move_meanwhile_wins(better: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(better)
    tell = world.ledger.append

    def moved(row: Any) -> None:
        tell(row)
        if row.action.startswith("CHALLENGE_"):
            monkeypatch.undo()
            world.moves.promote("v3", "by hand")

    monkeypatch.setattr(world.ledger, "append", moved)
    assert world.look().consequence == "SWAP_LOST"
    assert world.serving == "v3"


def test_without_a_test_there_is_nothing_to_do() -> None:
    world = World()
    world.steps.stop("by hand")
    assert world.look() == Compared("NOTHING_TO_DO", ["no challenger is tried"])
    assert world.tables.asked == 0


def test_an_outage_keeps_the_days_that_were_read() -> None:
    world = World()
    world.tables.away = True
    with pytest.raises(Unavailable):
        world.look()
    world.tables.away = False
    assert world.look().outcome == "BETTER"


def test_days_are_kept_without_a_trace_of_pix_or_accounts() -> None:
    world = World()
    world.look()
    names = list(world.rows.objects)
    assert all(name.startswith(f"{FOLDER}/v2/v1/shadow/2026-06-") for name in names)
    assert len(names) == DAYS + DAYS + AGE
