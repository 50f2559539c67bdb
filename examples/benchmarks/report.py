"""Markdown tables from the runs that `text.py` kept: `python report.py RUNS`."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from datasets import TEXT_SETS
from models import MODELS

OURS = "udt"
COSTS = {
    "seconds": "fit, s",
    "p50_us": "one row p50, us",
    "p99_us": "p99, us",
    "rows_per_second": "rows/s",
    "peak_mb": "peak above data, MB",
    "file_mb": "file, MB",
}


class Run(NamedTuple):
    """One process: a model on a set with a seed; repeats differ only in their times."""

    set: str
    model: str
    seed: int
    repeat: int

    def path(self, out: Path) -> Path:
        """Return where the run is kept, without a suffix."""
        return out / self.set / f"{self.model}-{self.seed}-{self.repeat}"


Figures = dict[Run, dict[str, float]]


def read_runs(out: Path) -> Figures:
    """Read every finished run under `out`."""
    found = {}
    for path in sorted(out.glob("*/*.json")):
        model, seed, repeat = path.stem.rsplit("-", 2)
        run = Run(path.parent.name, model, int(seed), int(repeat))
        found[run] = json.loads(path.read_text())
    return found


def rightness(out: Path, runs: Iterable[Run]) -> np.ndarray:
    """Return the share of runs that were right on each test row, of shape (n,)."""
    right = []
    for run in runs:
        with np.load(run.path(out).with_suffix(".npz")) as kept:
            right.append(kept["predicted"] == kept["label"])
    return np.stack(right).mean(axis=0)


def paired_bootstrap(
    ours: np.ndarray, theirs: np.ndarray, n_samples: int = 10_000, seed: int = 0
) -> tuple[float, float]:
    """Return the 95 % interval of the mean difference when test rows are drawn anew.

    Parameters
    ----------
    ours, theirs : ndarray of shape (n,)
        How often each test row was predicted rightly, in [0, 1].
    n_samples : int, default=10_000
        How many test sets are drawn.
    seed : int, default=0
        Seeds the draws.

    Returns
    -------
    low, high : float
    """
    # Rows are alike where their difference is: drawing how many of each kind is the same as
    # drawing rows, and costs nothing on large test sets.
    values, counts = np.unique(ours - theirs, return_counts=True)
    draws = np.random.default_rng(seed).multinomial(len(ours), counts / len(ours), size=n_samples)
    low, high = np.quantile(draws @ values / len(ours), [0.025, 0.975])
    return float(low), float(high)


def markdown(header: list[str], rows: list[list[str]]) -> str:
    """Lay out a table whose first column is text and whose others are figures."""
    rule = ["---"] + ["---:"] * (len(header) - 1)
    return "".join("| " + " | ".join(row) + " |\n" for row in [header, rule, *rows])


def middle(figures: Figures, set_name: str, model: str, key: str) -> float:
    """Median over seeds and repeats (accuracy: mean); NaN where nothing finished."""
    found = [row[key] for run, row in figures.items() if run[:2] == (set_name, model)]
    if not found:
        return float("nan")
    return float(np.mean(found) if key == "accuracy" else np.median(found))


def number(value: float) -> str:
    """Three significant digits, without an exponent; a dash for NaN."""
    if np.isnan(value):
        return "-"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def accuracy_table(figures: Figures, out: Path, sets: list[str], models: list[str]) -> str:
    """Accuracy in per cent, and ours minus each set's best peer with its 95 % interval."""
    score = {(s, m): 100 * middle(figures, s, m, "accuracy") for s in sets for m in models}
    peers = [model for model in models if not model.startswith(OURS)]
    compare = OURS in models and bool(peers)
    header = ["set", *(MODELS[model].title for model in models)]
    header += ["udt - best peer", "95 % interval", "verdict"] if compare else []
    rows = []
    for name in sets:
        best = max(value for (s, _), value in score.items() if s == name and value == value)
        rows.append([name])
        for model in models:
            value = f"{score[name, model]:.2f}".replace("nan", "-")
            rows[-1].append(f"**{value}**" if score[name, model] == best else value)
        done = [peer for peer in peers if not np.isnan(score[name, peer])]
        if not compare or not done or np.isnan(score[name, OURS]):
            rows[-1] += ["-"] * 3 * compare
            continue
        rival = max(done, key=lambda peer: score[name, peer])
        ours, theirs = (
            rightness(out, [run for run in figures if run[:2] == (name, model)])
            for model in (OURS, rival)
        )
        low, high = paired_bootstrap(ours, theirs)
        verdict = "better" if low > 0 else "worse" if high < 0 else "no difference shown"
        difference = f"{score[name, OURS] - score[name, rival]:+.2f}"
        rows[-1] += [difference, f"{100 * low:+.2f} to {100 * high:+.2f}", verdict]
    means = {model: float(np.mean([score[name, model] for name in sets])) for model in models}
    rows.append(["**mean**", *(f"{means[model]:.2f}".replace("nan", "-") for model in models)])
    if compare:
        finished = [means[peer] for peer in peers if not np.isnan(means[peer])]
        lead = means[OURS] - max(finished) if finished else float("nan")
        rows[-1] += [f"{lead:+.2f}".replace("+nan", "-").replace("nan", "-"), "", ""]
    return markdown(header, rows)


def report(figures: Figures, out: Path) -> str:
    """Return the table of accuracies and one table a kind of cost, in Markdown."""
    sets = [name for name in TEXT_SETS if any(run.set == name for run in figures)]
    models = [name for name in MODELS if any(run.model == name for run in figures)]
    parts = ["## Test accuracy, %\n\n" + accuracy_table(figures, out, sets, models)]
    for key, title in COSTS.items():
        header = ["set", *(MODELS[model].title for model in models)]
        rows = [[s, *(number(middle(figures, s, m, key)) for m in models)] for s in sets]
        parts.append(f"## {title}\n\n" + markdown(header, rows))
    return "\n".join(parts)


def main() -> None:
    """Print the tables of kept runs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", type=Path, help="the --out folder of text.py")
    args = parser.parse_args()
    figures = read_runs(args.runs)
    if not figures:
        parser.error(f"no finished run in {args.runs}: run text.py with --out {args.runs} first")
    sys.stdout.write(report(figures, args.runs))


if __name__ == "__main__":
    main()
