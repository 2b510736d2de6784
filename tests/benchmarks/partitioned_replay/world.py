"""Rows and reports of a world in which stolen money goes down chains of mules within seconds."""

from __future__ import annotations

from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from shared.contract.event import Event
from shared.contract.rows import FeedbackRow
from shared.contract.tables import table
from shared.learning.data.split import DAY
from shared.replay.arrow_rows import arrow_table, plain_table

START = 1_790_000_000_000_000
"""Microseconds since the epoch, of the first Pix."""
_DAYS = 30
_PIX_PER_ACCOUNT = 20
_CHAIN = 6
"""Accounts of a chain: the Pix between them lie 150 ms apart."""
_GAP = 150_000
_CHAINS_PER_PIX = 0.002
_PIX_PER_MULE = 100
_RETURNS = 0.005
_FILE_ROWS = 131_072
_REPORTED_AFTER = DAY // 4


def write(folder: Path, pix: int, seed: int) -> None:
    """Write `score_events-*` of at least `pix` rows in time order, and `feedback-*`, to a folder.

    Each victim reports the first Pix of a chain, so that later chains start from tainted accounts. Some accounts pay
    and receive much more than others.
    """
    rng = np.random.default_rng(seed)
    payer, payee, at, reported = _pix(rng, pix)
    ids = np.array([f"E{number:031d}" for number in range(len(at))], dtype=object)
    back = rng.random(len(at)) < _RETURNS
    ids[back] = [f"D{id_[1:]}" for id_ in ids[back]]
    names = _names(int(max(payer.max(), payee.max())) + 1)
    amount = np.round(rng.lognormal(4.5, 1.2, len(at)) * 100).astype(np.int64) + 1
    for number, start in enumerate(range(0, len(at), _FILE_ROWS)):
        some = slice(start, start + _FILE_ROWS)
        rows = _rows(ids[some], names, payer[some], payee[some], at[some], amount[some])
        pq.write_table(rows, folder / f"score_events-{number:06d}.parquet")
    reports = [_report(ids[i], int(at[i]) + _REPORTED_AFTER) for i in reported.tolist() if not back[i]]
    pq.write_table(arrow_table(table("feedback"), reports), folder / "feedback-000000.parquet")


def _pix(rng: np.random.Generator, pix: int) -> tuple[NDArray[np.int64], ...]:
    """Return payers, payees and times of Pix in time order, and the numbers of those that are reported."""
    accounts, chains = max(pix // _PIX_PER_ACCOUNT, 50), max(int(pix * _CHAINS_PER_PIX), 1)
    mules = max(chains * _CHAIN // _PIX_PER_MULE, 2 * _CHAIN)
    ordinary = pix - chains * (_CHAIN - 1)
    end = START + _DAYS * DAY
    payer, payee = ((accounts * rng.random(ordinary) ** power).astype(np.int64) for power in (2, 3))
    at = rng.integers(START, end, ordinary)
    chain = accounts + np.argsort(rng.random((chains, mules)), axis=1)[:, :_CHAIN]
    chain[:, 0] = rng.integers(0, accounts, chains)
    times = rng.integers(START, end, chains)[:, None] + _GAP * np.arange(_CHAIN - 1)
    of, to = chain[:, :-1].ravel(), chain[:, 1:].ravel()
    payer, payee, at = (np.concatenate(each) for each in ((payer, of), (payee, to), (at, times.ravel())))
    order = np.argsort(at, kind="stable")
    first = np.zeros(len(at), dtype=bool)
    first[ordinary :: _CHAIN - 1] = True
    return payer[order], payee[order], at[order], np.flatnonzero(first[order])


def _names(count: int) -> NDArray[np.object_]:
    return np.array([blake2b(b"%d" % number, digest_size=16).hexdigest() for number in range(count)], dtype=object)


def _rows(
    ids: NDArray[np.object_],
    names: NDArray[np.object_],
    payer: NDArray[np.int64],
    payee: NDArray[np.int64],
    at: NDArray[np.int64],
    amount: NDArray[np.int64],
) -> pa.Table:
    # Of one account in fifty, the device is that of its neighbour.
    device = names[np.where(payer % 50 == 0, payer + 1 - 2 * (payer == len(names) - 1), payer)]
    values: dict[str, list[Any]] = {name: [None] * len(ids) for name in Event.__struct_fields__}
    values |= dict.fromkeys(("payer_ispb", "payee_ispb"), ["12345678"] * len(ids))
    values |= {"side": ["PAYER"] * len(ids), "payer_kind": ["PERSON"] * len(ids), "purpose": ["IPAY"] * len(ids)}
    values |= {"initiation_form": ["DICT"] * len(ids), "device_registered": (payer % 10 > 0).tolist()}
    values |= {"end_to_end_id": ids.tolist(), "initiated_at": at.tolist(), "amount": amount.tolist()}
    values |= {"payer_id": names[payer].tolist(), "payer_person_id": names[payer].tolist()}
    values |= {
        "payee_id": names[payee].tolist(),
        "payee_person_id": names[payee].tolist(),
        "device_id": device.tolist(),
    }
    return plain_table(values)


def _report(end_to_end_id: str, at: int) -> FeedbackRow:
    return FeedbackRow(
        "MED",
        f"m-{end_to_end_id}",
        end_to_end_id,
        at,
        at,
        status="CLOSED",
        analysis_result="AGREED",
        hop=1,
        state_hash=1,
    )
