"""``udt train``: a file of labelled rows -> a model."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from udt.cli.arguments import UsageError
from udt.cli.evaluate import measure, write_measures
from udt.cli.output import check_place, say, write_json
from udt.cli.parameters import parameters
from udt.cli.reading import ModelColumns, read_labelled, read_training
from udt.cli.xmc import SparseRows, check_options, read_rows

if TYPE_CHECKING:
    from udt.classifier import UDTClassifier

__all__ = ["check_inputs", "finish", "read_all", "run", "save"]


def run(args: argparse.Namespace) -> None:
    """Train, save and perhaps measure a model."""
    from udt import UDTClassifier

    check_inputs(args)
    arguments = parameters(args)
    check_place("--model", args.model)
    rows, held_out, about = read_all(args, arguments)

    validation: dict[str, Any] = {}
    if valid := held_out.get("valid"):
        arguments.setdefault("early_stopping", True)
        validation = {"X_val": valid.features, "y_val": valid.labels}
    start = time.perf_counter()
    model = UDTClassifier(**arguments).fit(rows.features, rows.labels, **validation)
    fit_seconds = time.perf_counter() - start
    if not args.quiet:
        say(f"trained {len(model.classes_):,} classes in {fit_seconds:.1f} s")
    result = {
        **save(model, args),
        **about,
        "columns": {column.name: column.role for column in model.columns_},
        "classes": len(model.classes_),
        "passes": model.n_iter_,
        "fit_seconds": round(fit_seconds, 3),
    }
    if model.tuning_ is not None:
        told = {name: value for name, value in model.tuning_.items() if name != "trials"}
        result["tuning"] = {**told, "trials": len(model.tuning_["trials"])}
        if not args.quiet:
            say(f"changed by the search: {json.dumps(model.best_params_)}")
    finish(args, model, held_out, result)


def check_inputs(args: argparse.Namespace) -> None:
    """See that the options fit the format, and that one file at most is standard input.

    Raises
    ------
    UsageError
    """
    check_options(args)
    if [args.data, args.valid, args.test].count("-") > 1:
        raise UsageError("only one of DATA, --valid and --test can be standard input")


def read_all(
    args: argparse.Namespace, arguments: dict[str, Any]
) -> tuple[Any, dict[str, Any], dict[str, Any]]:
    """Read the rows to learn from, and those of --valid and --test by their names.

    Completes the arguments of the classifier. Gives besides what is to be told of the reading.
    """
    start = time.perf_counter()
    rows, held_out = _read(args)
    seconds = time.perf_counter() - start
    if not args.quiet:
        say(f"read {len(rows):,} rows from {args.data} in {seconds:.1f} s")
    about = {"rows": len(rows), "read_seconds": round(seconds, 3)}
    if isinstance(rows, SparseRows):
        about["skipped_lines"] = rows.n_skipped

    arguments.setdefault("verbose", int(sys.stderr.isatty() and not args.quiet))
    weights = arguments.get("class_weight")
    if isinstance(weights, dict) and _are_whole_numbers(rows.labels):  # JSON has none as keys
        arguments["class_weight"] = {int(label): weight for label, weight in weights.items()}
    return rows, held_out, about


def _read(args: argparse.Namespace) -> tuple[Any, dict[str, Any]]:
    others = {"valid": args.valid, "test": args.test}
    others = {name: path for name, path in others.items() if path is not None}
    if args.format == "xmc":
        sparse = read_rows(args, args.data)
        shape = (sparse.features.shape[1], sparse.labels.shape[1])
        return sparse, {name: read_rows(args, path, shape) for name, path in others.items()}
    rows = read_training(args, args.data)
    columns = _columns_of(rows.features.column_names)
    return rows, {
        name: read_labelled(args, path, columns, rows.labels) for name, path in others.items()
    }


def _columns_of(names: list[str]) -> ModelColumns:
    """Give the columns of the other files before a model says what it reads: the same."""
    role = "text" if len(names) == 1 else "unknown"
    return ModelColumns([SimpleNamespace(name=name, role=role) for name in names])


def _are_whole_numbers(labels: Any) -> bool:
    if hasattr(labels, "indptr"):  # an indicator, whose labels are the numbers of its columns
        return True
    if isinstance(labels, list):
        return all(type(label) is int for row in labels for label in row)
    return labels.dtype.kind in "iu"


def save(model: UDTClassifier, args: argparse.Namespace) -> dict[str, Any]:
    """Save a model as --model says; give what is to be told of it."""
    model.save(args.model)
    n_bytes = os.path.getsize(args.model)
    if not args.quiet:
        say(f"saved {args.model} ({n_bytes / 1e6:.1f} MB)")
    return {"model": args.model, "bytes": n_bytes}


def finish(
    args: argparse.Namespace,
    model: UDTClassifier,
    held_out: dict[str, Any],
    result: dict[str, Any],
) -> None:
    """Measure a model on the rows of --valid and --test; with --json, print it and the result."""
    measures = {name: measure(model, table) for name, table in held_out.items()}
    if args.json:
        write_json(sys.stdout, {**result, **measures})
        return
    for name, measured in measures.items():
        sys.stdout.write(f"{name}\n")
        write_measures(measured)
