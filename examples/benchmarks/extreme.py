"""Thousands of labels a row may have: udt beside tree-linear models, all from raw texts.

    python examples/benchmarks/extreme.py --data DIR --peer-python PEERS/bin/python
    python examples/benchmarks/extreme.py --data DIR --sets depends_all --repeats 3 ...

PECOS needs NumPy 1, so the peers run under an interpreter of their own: see README.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from benchmark import Benchmark
from datasets import LabelsSet, Source, Split
from extreme_models import DEFAULT_MODELS, MODELS
from metrics import Rows
from runner import main
from scipy import sparse


@dataclass(frozen=True)
class DebianDepends:
    """Packages by name and descriptions; the labels are the packages that they depend on.

    Only labels with at least `min_rows` training rows count, and only rows with a label. With
    `min_rows` 1, those of the test part that training lacks count too: nobody can find them.
    """

    min_rows: int

    def read(self, data: Path) -> Split:
        """Return lists of str and CSR indicator matrices."""
        columns = ("name", "description", "long_description")
        X, Y, X_test, Y_test = LabelsSet("debian_packages", columns, "depends").read(data)
        known = np.flatnonzero(np.asarray(Y.sum(axis=0)).ravel() >= self.min_rows)
        strangers = np.arange(Y.shape[1], Y_test.shape[1] if self.min_rows == 1 else 0)
        Y, Y_test = Y[:, known], Y_test[:, np.concatenate([known, strangers])]
        return Split(*_labelled(X, Y), *_labelled(X_test, Y_test))


def _labelled(X: list[str], Y: sparse.csr_matrix) -> tuple[list[str], sparse.csr_matrix]:
    """Leave out rows without a label; hyphens of names become blanks."""
    rows = np.flatnonzero(np.asarray(Y.sum(axis=1)).ravel())
    parts = [X[i].partition(" ") for i in rows]
    return [f"{name.replace('-', ' ')} {text}" for name, _, text in parts], Y[rows]


def ranking(model: Any, X: Any, Y: sparse.csr_matrix) -> tuple[dict[str, float], Rows]:
    """Return P@1, 3 and 5, PSP@1, and the seconds that making features took.

    `Y` is (n, L or more), with a label in each row. PSP@1 is that of Jain et al. (KDD 2016) with
    A = 0.55 and B = 1.5, over that of the best answers.
    """
    top = model.predict(X)[:, :5]
    n = len(top)
    truth = sparse.csr_matrix(Y).astype(bool)
    hits = np.asarray(truth[np.repeat(np.arange(n), 5), top.ravel()]).reshape(n, 5)
    frequencies = np.zeros(Y.shape[1])
    frequencies[: len(model.frequencies)] = model.frequencies
    c = (np.log(model.n_rows) - 1) * 2.5**0.55
    gains = 1 + c * (frequencies + 1.5) ** -0.55
    best = np.maximum.reduceat(gains[truth.indices], truth.indptr[:-1])
    rows = {f"p_at_{k}": np.stack([hits[:, :k].mean(axis=1), np.ones(n)]) for k in (1, 3, 5)}
    rows["psp_at_1"] = np.stack([hits[:, 0] * gains[top[:, 0]], best])
    seconds = getattr(model, "features_seconds", None)
    return ({} if seconds is None else {"features_seconds": seconds}), rows


SETS: dict[str, Source] = {
    "depends": DebianDepends(min_rows=5),  # 5,950 labels
    "depends_all": DebianDepends(min_rows=1),  # 31,419
}

BENCHMARK = Benchmark(
    title="Thousands of labels: udt beside tree-linear models.",
    sets=SETS,
    models=MODELS,
    evaluate=ranking,
    scores={
        "p_at_1": "Test P@1, %",
        "p_at_3": "Test P@3, %",
        "p_at_5": "Test P@5, %",
        "psp_at_1": "Test PSP@1, %",
    },
    default_sets=("depends",),
    default_models=DEFAULT_MODELS,
)

if __name__ == "__main__":
    main("extreme")
