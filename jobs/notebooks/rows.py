"""Rows of `pix.score_events`, `pix.feedback` and `pix.outcomes` from a folder of Parquet files, for a notebook.

`python -m jobs.replay events.ndjson --out DIR` writes such a folder, and so does an export of the tables.
"""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from shared.contract.rows import FEATURE_PREFIX
from shared.errors import Misconfigured
from shared.features.catalogue import FEATURE_NAMES
from shared.features.reports import ReportState, state_of
from shared.features.verdicts import InForce, in_force
from shared.replay.parquet import parties_of, reported
from shared.settings import MATURITY_DAYS

FOLDER = Path(__file__).parents[2] / ".local" / "notebook" / "rows"
"""The folder that `make notebook` fills."""
FACTS = ("end_to_end_id", "initiated_at", "amount", "initiation_form", "payer_ispb", "payee_ispb", "decision")
PARTIES = ("payer_id", "payee_id", "device_id")


class ExploredRows(NamedTuple):
    """The Pix of a folder in order of time, and the features that were served for them, row by row.

    `pix` has FACTS and: `settled`; `matured`, so old that no report is to come; `verdict`, FRAUD, LEGITIMATE, PENDING
    or UNKNOWN, as in the view `pix.labels` at the time of the newest row; `judged_at`; `situation`, of a fraud; and
    `known_after`, days from the Pix to its verdict. `features` has a column for each name of the catalogue.
    """

    pix: pd.DataFrame
    features: pd.DataFrame


def read(folder: Path, maturity_days: float = MATURITY_DAYS) -> ExploredRows:
    """Read the payer's side of a folder. Raises Misconfigured if it has no such rows."""
    scored = _table(folder, "score_events")
    if scored is None:
        raise Misconfigured(f"{folder} has no score_events-*.parquet; jobs.replay EVENTS --out DIR writes them")
    scored = scored.filter(pa.compute.equal(pa.compute.fill_null(scored["side"], "PAYER"), "PAYER"))
    scored = scored.take(pa.compute.sort_indices(scored, [("initiated_at", "ascending")]))
    names = [FEATURE_PREFIX + name for name in FEATURE_NAMES]
    features = scored.select(names).to_pandas().set_axis(list(FEATURE_NAMES), axis=1).astype(np.float32)
    pix = scored.select(FACTS).to_pandas()
    pix["amount"] = pix["amount"].astype(float)
    pix["initiated_at"] = pd.to_datetime(pix["initiated_at"], utc=True)
    pix["settled"] = _settled(folder, pix)
    feedback = _table(folder, "feedback")
    words, situations = ({}, {}) if feedback is None else (_words(feedback, scored), _situations(feedback))
    return ExploredRows(_judged(pix, words, situations, maturity_days), features)


def _table(folder: Path, name: str) -> pa.Table | None:
    files = sorted(folder.glob(f"{name}-*.parquet"))
    return pa.concat_tables([pq.read_table(file) for file in files]) if files else None


def _settled(folder: Path, pix: pd.DataFrame) -> pd.Series[bool]:
    """Return whether each Pix settled; without outcomes, an approved one did."""
    outcomes = _table(folder, "outcomes")
    if outcomes is None or not outcomes.num_rows:
        return pix["decision"] == "APPROVE"
    told = outcomes.select(["end_to_end_id", "status"]).to_pandas()
    return pix["end_to_end_id"].isin(told.loc[told["status"] == "SETTLED", "end_to_end_id"])


def _words(feedback: pa.Table, scored: pa.Table) -> dict[str, InForce]:
    """Return the verdict in force by reports, of each Pix that has one."""
    states: defaultdict[str, list[ReportState]] = defaultdict(list)
    for row, parties in reported(feedback, parties_of(scored.select(["end_to_end_id", *PARTIES])), placed=True):
        if (state := state_of(row)) is not None:
            for id_ in parties:
                states[id_].append(state)
    return {id_: found for id_, each in states.items() if (found := in_force(each))}


def _situations(feedback: pa.Table) -> dict[str, str]:
    """Return the situation of each Pix that has an infraction report with one."""
    told = feedback.select(["end_to_end_id", "situation_type"]).to_pandas().dropna()
    return dict(zip(told["end_to_end_id"], told["situation_type"], strict=True))


def _judged(
    pix: pd.DataFrame, words: dict[str, InForce], situations: dict[str, str], maturity_days: float
) -> pd.DataFrame:
    ids = pix["end_to_end_id"]
    at = pd.to_datetime(ids.map({id_: word.at for id_, word in words.items()}), unit="us", utc=True)
    newest = max(pix["initiated_at"].max(), at.max()) if at.notna().any() else pix["initiated_at"].max()
    matures = pix["initiated_at"] + pd.Timedelta(days=maturity_days)
    pix["matured"] = matures <= newest
    silent = pix["matured"].map({True: "LEGITIMATE", False: "PENDING"}).where(pix["settled"], "UNKNOWN")
    told = ids.map({id_: str(word.verdict) for id_, word in words.items()})
    pix["verdict"] = told.where(told.notna(), silent)
    pix["judged_at"] = at.where(told.notna(), matures.where(pix["verdict"] == "LEGITIMATE"))
    pix["situation"] = ids.map(situations).where(pix["verdict"] == "FRAUD")
    pix["known_after"] = (pix["judged_at"] - pix["initiated_at"]).dt.total_seconds() / 86_400
    return pix
