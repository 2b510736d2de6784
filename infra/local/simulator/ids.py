"""EndToEndIds of payments, and ids of returns."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator

from infra.local.simulator.clock import HOUR_MS, MINUTE_MS
from infra.local.simulator.config import Form
from infra.local.simulator.identity import strings
from infra.local.simulator.payments import Payments
from infra.local.simulator.psp import INITIATORS, PSPS
from infra.local.simulator.world import World

_ISPBS = np.array([list(ispb.encode()) for ispb in (*(psp.ispb for psp in PSPS), *INITIATORS)], dtype=np.uint8)
_NO_SEPARATORS = str.maketrans("", "", "-T:")


def return_id(rng: Generator, world: World, payee: int, at: int) -> str:
    """Draw the id of a return (RtrId): D, ISPB of the payee's PSP, UTC minute, 11 characters of its alphabet."""
    psp = PSPS[int(world.psp[payee])]
    minute = str(np.datetime64(at // MINUTE_MS, "m")).translate(_NO_SEPARATORS)
    return f"D{psp.ispb}{minute}{strings(rng, psp.alphabet, 1, 11)[0]}"


def end_to_end_ids(rng: Generator, world: World, rows: Payments) -> list[str]:
    """Draw EndToEndIds: E, ISPB, UTC minute, 11 characters in the alphabet of the payer's PSP.

    The ISPB is that of the payer's PSP or of the initiator. The minute is that of the Pix, or an earlier one: Pix
    Automático has its id when it is scheduled.
    """
    count = len(rows)
    if not count:
        return []
    text = np.empty((count, 32), dtype=np.uint8)
    text[:, 0] = ord("E")
    psp = world.psp[rows.payer]
    initiator = len(PSPS) + rng.integers(0, len(INITIATORS), count)
    text[:, 1:9] = _ISPBS[np.where(rows.form == Form.INIC, initiator, psp)]
    earliest = np.where(rows.form == Form.AUTO, 8 * HOUR_MS, np.where(rows.form == Form.INIC, 2 * MINUTE_MS, 0))
    drawn_at = rows.at - (rng.random(count) * earliest).astype(np.int64)
    minute = np.datetime_as_string(drawn_at.astype("datetime64[ms]"), unit="m").astype("S16")
    text[:, 9:21] = minute.view(np.uint8).reshape(count, 16)[:, [0, 1, 2, 3, 5, 6, 8, 9, 11, 12, 14, 15]]
    alphabets = np.zeros((len(PSPS), 62), dtype=np.uint8)
    for row, participant in enumerate(PSPS):
        alphabets[row, : len(participant.alphabet)] = participant.alphabet
    sizes = np.array([len(participant.alphabet) for participant in PSPS])[psp]
    drawn = (rng.random((count, 11)) * sizes[:, None]).astype(np.int64)
    text[:, 21:] = alphabets[psp[:, None], drawn]
    return text.view("S32").ravel().astype(str).tolist()
