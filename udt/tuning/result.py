"""What a search found: the classifier, and what was tried."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import optuna
from optuna.trial import FrozenTrial, TrialState

if TYPE_CHECKING:
    import pandas as pd

    from udt.classifier import UDTClassifier


@dataclass(frozen=True, eq=False)
class Tuning:
    """What `udt.tune` found.

    Attributes
    ----------
    estimator : UDTClassifier
        With the best parameters, trained on all rows.
    best_params : dict
        What is not as in the default: empty if nothing was better.
    score, default_score : float or None
        Of the best parameters and of the default, on rows that no trial was trained on. They also
        count in whether the best takes the place of the default. None if nothing was measured.
    metric : str
        What a score is.
    study : optuna.Study
        All trials, for Optuna's own tools. Trial 0 is the default.
    best_trial : int or None
        Number of the trial that was best; None if there was no search.
    seconds : float
        All in all.
    """

    estimator: UDTClassifier
    best_params: dict[str, Any]
    score: float | None
    default_score: float | None
    metric: str
    study: optuna.Study
    best_trial: int | None
    seconds: float

    @property
    def trials(self) -> pd.DataFrame:
        """A row for each trial: its score, and what was tried."""
        import pandas as pd

        return pd.DataFrame(self._rows())

    @property
    def failures(self) -> dict[int, str]:
        """Why trials failed, by their numbers."""
        trials = self.study.get_trials(deepcopy=False, states=(TrialState.FAIL,))
        return {t.number: t.user_attrs.get("error", "it was interrupted") for t in trials}

    def report(self) -> str:
        """Give a page of text about what was tried and what mattered, as Markdown.

        `udt.tuning.page.write` writes it to a file, also as a web page with plots.

        Examples
        --------
        >>> import udt
        >>> texts = ["card lost", "lost my card", "top up failed", "my top up was declined"] * 10
        >>> labels = ["lost", "lost", "top-up", "top-up"] * 10
        >>> tuning = udt.tune(udt.UDTClassifier(random_state=0), texts, labels, n_trials=2)
        >>> print(tuning.report())
        # Tuning: accuracy
        ...
        """
        from udt.tuning.report import make_report, to_markdown

        return to_markdown(make_report(self))

    def summary(self) -> dict[str, Any]:
        """Give what was found in plain values, without classifier and study."""
        return {
            "best_params": self.best_params,
            "score": self.score,
            "default_score": self.default_score,
            "metric": self.metric,
            "seconds": self.seconds,
            "trials": self._rows(),
        }

    def _rows(self) -> list[dict[str, Any]]:
        trials = self.study.get_trials(deepcopy=False)
        return [_row(trial) for trial in trials if trial.state != TrialState.WAITING]


def _row(trial: FrozenTrial) -> dict[str, Any]:
    seconds = None if trial.duration is None else trial.duration.total_seconds()
    return {
        "number": trial.number,
        "state": trial.state.name.lower(),
        "score": trial.value,
        "sealed_score": trial.user_attrs.get("sealed"),
        "seconds": seconds,
        **trial.params,
    }
