"""The trials of a study, until the budget ends."""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor
from threading import Lock

import optuna
from optuna.trial import FrozenTrial, TrialState

from udt.tuning.budget import Budget
from udt.tuning.pilot import Pilot
from udt.tuning.plan import MARGIN
from udt.tuning.progress import Progress
from udt.tuning.space import Space
from udt.tuning.trials import STEPS, Objective


class Run:
    """The trials of a study, one after the other or several at a time, until the budget ends."""

    def __init__(
        self,
        study: optuna.Study,
        pilot: Pilot,
        space: Space,
        budget: Budget,
        n_trials: int | None,
        verbose: int,
    ) -> None:
        self.study, self.space = study, space
        self.budget, self.n_trials = budget, n_trials
        self._progress = Progress(verbose, budget, n_trials)
        self._is_stopped = False
        self._reserve = (1 + MARGIN) * pilot.seconds(len(pilot.rows))
        self._lock = Lock()
        for changes in ({}, *space.firsts):
            study.enqueue_trial(space.complete(changes), skip_if_exists=True)

    def go(self, objective: Objective, n_workers: int) -> None:
        """Run trials until time or number are used up; Ctrl-C ends the search early."""
        with self._progress:
            try:
                if n_workers == 1:
                    self._work(objective)
                else:
                    with ThreadPoolExecutor(n_workers) as pool:
                        futures = [pool.submit(self._work, objective) for _ in range(n_workers)]
                        try:
                            for future in futures:
                                future.result()
                        finally:
                            self._is_stopped = True
            except KeyboardInterrupt:
                if best_trial(self._trials()) is None:
                    raise

    def is_over(self) -> bool:
        """Tell whether what is left is needed for the last training, or the search was ended."""
        return self._is_stopped or self.budget.left <= self._reserve

    def _trials(self) -> list[FrozenTrial]:
        return self.study.get_trials(deepcopy=False)

    def _work(self, objective: Objective) -> None:
        while not self.is_over() and not self._has_all():
            trial = self.study.ask(self.space.distributions)
            try:
                self.study.tell(trial, objective(trial))
            except optuna.TrialPruned:
                self.study.tell(trial, state=TrialState.PRUNED)
            except Exception:  # which the trial has as a user attribute
                self.study.tell(trial, state=TrialState.FAIL)
            except BaseException:
                self._is_stopped = True  # for other threads, whom the interruption has not reached
                self.study.tell(trial, state=TrialState.FAIL)
                raise
            trials = self._trials()
            best = best_trial(trials, self.budget.left)
            if best is not None:
                self._reserve = (1 + MARGIN) * best.user_attrs["seconds"]
            with self._lock:
                self._combine(trials)
                n_finished = sum(trial.state.is_finished() for trial in trials)
                self._progress.report(trials[trial.number], best, n_finished)

    def _combine(self, trials: list[FrozenTrial]) -> None:
        """Once the single changes have been tried, enqueue those together that helped."""
        firsts = trials[: len(self.space.firsts) + 1]
        if "combined" in self.study.user_attrs or not all(t.state.is_finished() for t in firsts):
            return
        self.study.set_user_attr("combined", True)
        gains = [(_gain(trial, firsts[0]), trial.user_attrs["changes"]) for trial in firsts[1:]]
        helpful = sorted((pair for pair in gains if pair[0] > 0), key=lambda pair: pair[0])
        for chosen in (helpful[-2:], helpful):
            if len(chosen) > 1:
                changes = {name: value for _, changes in chosen for name, value in changes.items()}
                self.study.enqueue_trial(self.space.complete(changes), skip_if_exists=True)

    def _has_all(self) -> bool:
        """Tell whether there are as many trials, finished or not, as there shall be."""
        if self.n_trials is None:
            return False
        begun = [trial.state != TrialState.WAITING for trial in self._trials()]
        return sum(begun) >= self.n_trials


def _gain(trial: FrozenTrial, default: FrozenTrial) -> float:
    """Tell by how much a trial was better than the default where both came last."""
    here, there = trial.intermediate_values, default.intermediate_values
    common = [step for step in here if step in there and step >= STEPS]
    return here[max(common)] - there[max(common)] if common else -math.inf


def best_trial(trials: list[FrozenTrial], seconds: float = math.inf) -> FrozenTrial | None:
    """Give the best complete trial that keeps the limits and can be trained in some time."""
    best: FrozenTrial | None = None
    for trial in trials:
        if trial.state != TrialState.COMPLETE or trial.user_attrs["seconds"] > seconds:
            continue
        if max(trial.user_attrs["excess"], default=0) > 0:
            continue
        if best is None or trial.value > best.value:
            best = trial
    return best


def is_confirmed(trial: FrozenTrial, default: FrozenTrial) -> bool:
    """Tell whether a trial is better than the default over all rows, with the sealed ones."""
    return _over_all_rows(trial) > _over_all_rows(default)


def _over_all_rows(trial: FrozenTrial) -> float:
    n_scored, n_sealed = trial.user_attrs["rows"]
    total = n_scored * trial.value + n_sealed * trial.user_attrs["sealed"]
    return float(total / (n_scored + n_sealed))
