"""Seconds a pass over thousands to hundreds of thousands of labels: all logits beside hashing.

    python examples/benchmarks/crossover.py                                # the curve
    python examples/benchmarks/crossover.py --labels 31000 --rows 20000    # a part of it, sooner
    python examples/benchmarks/crossover.py --labels 670091 --heads lsh-1000 lsh-3350
    python examples/benchmarks/crossover.py --approximate                  # one row at a time
    python examples/benchmarks/crossover.py --sgemv                        # the kernel beside BLAS

The data is synthetic and of Amazon-670K's shape, but for the number of labels. Heads train the same
network on the same rows in the same batches with the same settings, each in its own process:

- blas: the output layer alone, as one would write it in NumPy: products forward, backward and for
  the update (plain gradient descent), on all threads. A few batches are timed.
- full: all logits and the gradients of all; it has no crosses.
- mined: all logits, and the gradients of true, hard and random labels.
- lsh: the logits that hash tables propose, as many as by default; lsh-1000 asks for 1,000.

A head that computes all logits and would not be done in --limit seconds is stopped after a few
batches, from which its pass is worked out: such figures have a "~", and no P@1.
"""

from __future__ import annotations

import argparse
import math
import multiprocessing
import os
import re
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
from report import markdown, number
from scipy import sparse

# What imports udt runs in processes of its own: see `apart`.

LABELS = (2_500, 6_000, 31_000, 67_000, 670_091)
ROWS, TEST_ROWS = 490_449, 10_000
QUICK = {"labels": [1_200], "rows": 1_000, "test_rows": 200, "passes": 1}
HEADS = ("blas", "full", "mined", "lsh-1000", "lsh")
HEADER = ("labels", "head", "s a pass", "speed, full = 1", "logits a row", "P@1, %", "peak, MB")
PARTS = ("X", "Y", "X_test", "Y_test")
TOP = 5
LATENCY_ROWS = 1_000
MIN_BATCHES, MIN_SECONDS = 3, 3.0  # from which a pass is worked out, after the first batch
REPEATS = 15


class Options(NamedTuple):
    """What all cells of one number of labels share."""

    folder: Path  # of their data
    hidden: int
    passes: int | None
    batch_size: int | None
    crosses: bool
    n_jobs: int
    limit: float
    seed: int


class Cell(NamedTuple):
    """What is measured of one head."""

    seconds: float  # a pass
    is_estimate: bool
    n_logits: float  # a row
    p_at_1: float
    peak: int  # bytes above the data
    n_passes: int
    batch_size: int


class Plan(NamedTuple):
    """What training needs, as the estimator would make it."""

    featurizer: Any
    rows: Any
    targets: Any
    shape: Any
    settings: Any


def apart(function: Callable[..., Any], *arguments: Any) -> Any:
    """Call in a new process, which ends afterwards."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(function, *arguments).result()


def make_data(folder: Path, n_labels: int, n_rows: int, n_test: int, seed: int) -> None:
    from udt.datasets import make_xmc_classification
    from udt.datasets.synthetic import XMC_SHAPES

    shape = XMC_SHAPES["amazon-670k"]
    data = make_xmc_classification(
        n_rows,
        shape.n_features,
        n_labels,
        features_per_sample=shape.features_per_sample,
        labels_per_sample=shape.labels_per_sample,
        n_test_samples=n_test,
        random_state=seed,
    )
    for name, matrix in zip(PARTS, data, strict=True):
        sparse.save_npz(folder / f"{name}.npz", matrix, compressed=False)


def read_data(folder: Path) -> list[Any]:
    return [sparse.load_npz(folder / f"{name}.npz") for name in PARTS]


# ------------------------------------------------------------------------------------ the curve


class TooSlowError(Exception):
    """Training would take longer than it may."""


class Clock:
    """Is told of each batch in place of the progress bar."""

    def __init__(self, n_rows: int, limit: float) -> None:
        self.n_rows, self.limit = n_rows, limit  # of all passes
        self.n_batches = self.n_done = self.n_first = 0
        self.now = self.first = 0.0

    def __enter__(self) -> Clock:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def report(self, history: object) -> None:
        pass

    def tick(self, n_rows: int) -> None:
        self.now = time.perf_counter()
        self.n_batches += 1
        self.n_done += n_rows
        if self.n_batches == 1:  # which touches memory for the first time
            self.first, self.n_first = self.now, self.n_done
            return
        enough = self.n_batches > MIN_BATCHES and self.now - self.first > MIN_SECONDS
        if enough and self.seconds_a_row * self.n_rows > self.limit:
            raise TooSlowError

    @property
    def seconds_a_row(self) -> float:
        return (self.now - self.first) / (self.n_done - self.n_first)


class Watch:
    """What a training tells while it runs."""

    def __init__(self) -> None:
        self.clocks: list[Clock] = []  # the last one counts: training may have started again
        self.sizes: list[tuple[int, int]] = []  # logits and rows of blocks

    @property
    def n_logits(self) -> float:
        """Logits a row, in the mean; NaN if a head does not choose."""
        logits, rows = np.sum(self.sizes or [(math.nan, 1)], axis=0)
        return float(logits / rows)


@contextmanager
def watched(limit: float) -> Iterator[Watch]:
    """Let clocks tick in place of bars, and count what heads choose among."""
    from udt.network.candidate_heads import CandidateHead
    from udt.training import fitting

    watch = Watch()
    bar, differentiate = fitting.Progress, CandidateHead._differentiate

    def start(_: int, n_rows: int) -> Clock:
        watch.clocks.append(Clock(n_rows, limit))
        return watch.clocks[-1]

    def count(head: Any, hidden: Any, first: int, last: int, ids: Any, sizes: Any, *a: Any) -> None:
        watch.sizes.append((int(sizes.sum()), len(sizes)))
        differentiate(head, hidden, first, last, ids, sizes, *a)

    fitting.Progress, CandidateHead._differentiate = start, count
    try:
        yield watch
    finally:
        fitting.Progress, CandidateHead._differentiate = bar, differentiate


def estimator(options: Options, n_active: int | None = None) -> Any:
    from udt import UDTClassifier

    return UDTClassifier(
        head="lsh",
        n_active=n_active,
        hidden_size=options.hidden,
        wide=None if options.crosses else False,
        max_iter=options.passes,
        batch_size=options.batch_size,
        n_jobs=options.n_jobs,
        random_state=options.seed,
    )


def plan(head: str, X: Any, Y: Any, options: Options) -> Plan:
    """Choose settings as for the LSH head, and then the head."""
    from udt import defaults
    from udt.features.ready import ReadyFeatures, ReadyRows
    from udt.targets import read_targets

    kind, _, n_active = head.partition("-")
    model = estimator(options, int(n_active) if n_active else None)
    target, featurizer = read_targets(Y, X.shape[0]), ReadyFeatures()
    rows = featurizer._fit_transform(ReadyRows(X))
    shape = defaults.network_shape(model, featurizer, X.shape[1], target)
    settings = defaults.settings(model, featurizer, X.shape[0], shape, target)
    if kind == "full":
        settings = replace(settings, cross_rate=0.0)
    return Plan(featurizer, csr(rows), target.numbers, shape, replace(settings, head=kind))


def csr(matrix: Any) -> Any:
    return matrix.indptr, matrix.indices, matrix.data


def train(plan: Plan, n_classes: int, options: Options) -> tuple[Any, float, float]:
    """Return the network, or None where that takes too long, seconds a pass and logits a row."""
    from udt.threads import Pool, single_threaded_blas
    from udt.training.fitting import fit_network

    n = len(plan.targets)
    limit = math.inf if plan.settings.head == "lsh" else options.limit
    with Pool(options.n_jobs) as pool, single_threaded_blas(), watched(limit) as watch:
        start = time.perf_counter()
        try:
            learnt = fit_network(
                plan.rows,
                plan.targets,
                np.ones(n, dtype=np.float32),
                None,
                n_classes=n_classes,
                shape=plan.shape,
                settings=plan.settings,
                patience=None,
                random=np.random.RandomState(options.seed),
                verbose=0,
                pool=pool,
            )
        except TooSlowError:
            return None, watch.clocks[-1].seconds_a_row * n, watch.n_logits
        seconds = (time.perf_counter() - start) / plan.settings.max_iter
        return learnt.network, seconds, watch.n_logits


def measure_head(head: str, options: Options) -> Cell:
    from worker import memory, settle

    from udt.datasets import make_xmc_classification
    from udt.features.ready import ReadyRows
    from udt.metrics import precision_at_k
    from udt.threads import Pool, single_threaded_blas

    small = make_xmc_classification(200, 500, 300, random_state=0)
    train(plan(head, *small, options), 300, options)  # all is compiled

    X, Y, X_test, Y_test = read_data(options.folder)
    planned = plan(head, X, Y, options)
    before = settle()
    network, seconds, n_logits = train(planned, Y.shape[1], options)
    peak = memory("VmHWM") - before
    p_at_1 = math.nan
    if network is not None:
        rows = csr(planned.featurizer._transform(ReadyRows(X_test)))
        with Pool(options.n_jobs) as pool, single_threaded_blas():
            best = network.map_logits(rows, lambda logits: logits.argmax(axis=1), pool)
        p_at_1 = float(precision_at_k(Y_test, np.concatenate(best)[:, np.newaxis], 1))
    return Cell(
        seconds,
        network is None,
        float(Y.shape[1]) if math.isnan(n_logits) else n_logits,
        p_at_1,
        peak,
        planned.settings.max_iter,
        planned.settings.batch_size,
    )


def measure_blas(head: str, options: Options) -> Cell:
    from worker import memory, settle

    X, Y, _, _ = read_data(options.folder)
    n, n_labels = Y.shape
    settings = plan(head, X, Y, options).settings
    size = settings.batch_size
    before = settle()
    random = np.random.default_rng(options.seed)
    hidden = np.tanh(random.normal(size=(size, options.hidden))).astype(np.float32)
    weights = np.zeros((n_labels, options.hidden), dtype=np.float32)
    bias = np.zeros(n_labels, dtype=np.float32)
    logits = np.empty((size, n_labels), dtype=np.float32)
    hidden_gradient = np.empty_like(hidden)
    rate = np.float32(0.1)
    seconds: list[float] = []
    for first in range(0, n - size + 1, size):
        truth = Y[first : first + size].tocoo()
        start = time.perf_counter()
        np.matmul(hidden, weights.T, out=logits)
        logits += bias
        np.negative(logits, out=logits)
        np.exp(logits, out=logits)
        logits += 1
        np.reciprocal(logits, out=logits)
        logits[truth.row, truth.col] -= 1  # now the gradient
        np.matmul(logits, weights, out=hidden_gradient)
        weights -= rate * (logits.T @ hidden)
        bias -= rate * logits.sum(axis=0)
        seconds.append(time.perf_counter() - start)
        if len(seconds) > MIN_BATCHES and sum(seconds[1:]) > MIN_SECONDS:
            break
    a_row = float(np.median(seconds[1:] or seconds)) / size
    peak = memory("VmHWM") - before
    return Cell(a_row * n, True, n_labels, math.nan, peak, settings.max_iter, size)


def curve(args: argparse.Namespace) -> str:
    """Measure each head at each number of labels; return a table."""
    lines = []
    for n_labels in args.labels:
        with tempfile.TemporaryDirectory() as folder:
            options = make_options(args, Path(folder))
            apart(make_data, options.folder, n_labels, args.rows, args.test_rows, args.seed)
            cells: dict[str, Cell | None] = {}
            for head in args.heads:
                measure = measure_blas if head == "blas" else measure_head
                try:
                    cells[head] = apart(measure, head, options)
                except (BrokenProcessPool, MemoryError):  # it took more memory than there is
                    cells[head] = None
                say(f"{n_labels:,} labels, {head}: {cells[head]}")
        full = cells.get("full")
        for head, cell in cells.items():
            lines.append([f"{n_labels:,}", head, *figures(cell, full)])
        plans = {(cell.n_passes, cell.batch_size) for cell in cells.values() if cell}
    told = "".join(f"\nPasses: {passes}. Rows a batch: {size}.\n" for passes, size in plans)
    return markdown(list(HEADER), lines) + told


def figures(cell: Cell | None, full: Cell | None) -> list[str]:
    if cell is None:
        return ["-"] * (len(HEADER) - 2)
    about = "~" * cell.is_estimate
    ratio = full.seconds / cell.seconds if full else math.nan
    return [
        about + number(cell.seconds),
        number(ratio),
        f"{cell.n_logits:,.0f}",
        f"{100 * cell.p_at_1:.1f}".replace("nan", "-"),
        number(cell.peak / 1e6),
    ]


# ---------------------------------------------------------------------------- one row at a time


def one_row(options: Options) -> str:
    """Train with the LSH head and time answers about one row; return a table."""
    from worker import one_row_microseconds

    from udt.features.ready import ReadyRows
    from udt.metrics import precision_at_k
    from udt.threads import single_threaded_blas

    X, Y, X_test, Y_test = read_data(options.folder)
    model = estimator(options).fit(X, Y)
    network = model.network_
    p_at_1, recall = {}, {True: model.topk_recall(X_test, TOP), False: 1.0}
    for approximate in (False, True):
        top, _ = model.predict_topk(X_test, TOP, approximate=approximate)
        p_at_1[approximate] = 100 * float(precision_at_k(Y_test, top, 1))

    rows = [X_test[[i]] for i in range(min(LATENCY_ROWS, X_test.shape[0]))]
    some = csr(model.featurizer_._transform(ReadyRows(X_test[: len(rows)])))
    hidden = network.hidden(some, 0, len(rows))

    def scan(x: np.ndarray) -> np.ndarray:
        logits = network.output @ x
        logits += network.bias
        best = np.argpartition(logits, -TOP)[-TOP:]
        return best[np.argsort(-logits[best])]

    def line(title: str, answer: Callable[[Any], Any], asked: list[Any], *scores: float) -> Any:
        times = one_row_microseconds(SimpleNamespace(predict_one=answer), asked) / 1000
        found = (number(value) for value in (*np.percentile(times, (50, 99)), *scores))
        return [title, *found]

    lines = [
        line(
            f"predict_topk, approximate={approximate}",
            lambda row, approximate=approximate: model.predict_topk(
                row, TOP, approximate=approximate
            ),
            rows,
            recall[approximate],
            p_at_1[approximate],
        )
        for approximate in (True, False)
    ]
    with single_threaded_blas():  # of hidden activations that are there already, without crosses
        lines.append(line("NumPy, all products", scan, list(hidden), math.nan, math.nan))
    header = [f"{Y.shape[1]:,} labels", "p50, ms", "p99, ms", f"recall@{TOP}", "P@1, %"]
    return markdown(header, lines)


# -------------------------------------------------------------------------- the scoring kernel


def kernel_speed(n: int, width: int, seed: int) -> str:
    """Compare one thread's products of all rows with a vector; return a table."""
    from udt.network.active import score
    from udt.threads import single_threaded_blas

    random = np.random.default_rng(seed)
    weights = random.standard_normal((n, width), dtype=np.float32)
    x = random.standard_normal(width, dtype=np.float32)
    bias, out = np.zeros(n, dtype=np.float32), np.empty(n, dtype=np.float32)
    in_order = np.arange(n, dtype=np.int32)
    mixed = random.permutation(in_order)
    ways: dict[str, Callable[[], Any]] = {
        "BLAS sgemv": lambda: np.matmul(weights, x, out=out),
        "udt, rows in order": lambda: score(x, in_order, n, weights, bias, out),
        "udt, rows at random": lambda: score(x, mixed, n, weights, bias, out),
    }
    best = dict.fromkeys(ways, math.inf)
    with single_threaded_blas():
        for _ in range(REPEATS):
            for title, run in ways.items():  # in turns: a slow moment hits all
                start = time.perf_counter()
                run()
                best[title] = min(best[title], time.perf_counter() - start)
    speed = {title: weights.nbytes / seconds / 1e9 for title, seconds in best.items()}
    blas = speed["BLAS sgemv"]
    lines = [[title, number(rate), f"{rate / blas:.0%}"] for title, rate in speed.items()]
    return markdown([f"{n:,} x {width}, one thread", "GB/s", "of BLAS"], lines)


# --------------------------------------------------------------------------------- command line


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def head_name(text: str) -> str:
    if text not in ("blas", "full", "mined", "lsh") and not re.fullmatch(r"lsh-[1-9]\d*", text):
        raise argparse.ArgumentTypeError(
            f"{text!r}: give blas, full, mined, lsh, or lsh- and a number of active classes"
        )
    return text


def make_options(args: argparse.Namespace, folder: Path) -> Options:
    shared = {name: getattr(args, name) for name in Options._fields if name != "folder"}
    return Options(folder, **shared)


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--labels", type=int, nargs="+", default=list(LABELS))
    parser.add_argument("--rows", type=int, default=ROWS)
    parser.add_argument("--test-rows", type=int, default=TEST_ROWS)
    parser.add_argument("--heads", type=head_name, nargs="+", default=list(HEADS))
    parser.add_argument("--hidden", type=int, default=128, help="units of the hidden layer")
    parser.add_argument("--passes", type=int, help="default: what UDTClassifier makes of the rows")
    parser.add_argument("--batch-size", type=int, help="default: the same")
    parser.add_argument(
        "--no-crosses",
        dest="crosses",
        action="store_false",
        help="no linear path for mined and lsh either",
    )
    parser.add_argument("--n-jobs", type=int, default=2)
    parser.add_argument("--limit", type=float, default=600, help="seconds of a training")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--quick", action="store_true", help="little data: does it work?")
    parser.add_argument(
        "--approximate", action="store_true", help="time one row, at the most labels, instead"
    )
    parser.add_argument(
        "--sgemv", action="store_true", help="time the scoring kernel, at the most labels, instead"
    )
    if parser.parse_args(argv).quick:
        parser.set_defaults(**QUICK)  # what is asked for still holds
    args = parser.parse_args(argv)

    for library in ("OMP", "OPENBLAS", "MKL"):  # for the processes to come
        os.environ[f"{library}_NUM_THREADS"] = str(args.n_jobs)
    most = max(args.labels)
    print(f"{args.rows:,} rows, {args.hidden} hidden units, {args.n_jobs} threads\n", flush=True)
    if args.sgemv:
        print(apart(kernel_speed, most, args.hidden, args.seed))
    if args.approximate:
        with tempfile.TemporaryDirectory() as folder:
            options = make_options(args, Path(folder))
            apart(make_data, options.folder, most, args.rows, args.test_rows, args.seed)
            print(apart(one_row, options))
    if not args.sgemv and not args.approximate:
        print(curve(args))


if __name__ == "__main__":
    main()
