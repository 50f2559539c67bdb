"""Time and accuracy of training that sifts out samples with a low loss, and of fewer passes.

    python examples/benchmarks/sifting.py --data DIR --plot sifting.png
    python examples/benchmarks/sifting.py --data DIR --sets census_income_kdd --kept 1 0.6 0.4
    python examples/benchmarks/sifting.py --data DIR --held-out       # to choose settings

Three ways to spend less time on a training of --passes passes:

- sifting: each pass keeps about a share of the rows for the backward pass;
- skip_forward: rows that are easy are not even looked at in the next pass;
- fewer passes over all rows.

Rows become features once a set, and each arm trains on them, taking turns; the arms differ in
nothing else. "training" is the median of the seconds of training; "CPU" are those of all threads,
which other work on the machine hardly changes; "fit" has the making of features as well, as `fit`
has. Accuracy is the mean over seeds on the test part (50,000 rows of it, if there are more) or,
with --held-out, on a fifth of the train part, which then does not train; its difference to all rows
in all passes has a 95 % interval by paired bootstrap over rows. Below the table is which share of a
pass is backward pass and update, on one thread, and how much of that sifting alone saves.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import tabular
import text
from datasets import Split
from report import markdown, paired_bootstrap

SETS = {"reddit_titles": text.SETS["reddit_titles"], **tabular.SETS, **text.SETS}
PASSES = {"reddit_titles": 6}  # where there would be too few to sift
ROWS = {"reddit_titles": 300_000}
TEST_ROWS = 50_000
KEPT = (1.0, 0.8, 0.6, 0.5, 0.4, 0.3)
HEADER = [
    "arm", "training, s", "less", "CPU, s", "less", "fit, s", "less", "accuracy, %", "difference",
    "95 % interval", "forward, %", "backward, %",
]  # fmt: skip


class Arm(NamedTuple):
    """One way to train."""

    kind: str  # "all rows", "sifting" or "skip_forward"
    share: float
    passes: int

    @property
    def title(self) -> str:
        """Say it in a few words."""
        if self.kind == "all rows":
            return f"all rows, {self.passes} passes"
        return f"{self.kind}, {self.share:g} kept"

    def sifting(self) -> Any:
        """Give the classifier's parameter."""
        from udt.training.sifting import SiftingConfig, beta_for

        if self.kind == "all rows":
            return None
        skips = self.kind == "skip_forward"
        return SiftingConfig(beta_for(self.share), skip_forward=skips) if skips else self.share


class Plan(NamedTuple):
    """What training needs, as the estimator would make it."""

    rows: Any
    numbers: Any
    n_classes: int
    shape: Any
    settings: Any
    seconds: float  # that the features took
    rows_test: Any
    numbers_test: Any


class Run(NamedTuple):
    """What came of an arm once."""

    seconds: float
    cpu_seconds: float
    right: np.ndarray  # whether each row's label was found
    shares: list[tuple[float, float]]  # of rows forwarded and kept, a pass


def make_plan(split: Split, n_jobs: int, max_iter: int | None) -> Plan:
    """Make features, and settings, as fit does."""
    from udt import UDTClassifier, defaults
    from udt.classifier import read_input
    from udt.targets import read_targets

    model = UDTClassifier(n_jobs=n_jobs, max_iter=max_iter)
    start = time.perf_counter()
    data = read_input(split.X)
    target = read_targets(split.y, data.n_rows)
    featurizer = model._make_featurizer(split.X)
    rows = featurizer._fit_transform(data, target.numbers, None)
    seconds = time.perf_counter() - start
    shape = defaults.network_shape(model, featurizer, rows.shape[1], target)
    settings = defaults.settings(model, featurizer, data.n_rows, shape, target)
    places = np.searchsorted(target.classes, split.y_test).clip(max=len(target.classes) - 1)
    places[target.classes[places] != split.y_test] = -1  # a label that train has not
    rows_test = featurizer._transform(read_input(split.X_test))
    return Plan(
        csr(rows), target.numbers, len(target.classes), shape, settings, seconds, csr(rows_test),
        places,
    )  # fmt: skip


def csr(matrix: Any) -> Any:
    """Give the arrays of a CSR matrix."""
    return matrix.indptr, matrix.indices, matrix.data


def train(plan: Plan, arm: Arm, seed: int, n_jobs: int) -> Run:
    """Train once, and measure."""
    from udt.threads import Pool, single_threaded_blas
    from udt.training.fitting import fit_network

    with Pool(n_jobs) as pool, single_threaded_blas():
        start, cpu_start = time.perf_counter(), time.process_time()
        learnt = fit_network(
            plan.rows,
            plan.numbers,
            np.ones(len(plan.numbers), dtype=np.float32),
            None,
            n_classes=plan.n_classes,
            shape=plan.shape,
            settings=replace(plan.settings, max_iter=arm.passes, sifting=arm.sifting()),
            patience=None,
            random=np.random.RandomState(seed),
            verbose=0,
            pool=pool,
        )
        seconds, cpu = time.perf_counter() - start, time.process_time() - cpu_start
        best = learnt.network.map_logits(plan.rows_test, lambda x: x.argmax(axis=1), pool)
    return Run(seconds, cpu, np.concatenate(best) == plan.numbers_test, learnt.history.sifted)


@contextmanager
def watched(phases: bool) -> Iterator[dict[str, float]]:
    """Count the processor's seconds of training loops and, with ``phases``, of forward passes."""
    from udt.training import fitting
    from udt.training.loop import Trainer

    seconds = {"loop": 0.0, "forward": 0.0}

    def counted(function: Any, name: str) -> Any:
        def call(*arguments: Any) -> Any:
            start = time.process_time()
            result = function(*arguments)
            seconds[name] += time.process_time() - start
            return result

        return call

    run, forward = fitting.run, Trainer._forward
    fitting.run = counted(run, "loop")
    if phases:
        Trainer._forward = counted(forward, "forward")  # type: ignore[method-assign]
    try:
        yield seconds
    finally:
        fitting.run, Trainer._forward = run, forward  # type: ignore[method-assign]


def backward_share(plan: Plan, repeats: int) -> str:
    """Tell the share of backward passes and updates in a pass, and what 0.6 kept saves of it.

    All on one thread, where the processor's seconds of phases add up.
    """
    shares, saved, kept = [], [], []
    for _ in range(repeats):
        with watched(phases=False) as whole:
            train(plan, Arm("all rows", 1.0, 2), 0, 1)
        with watched(phases=False) as less:
            kept += [kept for _, kept in train(plan, Arm("sifting", 0.6, 2), 0, 1).shares]
        with watched(phases=True) as phases:
            train(plan, Arm("all rows", 1.0, 2), 0, 1)
        shares.append(1 - phases["forward"] / phases["loop"])
        saved.append(1 - less["loop"] / whole["loop"])
    share, spared = float(np.median(shares)), 1 - float(np.mean(kept))
    bound, found = spared * share, float(np.median(saved))
    return (
        f"Backward pass and update: {share:.0%} of a pass on one thread. Without {spared:.0%} of "
        f"them it takes at most {bound:.1%} less; sifting takes {found:.1%} less, "
        f"{found / bound if bound else float('nan'):.0%} of that."
    )


def arms(passes: int, kept: Sequence[float]) -> list[Arm]:
    """Give all arms, that of all rows in all passes first."""
    found = [Arm("all rows", 1.0, n) for n in range(passes, 0, -1)]
    for kind in ("sifting", "skip_forward"):
        found += [Arm(kind, share, passes) for share in kept if share < 1]
    return found


def table(plan: Plan, runs: dict[Arm, list[Run]]) -> str:
    """Lay out the arms, each beside the first."""
    lines, base = [], next(iter(runs))
    seconds = {arm: float(np.median([run.seconds for run in done])) for arm, done in runs.items()}
    cpu = {arm: float(np.median([run.cpu_seconds for run in done])) for arm, done in runs.items()}
    right = {arm: np.mean([run.right for run in done], axis=0) for arm, done in runs.items()}
    for arm, done in runs.items():
        fit = [seconds[one] + plan.seconds for one in (arm, base)]
        ones = np.ones(len(right[arm]))
        low, high = paired_bootstrap(np.stack([right[arm], ones]), np.stack([right[base], ones]))
        shares = 100 * np.mean([run.shares or [(1.0, 1.0)] for run in done], axis=(0, 1))
        lines.append(
            [arm.title, f"{seconds[arm]:.2f}", f"{1 - seconds[arm] / seconds[base]:.0%}",
             f"{cpu[arm]:.2f}", f"{1 - cpu[arm] / cpu[base]:.0%}",
             f"{fit[0]:.2f}", f"{1 - fit[0] / fit[1]:.0%}", f"{100 * right[arm].mean():.2f}",
             f"{100 * (right[arm].mean() - right[base].mean()):+.2f}",
             f"{100 * low:+.2f} to {100 * high:+.2f}", f"{shares[0]:.0f}", f"{shares[1]:.0f}"]
        )  # fmt: skip
    return markdown(HEADER, lines)


def draw(results: dict[str, dict[Arm, list[Run]]], path: Path) -> None:
    """Plot time against accuracy, a panel a set and a line a kind of arm."""
    import matplotlib

    matplotlib.use("agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(
        1, len(results), figsize=(5.2 * len(results), 4), squeeze=False, layout="constrained"
    )
    for axis, (name, runs) in zip(axes[0], results.items(), strict=True):
        base = next(iter(runs))
        for kind, mark in (("all rows", "s"), ("sifting", "o"), ("skip_forward", "^")):
            chosen = [arm for arm in runs if arm.kind == kind]
            if kind != "all rows":
                chosen = [base, *chosen]
            x = [float(np.median([run.seconds for run in runs[arm]])) for arm in chosen]
            y = [100 * float(np.mean([run.right for run in runs[arm]])) for arm in chosen]
            axis.plot(x, y, mark + "-", label="fewer passes" if kind == "all rows" else kind)
            for arm, *place in zip(chosen, x, y, strict=True):
                if arm == base and kind != "all rows":
                    continue
                told = f"{arm.passes}" if kind == "all rows" else f"{arm.share:g}"
                axis.annotate(told, place, xytext=(4, 4), textcoords="offset points", fontsize=8)
        axis.set(title=name, xlabel="seconds of training", ylabel="accuracy, %", xlim=(0, None))
        axis.grid(alpha=0.3)
        axis.legend(title="passes, or share kept", loc="lower right", fontsize=8, title_fontsize=8)
    figure.savefig(path, dpi=120)


def read(name: str, data: Path, n_rows: int | None, held_out: bool) -> Split:
    """Read a set, its train part shuffled and cut."""
    split = SETS[name].read(data)
    order = np.random.default_rng(0).permutation(len(split.y))
    end = min(n_rows or len(order), len(order) * 4 // 5 if held_out else len(order))
    X, y = pick(split.X, order[:end]), split.y[order[:end]]
    if not held_out:
        rest = np.random.default_rng(1).permutation(len(split.y_test))[:TEST_ROWS]
        return Split(X, y, pick(split.X_test, rest), split.y_test[rest])
    rest = order[end : end + min(max(len(order) // 5, 1), TEST_ROWS)]
    return Split(X, y, pick(split.X, rest), split.y[rest])


def first_rows(split: Split, n: int) -> Split:
    """Cut both parts."""
    some = np.arange(n)
    train, test = some[: len(split.y)], some[: len(split.y_test)]
    return Split(
        pick(split.X, train), split.y[train], pick(split.X_test, test), split.y_test[test]
    )  # fmt: skip


def pick(X: Any, rows: np.ndarray) -> Any:
    """Choose rows of a list or a frame."""
    return [X[i] for i in rows] if isinstance(X, list) else X.iloc[rows].reset_index(drop=True)


def main() -> None:
    """Print a table a set."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="folder of the sets")
    parser.add_argument(
        "--sets", nargs="+", choices=SETS, default=["reddit_titles", "census_income_kdd"]
    )
    parser.add_argument("--kept", nargs="+", type=float, default=KEPT, help="shares to keep")
    parser.add_argument("--passes", type=int, help="default: as the classifier, 6 for reddit")
    parser.add_argument("--rows", type=int, help="of train; default: all, 300,000 of reddit")
    parser.add_argument("--held-out", action="store_true", help="measure on a part of train")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--n-jobs", type=int, default=2)
    parser.add_argument("--plot", type=Path, metavar="FILE", help="save a plot there")
    args = parser.parse_args()
    wrong = [share for share in args.kept if not 0 < share <= 1]
    if wrong:
        parser.error(f"--kept {wrong[0]:g}: give shares above 0, up to 1")

    results = {}
    for name in args.sets:
        split = read(name, args.data, args.rows or ROWS.get(name), args.held_out)
        make_plan(first_rows(split, 1000), args.n_jobs, 1)  # compiles what the process lacks
        plan = make_plan(split, args.n_jobs, args.passes or PASSES.get(name))
        every = arms(plan.settings.max_iter, args.kept)
        small = plan._replace(numbers=plan.numbers[:1000], rows=head(plan.rows, 1000))
        for arm in (every[0], every[-1]):
            train(small, arm, 0, args.n_jobs)
        runs: dict[Arm, list[Run]] = {arm: [] for arm in every}
        for seed in range(args.seeds):
            for arm in every:
                runs[arm].append(train(plan, arm, seed, args.n_jobs))
                sys.stderr.write(
                    f"{name}, seed {seed}: {arm.title}: {runs[arm][-1].seconds:.1f} s\n"
                )
        results[name] = runs
        sys.stdout.write(
            f"## {name}: {len(plan.numbers):,} rows, {plan.n_classes:,} classes, features in "
            f"{plan.seconds:.1f} s\n\n{table(plan, runs)}\n"
            f"{backward_share(plan, 3)}\n\n"
        )
        sys.stdout.flush()
    if args.plot:
        draw(results, args.plot)


def head(rows: Any, n: int) -> Any:
    """Give the first rows of a CSR matrix."""
    return rows[0][: n + 1], rows[1], rows[2]


if __name__ == "__main__":
    main()
