"""Search for settings: udt by default, tuned, by random search, and tuned peers.

    python examples/benchmarks/tuning.py --data DIR
    python examples/benchmarks/tuning.py --data DIR --budget 10 --sets trec \
        --models udt fasttext_autotune --seeds 1

Every search has `--budget` seconds for all of it, its last fit included; random search over udt's
own space has three times as many. A search that takes longer is not cut short: the lines below the
table say what each took at most.
"""

from __future__ import annotations

from pathlib import Path

import mixed
import numpy as np
import tabular
import text
from benchmark import Benchmark
from metrics import accuracy
from report import Figures, best_peer, comparison, markdown, middle
from runner import main
from tuning_models import MODELS

DEFAULT, TUNED = "udt", "udt_tuned"
GROUPS = {
    "texts": {name: text.SETS[name] for name in text.BENCHMARK.default_sets},
    "tables": tabular.SETS,
    "mixed tables": {name: mixed.SETS[name] for name in ("womens_clothing", "googleplay_apps")},
}
SETS = {name: source for group in GROUPS.values() for name, source in group.items()}


def score_table(
    benchmark: Benchmark, figures: Figures, out: Path, key: str, sets: list[str], models: list[str]
) -> str:
    """One score in per cent, what tuning does to it, and whether the seconds were kept."""
    score = {(s, m): 100 * middle(figures, s, m, key) for s in sets for m in models}
    header = ["set", *(benchmark.models[model].title for model in models)]
    for rival in ("default", "best peer") if TUNED in models else ():
        header += [f"tuned - {rival}", "95 % interval", "verdict"]
    rows, below = [], []
    for name in sets:
        best = np.nanmax([score[name, model] for model in models])
        rows.append([name, *(cell(score[name, model], best) for model in models)])
        if TUNED not in models:
            continue
        against = comparison(figures, out, key, name, TUNED, DEFAULT)
        if against[-1] == "worse":
            below.append(f"{name} ({against[0]}, {against[1]})")
        rival = best_peer(score, name, models)
        rows[-1] += [*against, *comparison(figures, out, key, name, TUNED, rival)]
    for group, members in GROUPS.items():
        inside = [name for name in sets if name in members]
        if not inside:
            continue
        title = f"mean of {group}"
        means = {m: float(np.mean([score[name, m] for name in inside])) for m in models}
        rows.append([f"**{title}**", *(cell(means[model]) for model in models)])
        rival = best_peer({(title, model): mean for model, mean in means.items()}, title, models)
        for other in (DEFAULT, rival) if TUNED in models else ():
            rows[-1] += [cell(means[TUNED] - means.get(other, np.nan), sign="+"), "", ""]
    lines = [markdown(header, rows)]
    if {DEFAULT, TUNED} <= set(models):
        lines.append(f"Tuned significantly below the default: {', '.join(below) or 'nowhere'}.\n")
    return "\n".join([*lines, *longest(benchmark, figures, models)])


def cell(value: float, best: float | None = None, sign: str = "") -> str:
    """Two digits after the point, bold if the best; a dash for NaN."""
    if np.isnan(value):
        return "-"
    return f"**{value:.2f}**" if value == best else f"{value:{sign}.2f}"


def longest(benchmark: Benchmark, figures: Figures, models: list[str]) -> list[str]:
    """Say of each search the most that it took of its budget."""
    lines = []
    for model in models:
        shares = {
            run: row["seconds"] / row["budget"]
            for run, row in figures.items()
            if run.model == model and row.get("budget")
        }
        if shares:
            run = max(shares, key=lambda run: shares[run])
            lines.append(
                f"- {benchmark.models[model].title}: at most {shares[run]:.0%} of its "
                f"{figures[run]['budget']:g} s ({run.set}, seed {run.seed}); "
                f"median {np.median(list(shares.values())):.0%}\n"
            )
    return ["".join(lines)] if lines else []


BENCHMARK = Benchmark(
    title="Search for settings: udt by default, tuned, by random search, and tuned peers.",
    sets=SETS,
    models=MODELS,
    evaluate=accuracy,
    scores={"accuracy": "Test accuracy, %"},
    default_sets=tuple(SETS),
    default_models=tuple(MODELS),
    default_seeds=3,
    default_budget=60.0,
    score_table=score_table,
)

if __name__ == "__main__":
    main("tuning")
