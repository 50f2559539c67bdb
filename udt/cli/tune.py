"""``udt tune``: a file of labelled rows -> better parameters, a model, and a page about both."""

from __future__ import annotations

import argparse
import os
import sys
from collections import Counter
from typing import TYPE_CHECKING

from udt.cli.arguments import UsageError
from udt.cli.output import check_place, say, would_overwrite, write_rows
from udt.cli.parameters import parameters
from udt.cli.train import check_inputs, finish, read_all, save

if TYPE_CHECKING:
    from optuna.storages import BaseStorage

    from udt.tuning.result import Tuning

__all__ = ["run"]


def run(args: argparse.Namespace) -> None:
    """Search, and perhaps save and measure what was found."""
    args.valid = None  # folds are what is watched
    check_inputs(args)
    _check(args)
    arguments = parameters(args)
    if "tune" in arguments:
        raise UsageError("--param tune is for `udt train`; here give --timeout or --n-trials")
    from udt import UDTClassifier, tune
    from udt.tuning import need_optuna

    need_optuna()
    from udt.tuning.page import check_format, write

    if args.report is not None:
        try:
            check_format(args.report)
        except ValueError as error:
            raise UsageError(f"--report {error}") from error
    _check_scoring(args.scoring)
    rows, held_out, about = read_all(args, arguments)

    tuning = tune(
        UDTClassifier(**arguments),
        rows.features,
        rows.labels,
        scoring=args.scoring,
        timeout=args.timeout,
        n_trials=args.n_trials,
        cv=args.cv,
        max_model_bytes=args.max_model_bytes,
        max_predict_us=args.max_predict_us,
        storage=_open(args.storage),
        n_jobs=args.workers,
    )
    model = tuning.estimator
    saved = {} if args.model is None else save(model, args)
    if args.report is not None:
        write(tuning, args.report)
        if not args.quiet:
            say(f"wrote {args.report}")
    if not args.json:
        _write(tuning)
    told = {**tuning.summary(), "best_trial": tuning.best_trial, "failures": tuning.failures}
    finish(args, model, held_out, {**saved, **about, "classes": len(model.classes_), **told})


def _check(args: argparse.Namespace) -> None:
    if args.timeout is None and args.n_trials is None:
        raise UsageError("there is no budget: give --timeout 60s, --n-trials 50, or both")
    outputs = {"--model": args.model, "--report": args.report}
    if args.storage is not None and "://" not in args.storage:
        outputs["--storage"] = args.storage
    given = {option: path for option, path in outputs.items() if path is not None}
    for option, path in given.items():
        check_place(option, path)
        if would_overwrite(path, args.data, args.test):
            raise UsageError(f"{option} {path} would overwrite what is read")
    if len({os.path.realpath(path) for path in given.values()}) < len(given):
        raise UsageError(f"{' and '.join(given)} must be different files")


def _check_scoring(scoring: str | None) -> None:
    from sklearn.metrics import get_scorer_names

    if scoring is not None and scoring not in get_scorer_names():
        raise UsageError(
            f"--scoring {scoring}: scikit-learn has no such scorer; there are: "
            f"{', '.join(get_scorer_names())}"
        )


def _open(storage: str | None) -> BaseStorage | None:
    """Open --storage.

    Raises
    ------
    ValueError
        If it is no such thing; each kind of database has errors of its own.
    """
    from optuna.storages import get_storage

    from udt.tuning.storage import open_storage

    if storage is None:
        return None
    try:
        opened = get_storage(open_storage(storage))
        opened.get_all_studies()  # a journal is read only then
        return opened
    except Exception as error:
        reason = str(error).partition("\n")[0]
        raise ValueError(f"--storage {storage}: cannot be opened ({reason})") from error


def _write(tuning: Tuning) -> None:
    """Print what was found."""
    from udt.tuning.report import shown_changes, shown_score

    states = Counter(row["state"] for row in tuning.summary()["trials"])
    trials = ", ".join(f"{number} {state}" for state, number in states.items())
    lines = [
        [f"{tuning.metric} of the default", shown_score(tuning.default_score)],
        [f"{tuning.metric} of what was found", shown_score(tuning.score)],
        ["changed", shown_changes(tuning.best_params)],
        ["trials", f"{sum(states.values())} ({trials})" if trials else "none"],
        ["seconds", f"{tuning.seconds:.1f}"],
    ]
    for reason, numbers in Counter(tuning.failures.values()).most_common():
        lines.append([f"{numbers} failed", reason])
    write_rows(sys.stdout, lines)
