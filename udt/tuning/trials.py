"""What a trial does: train on part after part, be scored on each, and give up early."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import optuna

from udt.classifier import UDTClassifier
from udt.tuning.budget import Limits
from udt.tuning.candidate import Candidate, Scorer
from udt.tuning.parts import Part, Parts
from udt.tuning.pilot import Pilot
from udt.tuning.space import Space

#: Steps that a trial counts for each part; those within the first tell of its passes.
STEPS = 8


class Stopped(optuna.TrialPruned):
    """The search is over."""


@dataclass(eq=False)
class Objective:
    """Gives the score of a trial: the mean over its parts.

    User attributes tell of a trial: ``changes``, what is not as in the default; ``scores``, on each
    part; ``sealed``, on rows that no trial trains on; ``rows``, how many these and those are;
    ``seconds`` that a training on all rows is
    about to take; ``needs``, what is limited, and the ``excess``; ``error``, why it failed.

    Parameters
    ----------
    model : UDTClassifier
        What is to be tuned.
    pilot : Pilot
    space : Space
    parts : Parts
    scorer : callable or None
    limits : Limits
    n_threads : int or None
        Threads of a trial.
    is_over : callable
        Asked after each pass whether there is time for another one.
    """

    model: UDTClassifier
    pilot: Pilot
    space: Space
    parts: Parts
    scorer: Scorer | None
    limits: Limits
    n_threads: int | None
    is_over: Callable[[], bool]

    def __call__(self, trial: optuna.Trial) -> float:
        """Train and score."""
        changes = self.space.changes(trial.params)
        trial.set_user_attr("changes", changes)
        try:
            return self._run(trial, changes)
        except optuna.TrialPruned:
            raise
        except Exception as error:
            trial.set_user_attr("error", f"{type(error).__name__}: {error}")
            raise

    def _run(self, trial: optuna.Trial, changes: dict[str, Any]) -> float:
        scores: list[float] = []
        candidates: list[Candidate] = []
        seconds = 0.0
        for number, part in enumerate(self.parts.stages):
            candidate = self._candidate(changes, len(part))
            took = candidate.train(part, partial(self._watch, trial, number, set()))
            score = candidate.measure(part.validation, self.scorer)
            if number == 0:
                self._limit(trial, candidate, part)
            if not part.is_preliminary:
                scores.append(score)
                candidates.append(candidate)
                seconds = max(seconds, took / self.pilot.seconds(len(part)))
            trial.report(float(np.mean(scores or [score])), STEPS * (number + 1))
            is_last = number + 1 == len(self.parts.stages)
            if not is_last and trial.should_prune() and trial.number:
                raise optuna.TrialPruned
        sealed = [candidate.measure(self.parts.sealed, self.scorer) for candidate in candidates]
        n_scored = sum(len(p.validation) for p in self.parts.stages if not p.is_preliminary)
        trial.set_user_attr("rows", [n_scored, len(self.parts.sealed)])
        trial.set_user_attr("scores", scores)
        trial.set_user_attr("sealed", float(np.mean(sealed)))
        trial.set_user_attr("seconds", seconds * self.pilot.seconds(len(self.pilot.rows)))
        return float(np.mean(scores))

    def _candidate(self, changes: dict[str, Any], n_rows: int) -> Candidate:
        """Make what a trial trains; sizes that follow the rows do so here, too."""
        params = {**self.pilot.pins, **changes}
        here, there = self.pilot.settings(n_rows), self.pilot.settings(len(self.pilot.rows))
        for name in ("max_iter", "batch_size"):
            if name in changes:
                share = getattr(here, name) / getattr(there, name)
                params[name] = max(1, round(params[name] * share))
        return Candidate.of(self.model).set_params(**params, n_jobs=self.n_threads)

    def _watch(
        self, trial: optuna.Trial, number: int, reported: set[int], now: Candidate, done: float
    ) -> None:
        if self.is_over():
            raise Stopped
        step = int(STEPS * done)
        if number == 0 and done < 1 and step not in reported:
            reported.add(step)
            trial.report(now.measure(self.parts.stages[0].validation, self.scorer), step)
            if trial.should_prune() and trial.number:  # what is compared with the default needs it
                raise optuna.TrialPruned

    def _limit(self, trial: optuna.Trial, candidate: Candidate, part: Part) -> None:
        """Measure what is limited."""
        needs: dict[str, float] = {}
        if self.limits.model_bytes is not None:
            needs["bytes"] = candidate.model_bytes()
        if self.limits.predict_us is not None:
            needs["micros"] = candidate.micros_a_row(part.validation)
        trial.set_user_attr("needs", needs)
        trial.set_user_attr("excess", self.limits.excess(needs))
