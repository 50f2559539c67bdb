"""Hash tables, and what trains with them, as tuned beside the closed form.

    python examples/benchmarks/hash_tuning.py --data DIR --budget 300 --seeds 3

The labels are the packages that a Debian package depends on (5,950; see extreme.py), and both arms
have `head="lsh"`. One takes what the closed forms and defaults say; the other what
`udt.tune(..., timeout=BUDGET)` finds for the first seed, from the train part alone. Both are then
trained on the whole train part with each seed, taking turns. "fit" is the median of the seconds
from raw texts; P@1, on the test part, is the mean over seeds, and its difference has a 95 %
interval by paired bootstrap over rows.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from extreme import SETS
from report import markdown, paired_bootstrap

import udt


def main() -> None:
    """Search, train both, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--set", choices=SETS, default="depends")
    parser.add_argument("--budget", type=float, default=300.0, help="seconds of the search")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    split = SETS[args.set].read(args.data)
    base: dict[str, Any] = {"head": "lsh", "n_jobs": args.threads}
    udt.UDTClassifier(**base, max_iter=1, random_state=0).fit(split.X[:2000], split.y[:2000])
    model = udt.UDTClassifier(**base, random_state=0, verbose=int(sys.stderr.isatty()))
    tuning = udt.tune(model, split.X, split.y, timeout=args.budget)
    arms = {"closed form": {}, "tuned": tuning.best_params}
    seconds: dict[str, list[float]] = {name: [] for name in arms}
    hits: dict[str, list[np.ndarray]] = {name: [] for name in arms}
    for seed in range(args.seeds):
        for name, params in arms.items():
            model = udt.UDTClassifier(**base, random_state=seed).set_params(**params)
            start = time.perf_counter()
            model.fit(split.X, split.y)
            seconds[name].append(time.perf_counter() - start)
            best = model.predict_topk(split.X_test, 1)[0][:, 0]
            hits[name].append(np.asarray(split.y_test[np.arange(len(best)), best]).ravel() > 0)
    usual = median(seconds["closed form"])
    rows = [
        [
            name,
            f"{median(seconds[name]):.1f}",
            f"{median(seconds[name]) / usual:.2f}",
            f"{100 * np.mean(hits[name]):.2f}",
        ]
        for name in arms
    ]
    print(markdown(["arm", "fit, s", "of the closed form's", "P@1, %"], rows))
    means = {name: np.stack([np.mean(hits[name], axis=0), np.ones(len(best))]) for name in arms}
    low, high = paired_bootstrap(means["tuned"], means["closed form"])
    print(f"\ntuned - closed form, points: {100 * low:+.2f} to {100 * high:+.2f} (95 %)")
    print(f"found in {tuning.seconds:.0f} s, {len(tuning.trials)} trials: {tuning.best_params}")


if __name__ == "__main__":
    main()
