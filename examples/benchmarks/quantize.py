"""What `quantize` costs and saves: size, speed and accuracy of integers beside float32.

    python examples/benchmarks/quantize.py --data DIR                     # all real sets
    python examples/benchmarks/quantize.py --data DIR --sets imdb --prune 0 0.5 0.8 0.9
    python examples/benchmarks/quantize.py --heads                        # output layers; no data

For each set, udt is trained on its train part with no argument but its seed, and quantised. Figures
are those of the test part: the score (accuracy, or micro-averaged F1 where rows have any number of
labels; `depends`: precision of the first label), how it differs from that of float32, with 95 % of
a paired bootstrap, the share of rows with the same answer, bytes of the weights and of the file,
and the times of `predict` on all rows and on one row: medians of calls that take turns, on all
cores that the process may use. With --validate, a quarter of train takes the place of test.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from benchmark import find
from datasets import shuffled, singles, take
from scipy import sparse

import udt
from udt.network.byte_products import INSTRUCTION
from udt.network.integers import quantize
from udt.network.tiles import make_tiles, score
from udt.threads import Pool, single_threaded_blas

TABLES = ("text", "mixed", "tabular", "multilabel")
LARGE = ("reddit_titles", "reddit_posts", "depends_all")  # only when asked for by name
HEADS = ((5950, 128), (5950, 256), (31_000, 128), (670_000, 128))
N_ONE = 100


def sources() -> dict[str, tuple[str, Any]]:
    """Give every real set: its table, and where it is read from."""
    found = {}
    for table in (*TABLES, "extreme"):
        for name, source in find(table).sets.items():
            if table != "extreme" or name.startswith("depends"):
                found.setdefault(name, (table, source))
    return found


def answers(model: udt.UDTClassifier, X: Any, is_extreme: bool) -> Any:
    """Give what is judged and timed: predictions, or the five likeliest of very many labels."""
    return model.predict_topk(X, 5)[0] if is_extreme else model.predict(X)


def per_row(found: Any, y: Any, is_extreme: bool) -> np.ndarray:
    """Give, for each row, hits, and what the score is divided by: (n, 2)."""
    if is_extreme:
        top = sparse.csr_matrix(
            (np.ones(len(found)), found[:, 0], np.arange(len(found) + 1)), (len(found), y.shape[1])
        )
        return np.column_stack(
            [np.asarray(top.multiply(y).sum(axis=1)).ravel(), np.ones(len(found))]
        )
    if not sparse.issparse(y):
        return np.column_stack([found == y, np.ones(len(y))])
    found = sparse.csr_matrix(found, shape=(y.shape[0], found.shape[1]))
    found.resize(y.shape)
    sums = [np.asarray(m.sum(axis=1)).ravel() for m in (found.multiply(y), found, y)]
    return np.column_stack([2 * sums[0], sums[1] + sums[2]])


def score_of(rows: np.ndarray) -> float:
    """Give accuracy, precision or micro-averaged F1 in per cent."""
    return float(100 * rows[:, 0].sum() / rows[:, 1].sum())


def interval(rows: np.ndarray, base: np.ndarray) -> tuple[float, float]:
    """Give 95 % of the differences in a paired bootstrap."""
    random = np.random.default_rng(0)
    draws = []
    for _ in range(1000):
        weights = random.multinomial(len(rows), np.full(len(rows), 1 / len(rows))).astype(float)
        sums = [weights @ part for part in (rows, base)]
        draws.append(100 * (sums[0][0] / sums[0][1] - sums[1][0] / sums[1][1]))
    low, high = np.percentile(draws, [2.5, 97.5])
    return float(low), float(high)


def by_turns(calls: dict[str, Callable[[], Any]], n: int) -> dict[str, float]:
    """Time each call in turn, again and again, after a first time; give medians in seconds."""
    times: dict[str, list[float]] = {name: [] for name in calls}
    for call in calls.values():
        call()
    for _ in range(n):
        for name, call in calls.items():
            start = time.perf_counter()
            call()
            times[name].append(time.perf_counter() - start)
    return {name: median(seconds) for name, seconds in times.items()}


def megabytes(model: udt.UDTClassifier) -> tuple[float, float]:
    """Give the size of the weights and of the model file."""
    with TemporaryDirectory() as folder:
        path = Path(folder, "model.udt")
        model.save(path)
        n_bytes = sum(array.nbytes for array in model.network_.arrays().values())
        return n_bytes / 1e6, path.stat().st_size / 1e6


def measure_set(name: str, args: argparse.Namespace) -> None:
    """Print the lines of one set."""
    table, source = sources()[name]
    split = source.read(args.data)
    is_extreme = table == "extreme"
    X, y = shuffled(split.X, split.y, args.seed)
    X_test, y_test = split.X_test, split.y_test
    if args.validate:
        n = (3 * (len(X) if isinstance(X, list) else X.shape[0])) // 4
        X_test, y_test = take(X, slice(n, None)), y[n:]
        X, y = take(X, slice(0, n)), y[:n]
    base = udt.UDTClassifier(random_state=args.seed).fit(X, y)
    models = {"float32": base}
    for prune in args.prune:
        if prune and base.network_.has_crosses:
            continue
        for bits in args.bits:
            models[f"int{bits}" + (f" -{prune:.0%}" if prune else "")] = base.quantize(
                bits, prune=prune
            )
    found = {key: answers(model, X_test, is_extreme) for key, model in models.items()}
    rows = {key: per_row(answer, y_test, is_extreme) for key, answer in found.items()}
    ones = singles(X_test, N_ONE)
    batch = by_turns(
        {k: lambda m=m: answers(m, X_test, is_extreme) for k, m in models.items()}, args.repeats
    )
    one = by_turns(
        {
            k: lambda m=m: [answers(m, [x] if isinstance(x, str) else x, is_extreme) for x in ones]
            for k, m in models.items()
        },
        args.repeats,
    )
    sizes = {key: megabytes(model) for key, model in models.items()}
    for key in models:
        low, high = interval(rows[key], rows["float32"])
        same = _same(found[key], found["float32"], is_extreme)
        smaller = [a / b for a, b in zip(sizes["float32"], sizes[key], strict=True)]
        print(
            f"| {name if key == 'float32' else ''} | {key} | {score_of(rows[key]):.2f} "
            f"| {score_of(rows[key]) - score_of(rows['float32']):+.2f} [{low:+.2f}, {high:+.2f}] "
            f"| {same:.2f} | {sizes[key][0]:.2f} ({smaller[0]:.2f}x) "
            f"| {sizes[key][1]:.2f} ({smaller[1]:.2f}x) "
            f"| {batch[key]:.3f} ({batch['float32'] / batch[key]:.2f}x) "
            f"| {one[key] / len(ones) * 1e6:.0f} ({one['float32'] / one[key]:.2f}x) |",
            flush=True,
        )


def _same(found: Any, base: Any, is_extreme: bool) -> float:
    """Give the share of rows with the same answer, in per cent."""
    if is_extreme:
        found, base = found[:, 0], base[:, 0]
    if sparse.issparse(found):
        return float(100 * np.mean(np.asarray(abs(found - base).sum(axis=1)).ravel() == 0))
    return float(100 * np.mean(found == base))


def measure_heads(args: argparse.Namespace) -> None:
    """Print what the output layer alone takes, from hidden activations to logits, on one thread."""
    print(f"Instruction for dot products of bytes: {INSTRUCTION and INSTRUCTION[0]}\n")
    print("| classes x units | rows | float32, ms | int8, ms | int4, ms |\n|---|---|---|---|---|")
    random = np.random.default_rng(0)
    for n_classes, width in HEADS:
        weights = random.normal(size=(n_classes, width)).astype(np.float32)
        bias = random.normal(size=n_classes).astype(np.float32)
        with Pool(1) as pool, single_threaded_blas():
            tiles = {b: make_tiles(quantize(weights, b, None, pool), bias) for b in (8, 4)}
            for n in (max(16, min(512, (1 << 22) // n_classes)), 1):
                hidden = np.tanh(random.normal(size=(n, width))).astype(np.float32)
                out = np.empty((n, n_classes), dtype=np.float32)

                def in_floats(
                    hidden: Any = hidden, out: Any = out, weights: Any = weights, bias: Any = bias
                ) -> None:
                    np.matmul(hidden, weights.T, out=out)
                    np.add(out, bias, out=out)

                calls = {"float32": in_floats} | {
                    f"int{b}": lambda t=t, h=hidden, o=out: score(h, t, False, o)
                    for b, t in tiles.items()
                }
                times = by_turns(calls, 5 * args.repeats)
                line = " | ".join(
                    f"{1e3 * seconds:.3f} ({times['float32'] / seconds:.2f}x)"
                    for seconds in times.values()
                )
                print(f"| {n_classes} x {width} | {n} | {line} |", flush=True)


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, help="folder of the sets")
    parser.add_argument("--sets", nargs="+", choices=sources(), metavar="SET")
    parser.add_argument("--bits", nargs="+", type=int, default=[8, 4], choices=[8, 4])
    parser.add_argument("--prune", nargs="+", type=float, default=[0.0], metavar="SHARE")
    parser.add_argument("--repeats", type=int, default=5, help="timed calls (default: 5)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--validate", action="store_true", help="use a part of train, not test")
    parser.add_argument("--heads", action="store_true", help="time output layers alone")
    args = parser.parse_args()
    if args.heads:
        measure_heads(args)
        return
    if args.data is None:
        parser.error("give --data, or --heads")
    print(
        "| set | | score | difference | same, % | weights, MB | file, MB | all rows, s "
        "| one row, us |\n|---|---|---|---|---|---|---|---|---|"
    )
    for name in args.sets or [name for name in sources() if name not in LARGE]:
        measure_set(name, args)


if __name__ == "__main__":
    main()
