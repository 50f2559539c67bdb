"""What the papers' protocols share: arguments, training, scores, times, the table with claims.

Claims are quoted as their authors state them, on their machines; none was measured here.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from scipy import sparse

from udt import UDTClassifier, __version__
from udt.metrics import precision_at_k

LATENCY_ROWS = 1000
WARM_UP_ROWS = 20
SLIDE_2021 = (
    "S. Daghaghi et al., Accelerating SLIDE Deep Learning on Modern CPUs, MLSys 2021, "
    "https://arxiv.org/abs/2103.10891"
)
THIRDAI_AWS = (
    "V. Lakshman, T. Medini, A. Shrivastava, Accelerating large-scale neural network training on "
    "CPUs with ThirdAI and AWS Graviton, AWS Machine Learning Blog, "
    "https://aws.amazon.com/blogs/machine-learning/"
    "accelerating-large-scale-neural-network-training-on-cpus-with-thirdai-and-aws-graviton/"
)

#: SLIDE's network and steps, which BOLT's protocol shares but for the rate.
SLIDE_NETWORK = {
    "head": "lsh",
    "optimizer": "adam",
    "hidden_size": 128,
    "wide": False,
    "batch_size": 256,
}
SLIDE_RATE = 1e-4
SLIDE_NOTE = "The learning rate is that of a fork of SLIDE's code."


class Line(NamedTuple):
    """A line of the table: a claim, or what was measured."""

    system: str
    machine: str
    seconds: str
    score: str
    row_ms: str = "-"


class Protocol(NamedTuple):
    """What a publication did, and what it claims."""

    title: str
    claims: tuple[Line, ...]
    source: str
    settings: dict[str, Any]
    note: str = ""


def arguments(description: str, protocol: Protocol) -> argparse.ArgumentParser:
    """Return a parser of what all protocols let people choose."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--data", type=Path, help="the folder of the sets' folders; default: see udt.datasets"
    )
    parser.add_argument("--threads", type=int, help="default: all that this process may use")
    parser.add_argument("--seed", type=int, default=0)
    for name in ("max_iter", "batch_size"):
        option = "--" + name.replace("_", "-")
        parser.add_argument(option, type=int, default=protocol.settings[name])
    return parser


def estimator(protocol: Protocol, args: argparse.Namespace) -> UDTClassifier:
    """Return the estimator of a protocol, as the command line changed it."""
    chosen = {key: getattr(args, key) for key in protocol.settings if hasattr(args, key)}
    settings = {**protocol.settings, **chosen}
    return UDTClassifier(**settings, n_jobs=args.threads, random_state=args.seed)


def warm_up(model: UDTClassifier, X: Any, y: Any) -> None:
    """Fit and ask a copy on few rows: compiling is not what is compared."""
    from sklearn.base import clone

    n = X.shape[0] if sparse.issparse(X) else len(X)
    few = np.linspace(0, n - 1, min(n, 4 * WARM_UP_ROWS)).astype(int)
    X = [X[i] for i in few] if isinstance(X, list) else X[few]
    small = clone(model).set_params(max_iter=1).fit(X, y[few])
    small.predict_topk(X, 1)
    small.predict_topk(X[:1], 1)


def timed(function: Callable[[], Any]) -> tuple[Any, float]:
    """Call a function; return its result and the seconds it took."""
    start = time.perf_counter()
    result = function()
    return result, time.perf_counter() - start


def one_row_ms(predict: Callable[[Any], Any], rows: Sequence[Any]) -> str:
    """Predict each row alone, once; return the median and the 99th percentile in milliseconds."""
    for row in rows[:WARM_UP_ROWS]:
        predict(row)
    milliseconds = [1000 * timed(lambda row=row: predict(row))[1] for row in rows]
    return "p50 {:.3f}, p99 {:.3f}".format(*np.percentile(milliseconds, [50, 99]))


def run_labels(
    protocol: Protocol, args: argparse.Namespace, X: Any, Y: Any, X_test: Any, Y_test: Any
) -> Line:
    """Train on rows with any number of labels; judge by P@1, 3 and 5 on test rows with a label."""
    model = estimator(protocol, args)
    warm_up(model, X, Y)
    _, seconds = timed(lambda: model.fit(X, Y))
    has_label = np.asarray(Y_test.sum(axis=1)).ravel() > 0
    X_test, Y_test = X_test[has_label], Y_test[has_label]
    ks = [k for k in (1, 3, 5) if k <= len(model.classes_)]
    (top, _), test_seconds = timed(lambda: model.predict_topk(X_test, ks[-1]))
    scores = precision_at_k(Y_test, top, ks)
    rows = [X_test[i] for i in range(min(LATENCY_ROWS, X_test.shape[0]))]
    listed = ", ".join(f"P@{k} {100 * s:.2f}" for k, s in zip(ks, scores, strict=True))
    return Line(
        named(model),
        machine(args),
        f"{seconds:,.1f}",
        f"{listed} ({X_test.shape[0] / test_seconds:,.0f} test rows/s)",
        one_row_ms(lambda row: model.predict_topk(row, ks[-1]), rows),
    )


def run_texts(
    protocol: Protocol, args: argparse.Namespace, X: Any, y: Any, X_test: Any, y_test: Any
) -> Line:
    """Train on texts with one label each; judge by accuracy."""
    order = np.random.default_rng(args.seed).permutation(len(X))  # they may lie in label order
    X, y = [X[i] for i in order], y[order]
    model = estimator(protocol, args)
    warm_up(model, X, y)
    _, seconds = timed(lambda: model.fit(X, y))
    accuracy, test_seconds = timed(lambda: np.mean(model.predict(X_test) == y_test))
    return Line(
        named(model),
        machine(args),
        f"{seconds:,.1f}",
        f"accuracy {100 * accuracy:.2f} ({len(X_test) / test_seconds:,.0f} test rows/s)",
        one_row_ms(lambda row: model.predict([row]), X_test[:LATENCY_ROWS]),
    )


def named(model: UDTClassifier) -> str:
    """Name what was trained."""
    return f"udt {__version__}, {model.n_iter_} pass" + "es" * (model.n_iter_ > 1)


def machine(args: argparse.Namespace) -> str:
    """Name this machine in a few words."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.partition(": ")[2] for line in lines if line.startswith("model name")]
    threads = "all" if args.threads is None else args.threads
    return f"{names[0] if names else platform.machine()}, {threads} of {os.cpu_count()} cores"


def report(protocol: Protocol, measured: Line, data: str) -> None:
    """Print what was measured beside what is claimed."""
    rows = [("system", "machine", "training, s", "score", "one row, ms"), ("---",) * 5]
    rows += [*protocol.claims, measured]
    table = "".join("| " + " | ".join(row) + " |\n" for row in rows)
    text = f"## {protocol.title}\n\n{table}\nData: {data}.\nClaims: {protocol.source}.\n"
    sys.stdout.write(text + f"{protocol.note}\n" * bool(protocol.note))
