"""``udt train``: a file of labelled rows -> a model."""

from __future__ import annotations

import argparse
import os
import sys
import time
from types import SimpleNamespace
from typing import Any

from udt.cli.arguments import UsageError, parameters
from udt.cli.evaluate import measure, write_measures
from udt.cli.output import say, write_json
from udt.cli.reading import ModelColumns, read_labelled, read_training
from udt.cli.xmc import SparseRows, check_options, read_rows

__all__ = ["run"]


def run(args: argparse.Namespace) -> None:
    """Train, save and perhaps measure a model."""
    from udt import UDTClassifier

    check_options(args)
    arguments = parameters(args)
    folder = os.path.dirname(os.path.realpath(args.model))
    if not os.path.isdir(folder) or os.path.isdir(args.model):  # found out before the long part
        raise UsageError(f"--model {args.model}: that is a folder, or lies in none that exists")
    if [args.data, args.valid, args.test].count("-") > 1:
        raise UsageError("only one of DATA, --valid and --test can be standard input")
    tell = _no_message if args.quiet else say

    start = time.perf_counter()
    rows, held_out = _read(args)
    read_seconds = time.perf_counter() - start
    tell(f"read {len(rows):,} rows from {args.data} in {read_seconds:.1f} s")

    arguments.setdefault("verbose", int(sys.stderr.isatty() and not args.quiet))
    weights = arguments.get("class_weight")
    if isinstance(weights, dict) and _are_whole_numbers(rows.labels):  # JSON has none as keys
        arguments["class_weight"] = {int(label): weight for label, weight in weights.items()}
    validation: dict[str, Any] = {}
    if valid := held_out.get("valid"):
        arguments.setdefault("early_stopping", True)
        validation = {"X_val": valid.features, "y_val": valid.labels}
    start = time.perf_counter()
    model = UDTClassifier(**arguments).fit(rows.features, rows.labels, **validation)
    fit_seconds = time.perf_counter() - start
    tell(f"trained {len(model.classes_):,} classes in {fit_seconds:.1f} s")

    model.save(args.model)
    size = os.path.getsize(args.model)
    tell(f"saved {args.model} ({size / 1e6:.1f} MB)")
    result = {
        "model": args.model,
        "bytes": size,
        "rows": len(rows),
        "columns": {column.name: column.role for column in model.columns_},
        "classes": len(model.classes_),
        "passes": model.n_iter_,
        "read_seconds": round(read_seconds, 3),
        "fit_seconds": round(fit_seconds, 3),
    }
    if isinstance(rows, SparseRows):
        result["skipped_lines"] = rows.n_skipped
    measures = {name: measure(model, table) for name, table in held_out.items()}
    if args.json:
        write_json(sys.stdout, {**result, **measures})
        return
    for name, measured in measures.items():
        sys.stdout.write(f"{name}\n")
        write_measures(measured)


def _read(args: argparse.Namespace) -> tuple[Any, dict[str, Any]]:
    """Read the rows to learn from, and those of --valid and --test by their names."""
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


def _no_message(message: str) -> None:
    """Stand in for `say` under --quiet."""


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
