"""Search for better parameters inside a budget."""

from __future__ import annotations

from importlib import import_module
from numbers import Real
from typing import TYPE_CHECKING, Any

from udt.tuning.budget import Budget, Limits, check_timeout, is_budget

if TYPE_CHECKING:
    from udt.classifier import UDTClassifier
    from udt.tuning.result import Tuning

# The search itself is imported where it is used: it needs optuna.


def tune(
    model: UDTClassifier,
    X: Any,
    y: Any,
    sample_weight: Any = None,
    *,
    scoring: Any = None,
    timeout: float | str | None = None,
    n_trials: int | None = None,
    cv: Any = None,
    max_model_bytes: float | None = None,
    max_predict_us: float | None = None,
    storage: Any = None,
    n_jobs: int | None = None,
) -> Tuning:
    """Search for better parameters inside a budget, and train with them on all rows.

    The first trial is the default, the next ones are changes of it that often pay, and those after
    them are proposed by a tree-structured Parzen estimator [1]_. A trial is scored on one fold
    after the other, and goes on only while it is among the better third (asynchronous successive
    halving [2]_). Some rows are sealed: no trial is trained on them. They tell what the best is
    worth, and it takes the place of the default if it is better over all rows, these included.

    The budget covers everything, the last training included. Where it has no room for
    fifteen trainings of the default, the search is on fewer rows; where it has none for one, there
    is no search. Ctrl-C ends the search, and the best so far is trained.

    Parameters
    ----------
    model : UDTClassifier
        Parameters that it does not have from its constructor alone stay as they are. It is not
        changed.
    X, y, sample_weight
        As for `UDTClassifier.fit`.
    scoring : str, callable or None, default=None
        A scorer of scikit-learn, its name, or a function ``scoring(model, X, y)``: more is better.
        None takes accuracy; where rows may have any number of labels, micro-averaged F1, or P@1
        (how often the most probable label is right) from 1000 labels on.
    timeout : float, str or None, default=None
        Wall-clock time, in seconds or as in "30s", "5m" or "1h".
    n_trials : int or None, default=None
        Trials in all, with those that ``storage`` has. The same ``random_state`` gives the same
        study where there is no ``timeout``, ``n_jobs`` is 1 and ``max_predict_us`` is None.
    cv : int, splitter, iterable or None, default=None
        How rows that are not sealed are parted, as in scikit-learn. None takes one, two or all of
        five folds, as rows and time allow.
    max_model_bytes : float or None, default=None
        The most that the model's file may take.
    max_predict_us : float or None, default=None
        The most that it may take to predict one row alone, in microseconds (median).
    storage : str, path, optuna.storages.BaseStorage or None, default=None
        Where to keep the study: a URL such as "sqlite:///study.db", the path of a database
        (``*.db``), or that of a journal. A study of the same data and settings is gone on with, and
        several processes can work on it.
    n_jobs : int or None, default=None
        Trials at a time, which share the threads of the model. None is 1.

    Returns
    -------
    Tuning

    Raises
    ------
    ValueError, TypeError
        If an argument is unusable, or if no trial keeps the limits.

    References
    ----------
    .. [1] J. Bergstra et al., "Algorithms for hyper-parameter optimization", NeurIPS 2011.
    .. [2] L. Li et al., "A system for massively parallel hyperparameter tuning", MLSys 2020.

    Examples
    --------
    >>> import udt
    >>> texts = ["card lost", "lost my card", "top up failed", "my top up was declined"] * 10
    >>> labels = ["lost", "lost", "top-up", "top-up"] * 10
    >>> tuning = udt.tune(udt.UDTClassifier(random_state=0), texts, labels, n_trials=3)
    >>> tuning.estimator.predict(["I lost it"])
    array(['lost'], dtype='<U6')
    >>> tuning.best_params, len(tuning.trials)
    ({}, 3)
    """
    need_optuna()
    from udt.tuning.search import search

    limits = Limits(max_model_bytes, max_predict_us)
    _check(model, timeout, n_trials, limits)
    return search(
        model, X, y, sample_weight, scoring=scoring, budget=Budget(check_timeout(timeout)),
        n_trials=n_trials, cv=cv, limits=limits, storage=storage, n_jobs=n_jobs,
    )  # fmt: skip


def _check(model: Any, timeout: Any, n_trials: Any, limits: Limits) -> None:
    """Raise if an argument is unusable."""
    from udt.classifier import UDTClassifier

    if not isinstance(model, UDTClassifier):
        raise TypeError(f"model is of type {type(model).__name__}: give a UDTClassifier.")
    if timeout is None and n_trials is None:
        raise ValueError(
            'There is no budget: give timeout="60s" or another time, n_trials=50 or another '
            "number of trials, or both."
        )
    if n_trials is not None and (isinstance(n_trials, str) or not is_budget(n_trials)):
        raise ValueError(f"n_trials={n_trials!r}: give a whole number from 1 on, or None.")
    for name, limit in zip(("max_model_bytes", "max_predict_us"), limits, strict=True):
        is_number = isinstance(limit, Real) and not isinstance(limit, bool)
        if limit is not None and not (is_number and limit > 0):
            raise ValueError(f"{name}={limit!r}: give a number above 0, or None.")


def need_optuna() -> None:
    """Raise if optuna is missing, with the command that installs it."""
    try:
        import_module("optuna")
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "A search needs the package optuna, which is not installed: `pip install 'udt[tune]'`."
        ) from error
