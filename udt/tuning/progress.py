"""What a search tells people while it runs."""

from __future__ import annotations

import math

from optuna.trial import FrozenTrial

from udt.training.progress import Bar, logger
from udt.tuning.budget import Budget


class Progress(Bar):
    """A bar over the budget from ``verbose=1`` on; from 2 on a log line a trial too."""

    def __init__(self, verbose: int, budget: Budget, n_trials: int | None) -> None:
        self._verbose, self._budget, self._n_trials = verbose, budget, n_trials
        if verbose:
            from tqdm.auto import tqdm

            by_time = math.isfinite(budget.seconds)
            total = round(budget.seconds) if by_time else n_trials
            self._bar = tqdm(
                total=total,
                desc="Tuning",
                bar_format="{desc}: {percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt}"
                + ("s{postfix}" if by_time else " [{elapsed}<{remaining}{postfix}]"),
            )

    def report(self, trial: FrozenTrial, best: FrozenTrial | None, n_done: int) -> None:
        """Tell of a trial that has just ended, and of the best so far."""
        if self._bar is not None:
            is_timed = math.isfinite(self._budget.seconds)
            done = min(self._budget.spent, self._bar.total) if is_timed else n_done
            self._bar.update(round(done) - self._bar.n)
            self._bar.set_postfix(
                {"trials": n_done, "best": "none" if best is None else f"{best.value:.4f}"}
            )
        if self._verbose > 1:
            value = "" if trial.value is None else f", {trial.value:.4f}"
            logger.info(
                "trial %d: %s%s, %s", trial.number, trial.state.name.lower(), value,
                trial.user_attrs.get("changes"),
            )  # fmt: skip
