"""Files of sparse rows (--format xmc): read, and measured as is usual with very many labels."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from udt.cli.arguments import UsageError

if TYPE_CHECKING:
    import scipy.sparse as sp

    from udt.classifier import UDTClassifier
    from udt.io.svmlight import XMCFile

__all__ = [
    "SparseRows",
    "check_options",
    "is_sparse",
    "measure",
    "model_shape",
    "read_features",
    "read_rows",
]

_BATCH = 65_536  # rows predicted at a time
_KS = (1, 3, 5)


@dataclass(frozen=True)
class SparseRows:
    """The rows of a file, as `udt.io.LabelledTable` is those of a table.

    Attributes
    ----------
    features : csr_matrix of shape (n, n_features)
    labels : csr_matrix of shape (n, n_labels)
    n_skipped : int
        Bad lines that were left out.
    propensity : tuple of float
        A and B of `udt.metrics.propensities`.
    """

    features: sp.csr_matrix
    labels: sp.csr_matrix
    n_skipped: int
    propensity: tuple[float, float] = (0.55, 1.5)

    def __len__(self) -> int:
        return int(self.features.shape[0])


def check_options(args: argparse.Namespace) -> None:
    """See that the options fit the format: sparse rows have no columns, tables no bad lines.

    Raises
    ------
    UsageError
    """
    if args.format != "xmc":
        for name in ("on_bad_lines", "propensity"):
            if getattr(args, name, None) is not None:
                option = name.replace("_", "-")
                raise UsageError(f"--{option} is for sparse rows, --format xmc")
        return
    of_tables = {
        "--text": args.text,
        "--columns": getattr(args, "columns", None),
        "--ignore": getattr(args, "ignore", None),
        "--delimiter": args.delimiter,
        "--label": None if getattr(args, "label", "label") == "label" else args.label,
        "--sentence": getattr(args, "sentence", None),
    }
    if hasattr(args, "label"):  # where it says how to read labels, not how to write them
        of_tables["--label-delimiter"] = args.label_delimiter
    for option, value in of_tables.items():
        if value:
            raise UsageError(f"{option} is for tables and texts, not for --format xmc")


def is_sparse(model: UDTClassifier, args: argparse.Namespace) -> bool:
    """Tell whether a model reads sparse rows; --format need not say so.

    Raises
    ------
    ValueError
        If --format says otherwise.
    """
    reads_columns = bool(model.columns_)
    if args.format is None and not reads_columns and not _is_named_table(args.data):
        args.format = "xmc"
    if reads_columns is (args.format == "xmc"):
        wants = "a table or texts" if reads_columns else "sparse rows (--format xmc)"
        raise ValueError(f"the model was trained on {wants}: give data of that kind")
    check_options(args)
    return not reads_columns


def _is_named_table(path: str | None) -> bool:
    from udt.io import guess_format

    if path is None or path == "-":
        return False
    try:
        return guess_format(path) != "lines"
    except ValueError:  # the name does not tell
        return False


def read_rows(
    args: argparse.Namespace, path: str, shape: tuple[int, int] | None = None
) -> SparseRows:
    """Read labelled rows, of the numbers of features and labels in ``shape`` if it is given."""
    file = _open(args, path)
    found = (file.n_features, file.n_labels)
    if shape not in (None, found):
        raise ValueError(
            f"{path}, line 1: the header says {found[0]} features and {found[1]} labels, but "
            f"training had {shape[0]} and {shape[1]}. Give rows of the same features and labels"
        )
    X, Y = file.read()
    propensity = getattr(args, "propensity", None) or SparseRows.propensity
    return SparseRows(X, Y, file.n_skipped, tuple(propensity))


def read_features(args: argparse.Namespace, model: UDTClassifier) -> Iterator[sp.csr_matrix]:
    """Yield the features of rows to predict."""
    file = _open(args, args.data)
    if file.n_features != model.n_features_in_:
        raise ValueError(
            f"{args.data}, line 1: the header says {file.n_features} features, but training had "
            f"{model.n_features_in_}. Give rows of the same features"
        )
    for X, _ in file.batches(_BATCH):
        yield X


def _open(args: argparse.Namespace, path: str) -> XMCFile:
    from udt.io.svmlight import XMCFile

    return XMCFile(path, args.on_bad_lines or "error")


def model_shape(model: UDTClassifier) -> tuple[int, int]:
    """Give the numbers of features and labels that a model was trained on.

    Raises
    ------
    ValueError
        If its labels are no numbers of columns, as those of files are.
    """
    if "indicator" not in model.label_format_.kind:
        raise ValueError(
            "the model was trained in Python on labels that are no columns of an indicator: "
            "measure it there, with udt.metrics"
        )
    return model.n_features_in_, len(model.classes_)


def measure(model: UDTClassifier, rows: SparseRows) -> dict[str, Any]:
    """Measure the ranking of labels: P@k, PSP@k, nDCG@k and R@k of k = 1, 3 and 5.

    Propensities are those of the rows that the model was trained on.
    """
    import numpy as np

    from udt import metrics

    Y = rows.labels
    ks = [k for k in _KS if k <= len(model.classes_)]
    parts = [
        model.predict_topk(rows.features[begin : begin + _BATCH], k=ks[-1])[0]
        for begin in range(0, len(rows), _BATCH)
    ]
    best = np.concatenate(parts)
    counts = np.zeros(len(model.classes_))
    ready: Any = model.featurizer_
    counts[: len(ready.label_rows_)] = ready.label_rows_
    weights = metrics.label_propensities(counts, ready.n_rows_, *rows.propensity)
    measured = {
        "precision": metrics.precision_at_k(Y, best, ks),
        "psp": metrics.psp_at_k(Y, best, weights, ks),
        "ndcg": metrics.ndcg_at_k(Y, best, ks),
        "recall": metrics.recall_at_k(Y, best, ks),
    }
    return {
        **{
            f"{name}_at_{k}": round(float(value), 6)
            for name, values in measured.items()
            for k, value in zip(ks, values, strict=True)
        },
        "rows": len(rows),
        "rows_without_label": int((np.diff(Y.indptr) == 0).sum()),
        "skipped_lines": rows.n_skipped,
    }
