"""Measure one (model, set, seed) in a process of its own. Started by `runner.py`."""

from __future__ import annotations

import argparse
import ctypes
import gc
import json
import os
import resource
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from benchmark import BENCHMARKS, Job, Model, find
from datasets import shuffled, singles, take
from metrics import Rows, ratio

WARM_UP_ROWS = 200
WARM_UP_CALLS = 20
WARM_UP_SECONDS = 5  # the budget of a warm-up that searches
LATENCY_ROWS = 1000
LATENCY_SECONDS = 20  # some peers take half a second a row


def memory(field: str) -> int:
    """Return VmRSS or VmHWM (the peak) of this process in bytes; the peak stands in elsewhere."""
    status = Path("/proc/self/status")
    if status.exists():
        line = next(row for row in status.read_text().splitlines() if row.startswith(field))
        return int(line.split()[1]) * 1024
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def settle() -> int:
    """Return freed pages to the system, restart the peak and give the memory in use, in bytes."""
    gc.collect()
    pa.default_memory_pool().release_unused()
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc only
        if trim:
            trim(0)
        Path("/proc/self/clear_refs").write_text("5")
    return memory("VmRSS")


def one_row_microseconds(model: Model, rows: list[Any]) -> np.ndarray:
    """Time each row alone, once, after a short warm-up on the last of them."""
    for row in rows[-WARM_UP_CALLS:]:
        model.predict_one(row)
    nanoseconds: list[int] = []
    deadline = time.perf_counter() + LATENCY_SECONDS
    gc.collect()
    gc.disable()  # as timeit does
    for row in rows:
        start = time.perf_counter_ns()
        model.predict_one(row)
        nanoseconds.append(time.perf_counter_ns() - start)
        if time.perf_counter() > deadline:
            break
    gc.enable()
    return np.array(nanoseconds) / 1000


def rows_per_second(model: Model, X: Any, n: int, at_least: float = 1.0) -> float:
    """Median over repeated predictions of all `n` test rows, for `at_least` seconds."""
    seconds: list[float] = []
    while sum(seconds) < at_least:
        start = time.perf_counter()
        model.predict(X)
        seconds.append(time.perf_counter() - start)
    return n / float(np.median(seconds))


def measure(
    data: Path,
    benchmark_name: str,
    model_name: str,
    set_name: str,
    seed: int,
    threads: int,
    budget: float = 0.0,
) -> tuple[dict[str, Any], Rows]:
    """Fit and test one model; return its figures and its scores row by row."""
    benchmark = find(benchmark_name)
    source, contestant = benchmark.sets[set_name], benchmark.models[model_name]
    X, y, X_test, y_test = source.read(data)
    X, y = shuffled(X, y, seed)
    job = Job(threads, seed, source, contestant.budgets * budget)

    # Compiled code is loaded, and cached if it was not, before the clock starts.
    if contestant.warm_up:
        few = slice(0, WARM_UP_ROWS)
        short = contestant.budgets * min(budget, WARM_UP_SECONDS)
        warm = contestant.build(job._replace(budget=short))
        warm.fit(take(X, few), y[few])
        warm.predict(take(X, few))
        del warm

    model = contestant.build(job)
    before = settle()
    start = time.perf_counter()
    model.fit(X, y)
    seconds = time.perf_counter() - start
    peak = memory("VmHWM") - before

    scores, rows = benchmark.evaluate(model, X_test, y_test)
    one_row = [contestant.one_row(row) for row in singles(X_test, LATENCY_ROWS)]
    latency = one_row_microseconds(model, one_row)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "model.udt")
        model.save(path)
        size = path.stat().st_size
    return {
        **{name: ratio(values) for name, values in rows.items()},
        **scores,
        "seconds": seconds,
        "p50_us": float(np.percentile(latency, 50)),
        "p99_us": float(np.percentile(latency, 99)),
        "rows_per_second": rows_per_second(model, X_test, y_test.shape[0]),
        "peak_mb": peak / 1e6,
        "file_mb": size / 1e6,
        "note": getattr(model, "note", ""),
        **({"budget": job.budget, "found": model.found} if job.budget else {}),
    }, rows


def main() -> None:
    """Write `<out>.json` (figures) and `<out>.npz` (what each test row adds to the scores)."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--benchmark", choices=BENCHMARKS, required=True)
    parser.add_argument("--model", required=True)
    parser.add_argument("--set", required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--budget", type=float, default=0.0)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    if hasattr(os, "sched_setaffinity"):  # every model gets the same cores
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: args.threads])
    figures, rows = measure(
        args.data, args.benchmark, args.model, args.set, args.seed, args.threads, args.budget
    )
    np.savez_compressed(args.out.with_suffix(".npz"), allow_pickle=False, **rows)
    args.out.with_suffix(".json").write_text(json.dumps(figures))


if __name__ == "__main__":
    main()
