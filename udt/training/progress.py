"""What training tells people while it runs."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

logger = logging.getLogger("udt")


@dataclass
class History:
    """What happened: mean training loss a pass, and validation score a pass if there is one.

    ``metric`` names the score, by the method of `SparseNetwork` that gives it. ``sifted`` has the
    shares of rows that were looked at and kept, a pass, if there was sifting.
    """

    metric: str = "accuracy"
    losses: list[float] = field(default_factory=list)
    scores: list[float] = field(default_factory=list)
    sifted: list[tuple[float, float]] = field(default_factory=list)


class Bar:
    """Holds a bar of tqdm, or none, and closes it at the end of the ``with`` block."""

    _bar: Any = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.close()


class Progress(Bar):
    """A bar over the rows of all passes from ``verbose=1`` on; from 2 on a log line a pass too."""

    def __init__(self, verbose: int, n_rows: int) -> None:
        self._verbose = verbose
        if verbose:
            from tqdm.auto import tqdm

            self._bar = tqdm(total=n_rows, unit=" rows", unit_scale=True, desc="Training")

    def tick(self, n_rows: int) -> None:
        """Count rows as done."""
        if self._bar is not None:
            self._bar.update(n_rows)

    def report(self, history: History) -> None:
        """Tell the figures of the pass just done."""
        figures = {"loss": f"{history.losses[-1]:.4f}"}
        if history.scores:
            figures[history.metric] = f"{history.scores[-1]:.4f}"
        if history.sifted:
            forwarded, kept = history.sifted[-1]
            figures["forwarded"], figures["kept"] = f"{forwarded:.1%}", f"{kept:.1%}"
        if self._bar is not None:
            self._bar.set_postfix(figures)
        if self._verbose > 1:
            told = ", ".join(f"{name} {value}" for name, value in figures.items())
            logger.info("pass %d: %s", len(history.losses), told)
