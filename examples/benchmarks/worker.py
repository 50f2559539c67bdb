"""Measure one (model, set, seed) in a process of its own. Started by `text.py`."""

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

import numpy as np
import pyarrow as pa
from datasets import distinct, load, shuffled
from models import MODELS, Model

WARM_UP_ROWS = 200
WARM_UP_CALLS = 20
LATENCY_TEXTS = 1000
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


def one_row_microseconds(model: Model, texts: list[str]) -> np.ndarray:
    """Time each text alone, once, after a short warm-up on the last of them."""
    for text in texts[-WARM_UP_CALLS:]:
        model.predict_one(text)
    nanoseconds: list[int] = []
    deadline = time.perf_counter() + LATENCY_SECONDS
    gc.collect()
    gc.disable()  # as timeit does
    for text in texts:
        start = time.perf_counter_ns()
        model.predict_one(text)
        nanoseconds.append(time.perf_counter_ns() - start)
        if time.perf_counter() > deadline:
            break
    gc.enable()
    return np.array(nanoseconds) / 1000


def rows_per_second(model: Model, texts: list[str], at_least: float = 1.0) -> float:
    """Median over repeated predictions of all test texts, for `at_least` seconds."""
    seconds: list[float] = []
    while sum(seconds) < at_least:
        start = time.perf_counter()
        model.predict(texts)
        seconds.append(time.perf_counter() - start)
    return len(texts) / float(np.median(seconds))


def measure(
    data: Path, model_name: str, set_name: str, seed: int, threads: int
) -> tuple[dict[str, float], dict[str, np.ndarray]]:
    """Fit and test one model; return its figures and its predictions beside the truth."""
    test_texts, test_labels = load(data, set_name, "test")
    texts, labels = shuffled(*load(data, set_name, "train"), seed=seed)
    build = MODELS[model_name].build

    # Compiled code is loaded, and cached if it was not, before the clock starts.
    warm = build(threads, seed)
    warm.fit(texts[:WARM_UP_ROWS], labels[:WARM_UP_ROWS])
    warm.predict(texts[:WARM_UP_ROWS])
    del warm

    model = build(threads, seed)
    before = settle()
    start = time.perf_counter()
    model.fit(texts, labels)
    seconds = time.perf_counter() - start
    peak = memory("VmHWM") - before

    predicted = model.predict(test_texts)
    latency = one_row_microseconds(model, distinct(test_texts, LATENCY_TEXTS))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "model.udt")
        model.save(path)
        size = path.stat().st_size
    return {
        "accuracy": float((predicted == test_labels).mean()),
        "seconds": seconds,
        "p50_us": float(np.percentile(latency, 50)),
        "p99_us": float(np.percentile(latency, 99)),
        "rows_per_second": rows_per_second(model, test_texts),
        "peak_mb": peak / 1e6,
        "file_mb": size / 1e6,
    }, {"predicted": predicted, "label": test_labels}


def main() -> None:
    """Write `<out>.json` (figures) and `<out>.npz` (predictions and labels)."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--model", choices=MODELS, required=True)
    parser.add_argument("--set", required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    if hasattr(os, "sched_setaffinity"):  # every model gets the same cores
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: args.threads])
    figures, predictions = measure(args.data, args.model, args.set, args.seed, args.threads)
    np.savez_compressed(args.out.with_suffix(".npz"), allow_pickle=False, **predictions)
    args.out.with_suffix(".json").write_text(json.dumps(figures))


if __name__ == "__main__":
    main()
