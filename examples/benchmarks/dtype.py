"""Weights of bfloat16 beside float32: bytes, seconds a pass, and what it does to scores.

    python examples/benchmarks/dtype.py                          # time, of Amazon-670K's shape
    python examples/benchmarks/dtype.py --labels 67000 --rows 50000 --hidden 256    # sooner
    python examples/benchmarks/dtype.py --data DIR               # scores, on the sets of all tables
    python examples/benchmarks/dtype.py --data DIR --sets text/imdb tabular/adult --seeds 3

The data of the first table is synthetic (see crossover.py). The same network is trained on the same
rows in the same batches with hashing, one training at a time in a process of its own; dtypes take
turns (A B A B), and medians over --repeats are told. Bytes are those of weights, without the
optimiser's state; the peak is above the data.

The second one's rows are the mean scores of --seeds models, the first score of the set's own table.
"""

from __future__ import annotations

import argparse
import math
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from benchmark import Job, find
from crossover import ROWS, TEST_ROWS, Options, apart, csr, make_data, plan, read_data, say, train
from datasets import shuffled
from metrics import ratio
from models import udt
from report import markdown, number

DTYPES = ("float32", "bfloat16")
QUICK = {"labels": 1_000, "rows": 1_000, "test_rows": 200, "hidden": [16], "repeats": 1}
TABLES = ("text", "mixed", "tabular", "multilabel")


class Cell(NamedTuple):
    """What is measured of one training."""

    n_bytes: int
    seconds: float  # a pass
    peak: int  # bytes above the data
    p_at_1: float


def measure(dtype: str, head: str, options: Options) -> Cell:
    """Train once; all is compiled before."""
    from worker import memory, settle

    from udt.datasets import make_xmc_classification
    from udt.features.ready import ReadyRows
    from udt.metrics import precision_at_k
    from udt.threads import Pool, single_threaded_blas

    def stored(X: Any, Y: Any) -> Any:
        planned = plan(head, X, Y, options)
        return planned._replace(shape=planned.shape._replace(dtype=dtype))

    small = make_xmc_classification(200, 500, 300, random_state=0)
    train(stored(*small), 300, options)

    X, Y, X_test, Y_test = read_data(options.folder)
    planned = stored(X, Y)
    before = settle()
    network, seconds, _ = train(planned, Y.shape[1], options)
    peak = memory("VmHWM") - before
    rows = csr(planned.featurizer._transform(ReadyRows(X_test)))
    with Pool(options.n_jobs) as pool, single_threaded_blas():
        best = network.map_logits(rows, lambda logits: logits.argmax(axis=1), pool)
    p_at_1 = float(precision_at_k(Y_test, np.concatenate(best)[:, np.newaxis], 1))
    return Cell(sum(array.nbytes for array in network.arrays().values()), seconds, peak, p_at_1)


def times(args: argparse.Namespace) -> str:
    """Train each width with each dtype; return a table."""
    lines = []
    with tempfile.TemporaryDirectory() as folder:
        apart(make_data, Path(folder), args.labels, args.rows, args.test_rows, args.seed)
        for hidden in args.hidden:
            options = Options(
                Path(folder), hidden, args.passes, None, args.crosses, args.n_jobs, math.inf,
                args.seed,
            )  # fmt: skip
            cells: dict[str, list[Cell]] = {dtype: [] for dtype in DTYPES}
            for _ in range(args.repeats):
                for dtype in DTYPES:
                    cells[dtype].append(apart(measure, dtype, args.head, options))
                    say(f"{hidden} units, {dtype}: {cells[dtype][-1]}")
            usual = float(np.median([cell.seconds for cell in cells["float32"]]))
            for dtype, found in cells.items():
                seconds = float(np.median([cell.seconds for cell in found]))
                last = found[-1]
                lines.append(
                    [
                        str(hidden),
                        dtype,
                        number(last.n_bytes / 1e6),
                        number(seconds),
                        f"{usual / seconds:.2f}",
                        number(last.peak / 1e6),
                        f"{100 * last.p_at_1:.1f}",
                    ]
                )
    header = ["units", "dtype", "weights, MB", "s a pass", "speed", "peak, MB", "P@1, %"]
    return markdown(header, lines)


def score(data: Path, table: str, set_name: str, dtype: str, seed: int, threads: int) -> float:
    """Give the first score of a set's table, in per cent."""
    benchmark = find(table)
    source = benchmark.sets[set_name]
    X, y, X_test, y_test = source.read(data)
    X, y = shuffled(X, y, seed)
    model = udt(Job(threads, seed, source), dtype=dtype)
    model.fit(X, y)
    _, rows = benchmark.evaluate(model, X_test, y_test)
    return 100 * ratio(rows[next(iter(benchmark.scores))])


def scores(args: argparse.Namespace) -> str:
    """Fit all sets with each dtype; return a table."""
    every = [f"{table}/{name}" for table in TABLES for name in find(table).default_sets]
    lines, differences = [], []
    for name in args.sets or every:
        table, _, set_name = name.partition("/")
        found: dict[str, list[float]] = {dtype: [] for dtype in DTYPES}
        for seed in range(args.seed, args.seed + args.seeds):
            for dtype in DTYPES:
                found[dtype].append(
                    apart(score, args.data, table, set_name, dtype, seed, args.n_jobs)
                )
        usual, stored = (float(np.mean(found[dtype])) for dtype in DTYPES)
        differences.append(stored - usual)
        title = next(iter(find(table).scores.values()))
        lines.append([name, title, f"{usual:.2f}", f"{stored:.2f}", f"{stored - usual:+.2f}"])
        say(" ".join(lines[-1]))
    lines.append(["mean", "", "", "", f"{np.mean(differences):+.3f}"])
    return markdown(["set", "score", *DTYPES, "difference"], lines)


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--labels", type=int, default=670_091)
    parser.add_argument("--rows", type=int, default=ROWS)
    parser.add_argument("--test-rows", type=int, default=TEST_ROWS)
    parser.add_argument("--hidden", type=int, nargs="+", default=[128, 256])
    parser.add_argument("--head", default="lsh", help="as in crossover.py")
    parser.add_argument("--passes", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--no-crosses", dest="crosses", action="store_false")
    parser.add_argument("--data", type=Path, help="folder of the sets: tell scores instead")
    parser.add_argument("--sets", nargs="+", metavar="TABLE/SET", help="default: all, see README")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--n-jobs", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--quick", action="store_true", help="little data: does it work?")
    if parser.parse_args(argv).quick:
        parser.set_defaults(**QUICK)  # what is asked for still holds
    args = parser.parse_args(argv)

    for library in ("OMP", "OPENBLAS", "MKL"):  # for the processes to come
        os.environ[f"{library}_NUM_THREADS"] = str(args.n_jobs)
    if args.data is not None:
        print(scores(args))
        return
    print(f"{args.labels:,} labels, {args.rows:,} rows, {args.n_jobs} threads\n", flush=True)
    print(times(args))


if __name__ == "__main__":
    main()
