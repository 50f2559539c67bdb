"""``udt evaluate``: how good a model is on labelled rows."""

from __future__ import annotations

import argparse
import sys
import time
from typing import TYPE_CHECKING, Any

from udt.cli import xmc
from udt.cli.arguments import UsageError
from udt.cli.output import write_json
from udt.cli.reading import BATCH, ModelColumns, read_labelled

if TYPE_CHECKING:
    from udt.classifier import UDTClassifier
    from udt.io import LabelledTable

__all__ = ["measure", "read_for", "run", "write_measures"]

_CELLS = 1 << 24  # at most so many rows x classes of probabilities at a time


def run(args: argparse.Namespace) -> None:
    """Measure a model and print the result."""
    from udt import load

    model = load(args.model)
    measured = measure(model, read_for(model, args))
    if args.json:
        write_json(sys.stdout, measured)
    else:
        write_measures(measured)


def read_for(model: UDTClassifier, args: argparse.Namespace) -> LabelledTable | xmc.SparseRows:
    """Read the labelled rows of ``args.data`` as a model wants them."""
    from udt.cli.answers import is_multilabel

    if xmc.is_sparse(model, args):
        return xmc.read_rows(args, args.data, xmc.model_shape(model))
    columns = ModelColumns.of(model, args.text)
    if is_multilabel(model):
        args.label_delimiter = args.label_delimiter or " "
    elif args.label_delimiter is not None:
        raise UsageError("--label-delimiter: the model gives each row one label")
    return read_labelled(args, args.data, columns, model.classes_)


def write_measures(measured: dict[str, Any]) -> None:
    """Print a line for each measure."""
    for name, value in measured.items():
        shown = f"{value:,}" if isinstance(value, int) else str(value)
        sys.stdout.write(f"{name.replace('_', ' '):<28}{shown:>12}\n")


def measure(model: UDTClassifier, table: LabelledTable | xmc.SparseRows) -> dict[str, Any]:
    """Measure a model on labelled rows, in batches that bound the memory.

    A label that the model has never seen counts as an error.

    Returns
    -------
    dict of str to float, int or None
        With one label a row: accuracy, macro-averaged F1 and log loss (of rows whose label is
        known). With any number: micro- and macro-averaged F1, and the share of rows whose
        likeliest label is among theirs. Sparse rows: see `udt.cli.xmc.measure`.
    """
    from udt.cli.answers import is_multilabel

    start = time.perf_counter()
    if isinstance(table, xmc.SparseRows):
        measured = xmc.measure(model, table)
        return {**measured, "seconds": round(time.perf_counter() - start, 3)}
    multilabel = is_multilabel(model)
    if isinstance(table.labels, list) != multilabel:
        wrong = "lists of labels" if not multilabel else "one label a row"
        raise ValueError(f"the label column holds {wrong}, unlike that of the model's training")
    measured = (_measure_lists if multilabel else _measure_labels)(model, table)
    return {**measured, "seconds": round(time.perf_counter() - start, 3)}


def _step(n_classes: int) -> int:
    return max(1, min(BATCH, _CELLS // n_classes))


def _measure_labels(model: UDTClassifier, table: LabelledTable) -> dict[str, Any]:
    import numpy as np
    from sklearn.metrics import f1_score

    n_classes = len(model.classes_)
    codes = {label: code for code, label in enumerate(model.classes_.tolist())}
    # setdefault evaluates len(codes) before it adds: labels never seen get the codes after.
    actual = np.array([codes.setdefault(label, len(codes)) for label in table.labels.tolist()])
    predicted = np.empty_like(actual)
    loss = 0.0
    step = _step(n_classes)
    for begin in range(0, len(table), step):
        batch = slice(begin, begin + step)
        proba = model.predict_proba(table.features.slice(begin, step))
        predicted[batch] = proba.argmax(axis=1)
        seen = np.flatnonzero(actual[batch] < n_classes)
        right = proba[seen, actual[batch][seen]]
        loss -= float(np.log(np.maximum(right, np.finfo(np.float32).eps)).sum(dtype=np.float64))
    n_seen = int((actual < n_classes).sum())
    macro_f1 = f1_score(actual, predicted, average="macro", zero_division=0)
    return {
        "accuracy": round(float((actual == predicted).mean()), 6),
        "macro_f1": round(float(macro_f1), 6),
        "log_loss": round(loss / n_seen, 6) if n_seen else None,
        "rows": len(table),
        "rows_of_unknown_label": len(table) - n_seen,
    }


def _measure_lists(model: UDTClassifier, table: LabelledTable) -> dict[str, Any]:
    import scipy.sparse as sp
    from sklearn.metrics import f1_score

    from udt.cli.answers import label_lists

    n_classes = len(model.classes_)
    codes = {label: code for code, label in enumerate(model.classes_.tolist())}
    actual = [{codes.setdefault(label, len(codes)) for label in row} for row in table.labels]
    predicted: list[set[int]] = []
    first = 0
    step = _step(n_classes)
    for begin in range(0, len(table), step):
        rows = table.features.slice(begin, step)
        predicted += [{codes[label] for label in row} for row in label_lists(model, rows)]
        best = model.predict_topk(rows, k=1)[0][:, 0].tolist()
        first += sum(codes[label] in row for label, row in zip(best, actual[begin:], strict=False))

    def indicator(rows: list[set[int]]) -> Any:
        ends = [0]
        for row in rows:
            ends.append(ends[-1] + len(row))
        columns = [code for row in rows for code in sorted(row)]
        shape = (len(rows), len(codes))
        return sp.csr_matrix(([1] * len(columns), columns, ends), shape=shape)

    pair = indicator(actual), indicator(predicted)
    micro, macro = (f1_score(*pair, average=kind, zero_division=0) for kind in ("micro", "macro"))
    unknown = sum(any(code >= n_classes for code in row) for row in actual)
    return {
        "micro_f1": round(float(micro), 6),
        "macro_f1": round(float(macro), 6),
        "precision_at_1": round(first / len(table), 6),
        "rows": len(table),
        "rows_without_label": sum(not row for row in actual),
        "rows_of_unknown_label": unknown,
    }
