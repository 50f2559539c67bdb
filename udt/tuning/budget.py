"""Budgets and limits: what people write, and how much is left."""

from __future__ import annotations

import math
import re
import time
from numbers import Integral, Real
from typing import Any, NamedTuple

_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0}
_TIME = re.compile(r"\s*(\d+(?:\.\d*)?|\.\d+)\s*(s|m|h)\s*")
EXAMPLES = 'a time such as "30s", "5m" or "1h"'


def read_seconds(text: str) -> float | None:
    """Give the seconds of a time with a unit, or None if it is none.

    Examples
    --------
    >>> read_seconds("30s"), read_seconds("1.5m"), read_seconds("soon")
    (30.0, 90.0, None)
    """
    match = _TIME.fullmatch(text)
    seconds = float(match[1]) * _UNITS[match[2]] if match else 0.0
    return seconds if seconds > 0 else None


def is_budget(value: Any) -> bool:
    """Tell whether a value is a time with a unit, or a number of trials."""
    if isinstance(value, str):
        return read_seconds(value) is not None
    return isinstance(value, Integral) and not isinstance(value, bool) and int(value) >= 1


def check_timeout(timeout: Any) -> float | None:
    """Give a time, with its unit or in seconds, as seconds.

    Raises
    ------
    ValueError
        If it is none, or not above zero.
    """
    if timeout is None:
        return None
    seconds = read_seconds(timeout) if isinstance(timeout, str) else None
    if isinstance(timeout, Real) and not isinstance(timeout, bool):
        seconds = float(timeout)
    if seconds is None or not 0 < seconds < math.inf:
        raise ValueError(f"timeout={timeout!r}: give seconds above 0, or {EXAMPLES}.")
    return seconds


class Budget:
    """Time from the making of this object on.

    Parameters
    ----------
    seconds : float or None
        None is all the time in the world.
    """

    def __init__(self, seconds: float | None) -> None:
        self.seconds = math.inf if seconds is None else seconds
        self._start = time.perf_counter()

    @property
    def spent(self) -> float:
        """Seconds since the start."""
        return time.perf_counter() - self._start

    @property
    def left(self) -> float:
        """Seconds that are left, below zero if it was overdrawn."""
        return self.seconds - self.spent


class Limits(NamedTuple):
    """What a model may take: bytes of its file, and microseconds for a row alone."""

    model_bytes: float | None = None
    predict_us: float | None = None

    def excess(self, needs: dict[str, float]) -> list[float]:
        """Tell by which share each limit is passed; it is kept where that is not above 0."""
        limits = {"bytes": self.model_bytes, "micros": self.predict_us}
        return [needs[name] / limit - 1 for name, limit in limits.items() if limit is not None]


NO_LIMITS = Limits()
