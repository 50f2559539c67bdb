"""How thoroughly trials are scored: what data and time allow."""

from __future__ import annotations

import math
from typing import NamedTuple

from udt.tuning.pilot import Pilot

#: Share of the time for a training on all rows that is kept besides, for what is not foreseen.
MARGIN = 0.15
#: Trainings of the default for which a search should have time: else it takes fewer rows.
_FEW = 15


class Plan(NamedTuple):
    """How trials are scored: through how many folds they go, on which share of the rows.

    ``preliminary`` tells whether they begin with a quarter of the rows.
    """

    n_stages: int
    share: float
    preliminary: bool


def make_plan(pilot: Pilot, seconds: float) -> Plan | None:
    """Make a plan for a search of so many seconds, or none where a training takes longer."""
    n = len(pilot.rows)
    most = 5 if n <= 20_000 else 2 if n <= 100_000 else 1  # many rows need few folds
    if math.isinf(seconds):
        return Plan(most, 1.0, most == 1)
    whole = pilot.seconds(n)
    if whole > seconds:
        return None
    left = max(seconds - (1 + MARGIN) * whole, 0.0)
    share = 1.0
    while share * n > 1000 and pilot.seconds(round(share * n)) > left / _FEW:
        share /= 1.5
    n_affordable = left / pilot.seconds(round(share * n))
    n_stages = min(most, 5 if n_affordable > 40 else 2 if n_affordable > 15 else 1)
    return Plan(n_stages, share, n_stages == 1 and share * n > 10_000)
