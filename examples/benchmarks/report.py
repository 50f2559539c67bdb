"""Markdown tables from kept runs: `python report.py mixed benchmark-runs/mixed`."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from benchmark import BENCHMARKS, Benchmark, find

OURS = "udt"
COSTS = {
    "seconds": "fit, s",
    "features_seconds": "of it making features, s",
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


Figures = dict[Run, dict[str, Any]]


def read_runs(out: Path) -> Figures:
    """Read every finished run under `out`."""
    found = {}
    for path in sorted(out.glob("*/*.json")):
        model, seed, repeat = path.stem.rsplit("-", 2)
        run = Run(path.parent.name, model, int(seed), int(repeat))
        found[run] = json.loads(path.read_text())
    return found


def score_rows(out: Path, runs: Iterable[Run], score: str) -> np.ndarray | None:
    """Return what each test row adds to a score, (2, n), in the mean of the runs."""
    kept_rows = []
    for run in runs:
        with np.load(run.path(out).with_suffix(".npz")) as kept:
            if score not in kept:
                return None
            kept_rows.append(kept[score])
    return np.mean(kept_rows, axis=0)


def paired_bootstrap(
    ours: np.ndarray, theirs: np.ndarray, n_samples: int = 10_000, seed: int = 0
) -> tuple[float, float]:
    """Return the 95 % interval of the difference of two scores when test rows are drawn anew.

    Parameters
    ----------
    ours, theirs : ndarray of shape (2, n)
        What each test row adds to the numerator and the denominator of the score.
    n_samples : int, default=10_000
        How many test sets are drawn.
    seed : int, default=0
        Seeds the draws.

    Returns
    -------
    low, high : float
    """
    # Rows that add the same are alike: drawing how many of each kind is the same as drawing rows,
    # and costs nothing on large test sets. Areas under curves are rounded to have kinds at all.
    if np.array_equal(ours[1], theirs[1]):
        ours, theirs = np.stack([ours[0] - theirs[0], ours[1]]), np.stack([0 * ours[1], ours[1]])
    pairs = np.round(np.vstack([ours, theirs]), 3).T
    kinds, counts = np.unique(pairs, axis=0, return_counts=True)
    generator = np.random.default_rng(seed)
    at_once = max(1, 10_000_000 // len(kinds))  # 80 MB
    differences = []
    for first in range(0, n_samples, at_once):
        n_draws = min(at_once, n_samples - first)
        draws = generator.multinomial(len(pairs), counts / len(pairs), size=n_draws)
        sums = draws @ kinds
        differences.append(sums[:, 0] / sums[:, 1] - sums[:, 2] / sums[:, 3])
    low, high = np.quantile(np.concatenate(differences), [0.025, 0.975])
    return float(low), float(high)


def markdown(header: list[str], rows: list[list[str]]) -> str:
    """Lay out a table whose first column is text and whose others are figures."""
    rule = ["---"] + ["---:"] * (len(header) - 1)
    return "".join("| " + " | ".join(row) + " |\n" for row in [header, rule, *rows])


def middle(figures: Figures, set_name: str, model: str, key: str) -> float:
    """Median of a cost over seeds and repeats, mean of a score; NaN where nothing finished."""
    rows = [row for run, row in figures.items() if run[:2] == (set_name, model)]
    found = [row[key] for row in rows if key in row]
    if not found:
        return float("nan")
    return float(np.median(found) if key in COSTS else np.mean(found))


def number(value: float) -> str:
    """Three significant digits, without an exponent; a dash for NaN."""
    if np.isnan(value):
        return "-"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def best_peer(score: dict[tuple[str, str], float], set_name: str, models: list[str]) -> str | None:
    """Return which of those that are not ours has a set's highest score; None if none finished."""
    done = [m for m in models if not m.startswith(OURS) and not np.isnan(score[set_name, m])]
    return max(done, key=lambda model: score[set_name, model], default=None)


def comparison(
    figures: Figures, out: Path, key: str, set_name: str, ours: str, theirs: str | None
) -> list[str]:
    """Return a difference of scores in per cent, its 95 % interval and a verdict, or dashes."""
    means = [middle(figures, set_name, model, key) for model in (ours, theirs) if model]
    if theirs is None or np.isnan(means).any():
        return ["-"] * 3
    difference = f"{100 * (means[0] - means[1]):+.2f}"
    first, second = (
        score_rows(out, [run for run in figures if run[:2] == (set_name, model)], key)
        for model in (ours, theirs)
    )
    if first is None or second is None:
        return [difference, "-", "-"]
    low, high = paired_bootstrap(first, second)
    verdict = "better" if low > 0 else "worse" if high < 0 else "no difference shown"
    return [difference, f"{100 * low:+.2f} to {100 * high:+.2f}", verdict]


def score_table(
    benchmark: Benchmark, figures: Figures, out: Path, key: str, sets: list[str], models: list[str]
) -> str:
    """One score in per cent, and ours minus each set's best peer with its 95 % interval."""
    score = {(s, m): 100 * middle(figures, s, m, key) for s in sets for m in models}
    peers = [model for model in models if not model.startswith(OURS)]
    compare = OURS in models and bool(peers)
    header = ["set", *(benchmark.models[model].title for model in models)]
    header += ["udt - best peer", "95 % interval", "verdict"] if compare else []
    rows = []
    for name in sets:
        best = max(value for (s, _), value in score.items() if s == name and value == value)
        rows.append([name])
        for model in models:
            value = f"{score[name, model]:.2f}".replace("nan", "-")
            rows[-1].append(f"**{value}**" if score[name, model] == best else value)
        if compare:
            rival = best_peer(score, name, models)
            rows[-1] += comparison(figures, out, key, name, OURS, rival)
    means = {model: float(np.mean([score[name, model] for name in sets])) for model in models}
    rows.append(["**mean**", *(f"{means[model]:.2f}".replace("nan", "-") for model in models)])
    if compare:
        finished = [means[peer] for peer in peers if not np.isnan(means[peer])]
        lead = means[OURS] - max(finished) if finished else float("nan")
        rows[-1] += [f"{lead:+.2f}".replace("+nan", "-").replace("nan", "-"), "", ""]
    return markdown(header, rows)


def report(benchmark: Benchmark, figures: Figures, out: Path) -> str:
    """Return one table a score and one a kind of cost, in Markdown, and the models' notes."""
    sets = [name for name in benchmark.sets if any(run.set == name for run in figures)]
    models = [name for name in benchmark.models if any(run.model == name for run in figures)]
    parts = []
    for key, title in benchmark.scores.items():
        scored = {run for run, row in figures.items() if key in row}
        those_sets = [name for name in sets if any(run.set == name for run in scored)]
        those_models = [name for name in models if any(run.model == name for run in scored)]
        if scored:
            lay_out = benchmark.score_table or score_table
            table = lay_out(benchmark, figures, out, key, those_sets, those_models)
            parts.append(f"## {title}\n\n" + table)
    for key, title in COSTS.items():
        if not any(key in row for row in figures.values()):
            continue
        header = ["set", *(benchmark.models[model].title for model in models)]
        rows = [[s, *(number(middle(figures, s, m, key)) for m in models)] for s in sets]
        parts.append(f"## {title}\n\n" + markdown(header, rows))
    notes = [
        f"- {benchmark.models[run.model].title} on {run.set}, seed {run.seed}: {row['note']}\n"
        for run, row in figures.items()
        if row.get("note")
    ]
    return "\n".join(parts + ["".join(notes)] * bool(notes))


def main() -> None:
    """Print the tables of kept runs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("benchmark", choices=BENCHMARKS)
    parser.add_argument("runs", type=Path, help="the benchmark's --out folder")
    args = parser.parse_args()
    figures = read_runs(args.runs)
    if not figures:
        parser.error(f"no finished run in {args.runs}: run the benchmark with --out {args.runs}")
    sys.stdout.write(report(find(args.benchmark), figures, args.runs))


if __name__ == "__main__":
    main()
