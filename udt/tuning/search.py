"""The search for better parameters inside a budget, and the training with them on all rows."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution
from optuna.trial import FrozenTrial, TrialState
from sklearn.base import clone
from sklearn.metrics import get_scorer
from sklearn.utils import check_random_state

from udt import defaults, targets
from udt.classifier import UDTClassifier, read_input
from udt.model_file import size
from udt.threads import effective_n_jobs
from udt.tuning.budget import NO_LIMITS, Budget, Limits, read_seconds
from udt.tuning.candidate import Candidate, own_metric
from udt.tuning.parts import Rows, Scored, can_be_parted, make_parts
from udt.tuning.pilot import fly
from udt.tuning.plan import Plan, make_plan
from udt.tuning.result import Tuning
from udt.tuning.run import Run, best_trial, is_confirmed
from udt.tuning.space import ANY_DATA, make_space
from udt.tuning.storage import open_storage, study_name
from udt.tuning.trials import STEPS, Objective

#: Trials before the sampler makes use of what they found: the first ones, and some at random.
_STARTUP = 25


def search_within(
    model: UDTClassifier, X: Any, y: Any, sample_weight: Any, validation: dict[str, Any]
) -> Tuning:
    """Do what `UDTClassifier.fit` does with ``tune``; ``validation`` are arguments of it."""
    defaults.check(model)
    tune: Any = model.tune
    if isinstance(tune, str):
        budget, n_trials = Budget(read_seconds(tune)), None
    else:
        budget, n_trials = Budget(None), int(tune)
    return search(
        model, X, y, sample_weight, budget=budget, n_trials=n_trials, validation=validation
    )


def search_space(model: UDTClassifier, X: Any, y: Any) -> dict[str, BaseDistribution]:
    """Give what `tune` searches; see `UDTClassifier.search_space`."""
    defaults.check(model)
    if X is None:
        return make_space(model, ANY_DATA).distributions
    rows = _read_rows(X, y, None)
    base = Candidate.of(model)
    with _quiet():
        return make_space(base, fly(clone(base), rows, seed=0).facts).distributions


def search(
    model: UDTClassifier,
    X: Any,
    y: Any,
    sample_weight: Any = None,
    *,
    budget: Budget,
    n_trials: int | None,
    scoring: Any = None,
    validation: dict[str, Any] | None = None,
    cv: Any = None,
    limits: Limits = NO_LIMITS,
    storage: Any = None,
    n_jobs: int | None = None,
) -> Tuning:
    """Do what `udt.tune` does, with checked limits.

    ``validation`` are the arguments of `UDTClassifier.fit` with rows to validate on.
    """
    defaults.check(model)
    scorer = None if scoring is None else get_scorer(scoring)
    n_workers = 1 if n_jobs is None else effective_n_jobs(n_jobs)
    rows = _read_rows(X, y, sample_weight)
    validation = validation or {}
    scored = _read_validation(model, rows, **validation)
    base = Candidate.of(model)
    if base.random_state is None and storage is not None:
        base.random_state = 0  # all who work on a study must score its trials alike
    seed = int(check_random_state(base.random_state).randint(2**31 - 1))
    if not isinstance(base.random_state, (int, np.integer)):
        base.random_state = seed
    with _quiet():
        pilot = fly(clone(base), rows, seed)
    plan = make_plan(pilot, budget.left)
    if plan is None:
        warnings.warn(
            f"There is no search: a training takes about {pilot.seconds(len(rows)):.1f} s, and "
            f"{max(budget.left, 0):.1f} s are left of {budget.seconds:.1f} s. Give more time.",
            UserWarning,
            stacklevel=3,
        )
    with _quiet():
        study = optuna.create_study(
            direction="maximize",
            storage=open_storage(storage),
            study_name=study_name(base, rows, scoring, cv, limits) if storage is not None else None,
            load_if_exists=True,
            pruner=optuna.pruners.SuccessiveHalvingPruner(
                min_resource=STEPS // 2, reduction_factor=3
            ),
        )
        study.sampler = _sampler(seed + len(study.get_trials(deepcopy=False)), limits)
        if plan is not None:
            plan = _keep(study, plan)
            parts = make_parts(rows, **plan._asdict(), seed=seed, cv=cv, validation=scored)
            run = Run(study, pilot, make_space(base, pilot.facts), budget, n_trials, model.verbose)
            n_threads = model.n_jobs
            if n_workers > 1:
                n_threads = max(1, effective_n_jobs(model.n_jobs) // n_workers)
            objective = Objective(
                base, pilot, run.space, parts, scorer, limits, n_threads, run.is_over
            )
            run.go(objective, n_workers)
    if limits == NO_LIMITS:
        _warn_of_failures(study)
    return _conclude(model, rows, validation, study, budget, limits, _name(scoring, rows))


def _keep(study: optuna.Study, plan: Plan) -> Plan:
    """Give the plan of a study that is gone on with, so that its scores compare."""
    kept = study.user_attrs.get("plan")
    if kept is None:
        study.set_user_attr("plan", list(plan))
        return plan
    return Plan(*kept)


def _sampler(seed: int, limits: Limits) -> optuna.samplers.BaseSampler:
    n_limits = len(limits.excess({"bytes": 0, "micros": 0}))

    def excess(trial: FrozenTrial) -> list[float]:
        found: list[float] = trial.user_attrs.get("excess", [0.0] * n_limits)
        return found

    return optuna.samplers.TPESampler(
        seed=seed % 2**32,
        multivariate=True,
        n_startup_trials=_STARTUP,
        constraints_func=excess if n_limits else None,
    )


def _conclude(
    model: UDTClassifier,
    rows: Rows,
    validation: dict[str, Any],
    study: optuna.Study,
    budget: Budget,
    limits: Limits,
    metric: str,
) -> Tuning:
    """Train with the best parameters on all rows, or the next best if the model is too large.

    Raises
    ------
    ValueError
        If no trial keeps the limits.
    """
    trials = study.get_trials(deepcopy=False)
    default = trials[0] if trials and trials[0].state == TrialState.COMPLETE else None
    while True:
        best = best_trial(trials, budget.left) or best_trial(trials[:1]) or best_trial(trials)
        if best is None and limits != NO_LIMITS:
            raise ValueError(_why_none(study, limits))
        if best is not None and default in trials and default == best_trial([default]):
            best = best if is_confirmed(best, default) else default
        changes = {} if best is None else best.user_attrs["changes"]
        estimator = clone(model).set_params(tune=None, **changes)
        estimator.fit(rows.X, rows.y, rows.sample_weight, **validation)
        if best is None or limits.model_bytes is None or size(estimator) <= limits.model_bytes:
            break
        trials.remove(best)
    return Tuning(
        estimator=estimator,
        best_params=changes,
        score=None if best is None else best.user_attrs["sealed"],
        default_score=None if default is None else default.user_attrs["sealed"],
        metric=metric,
        study=study,
        best_trial=None if best is None else best.number,
        seconds=budget.spent,
    )


def _warn_of_failures(study: optuna.Study) -> None:
    """Warn if there is nothing but failures."""
    if errors := _failures(study):
        warnings.warn(
            f"None of {len(errors)} trials could be scored: {errors[0]} The default was trained.",
            UserWarning,
            stacklevel=4,
        )


def _failures(study: optuna.Study) -> list[str]:
    """Give what trials raised, if none was complete."""
    trials = study.get_trials(deepcopy=False)
    if any(trial.state == TrialState.COMPLETE for trial in trials):
        return []
    errors = [t.user_attrs["error"] for t in trials if "error" in t.user_attrs]
    return [error.rstrip(".") + "." for error in errors]


def _why_none(study: optuna.Study, limits: Limits) -> str:
    """Say which limits no trial kept, and how near they came."""
    if errors := _failures(study):
        return f"None of {len(errors)} trials could be scored: {errors[0]}"
    needs = [trial.user_attrs.get("needs", {}) for trial in study.get_trials(deepcopy=False)]
    n_bytes = min((need["bytes"] for need in needs if "bytes" in need), default=None)
    micros = min((need["micros"] for need in needs if "micros" in need), default=None)
    near = f" The smallest model had {n_bytes:,} bytes." if n_bytes is not None else ""
    near += f" The fastest one took {micros:,.1f} us for a row." if micros is not None else ""
    near = near or " There was no time to try one."
    return (
        f"No trial keeps max_model_bytes={limits.model_bytes} and "
        f"max_predict_us={limits.predict_us}.{near} Allow more, or quantise what a search "
        "without limits finds (UDTClassifier.quantize)."
    )


def _read_rows(X: Any, y: Any, sample_weight: Any) -> Rows:
    """Read all that is to be learnt from."""
    data = read_input(X)
    target = targets.read_targets(y, data.n_rows)
    X = X if can_be_parted(X) else data
    if sample_weight is None:
        return Rows(X, y, data, target, None)
    targets.check_weights(sample_weight, None, np.zeros(data.n_rows))
    weights = np.broadcast_to(np.asarray(sample_weight, dtype=np.float64), data.n_rows)
    return Rows(X, y, data, target, weights)


def _read_validation(
    model: UDTClassifier,
    rows: Rows,
    X_val: Any = None,
    y_val: Any = None,
    sample_weight_val: Any = None,
) -> Scored | None:
    """Read the rows to validate on, if there are any."""
    found = model._validation(X_val, y_val, sample_weight_val, rows.target, rows.data)
    if found is None:
        return None
    data, numbers, weights = found
    return Scored(X_val, y_val, data, numbers, None if sample_weight_val is None else weights)


def _name(scoring: Any, rows: Rows) -> str:
    if scoring is None:
        return own_metric(rows.target.numbers)
    return scoring if isinstance(scoring, str) else getattr(scoring, "__name__", str(scoring))


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence Optuna, and warnings of trials: what they have to say is in the study."""
    level = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        optuna.logging.set_verbosity(level)
