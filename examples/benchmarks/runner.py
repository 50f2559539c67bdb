"""The command line of every benchmark: each run in a process of its own, then the tables."""

from __future__ import annotations

import argparse
import contextlib
import itertools
import json
import os
import platform
import subprocess
import sys
from importlib import metadata
from pathlib import Path

from benchmark import Benchmark, find
from report import Run, read_runs, report
from tqdm import tqdm

# Libraries that size a thread pool on import read it here.
THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
PACKAGES = ("udt", "numpy", "scikit-learn", "numba", "pandas")
PACKAGES += ("fasttext-wheel", "vowpalwabbit", "catboost", "lightgbm", "xgboost", "optuna", "flaml")


def run_one(run: Run, name: str, args: argparse.Namespace) -> str | None:
    """Run a worker to its end; return why it failed, or None."""
    path = run.path(args.out)
    path.parent.mkdir(parents=True, exist_ok=True)
    python = args.peer_python if find(name).models[run.model].elsewhere else sys.executable
    command = [python, str(Path(__file__).with_name("worker.py")), "--benchmark", name]
    command += ["--data", str(args.data), "--model", run.model, "--set", run.set]
    command += ["--seed", str(run.seed), "--threads", str(args.threads), "--out", str(path)]
    if args.budget:
        command += ["--budget", str(args.budget)]
    environment = os.environ | dict.fromkeys(THREAD_VARIABLES, str(args.threads))
    try:
        subprocess.run(
            command,
            env=environment,
            timeout=args.timeout,
            check=True,
            capture_output=True,
            text=True,
        )
    except subprocess.TimeoutExpired:
        return f"not finished in {args.timeout:.0f} s"
    except subprocess.CalledProcessError as error:
        return f"failed: {error.stderr.strip().rpartition(chr(10))[2]}"
    return None


def machine(threads: int) -> str:
    """Name what the times depend on, in one line."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.partition(": ")[2] for line in lines if line.startswith("model name")]
    versions = []
    for package in PACKAGES:
        with contextlib.suppress(metadata.PackageNotFoundError):
            versions.append(f"{package} {metadata.version(package)}")
    return (
        f"{names[0] if names else platform.processor()}, {threads} of {os.cpu_count()} cores, "
        f"{platform.system()} {platform.machine()}, Python {platform.python_version()}, "
        + ", ".join(versions)
    )


def planned(benchmark: Benchmark, args: argparse.Namespace) -> list[Run]:
    """Return the runs in their order: within a set and seed the models take turns (A B C A B C)."""
    peer_seeds = args.seeds if args.peer_seeds is None else args.peer_seeds
    return [
        Run(set_name, model, seed, repeat)
        for set_name, seed, repeat, model in itertools.product(
            args.sets, range(max(args.seeds, peer_seeds)), range(args.repeats), args.models
        )
        if benchmark.models[model].takes(benchmark.sets[set_name])
        and (
            seed == 0
            or (
                benchmark.models[model].seeded
                and seed < (args.seeds if model.startswith("udt") else peer_seeds)
            )
        )
    ]


def main(name: str) -> None:
    """Run what was asked of the benchmark `name`, then report on it."""
    benchmark = find(name)
    parser = argparse.ArgumentParser(description=benchmark.title)
    parser.add_argument("--data", type=Path, required=True, help="the folder of the sets' folders")
    parser.add_argument("--sets", nargs="+", choices=benchmark.sets, default=benchmark.default_sets)
    parser.add_argument(
        "--models", nargs="+", choices=benchmark.models, default=benchmark.default_models
    )
    parser.add_argument(
        "--seeds", type=int, default=benchmark.default_seeds, help="for models that have randomness"
    )
    parser.add_argument("--peer-seeds", type=int, help="the same for the peers, if not as many")
    parser.add_argument("--repeats", type=int, default=1, help="for times: medians are reported")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument(
        "--peer-python", default=sys.executable, help="interpreter of peers that cannot share ours"
    )
    if benchmark.default_budget:
        parser.add_argument(
            "--budget",
            type=float,
            default=benchmark.default_budget,
            help="seconds for a search, its last fit included (%(default)g)",
        )
    else:
        parser.set_defaults(budget=0.0)
    parser.add_argument("--timeout", type=float, default=1200, help="seconds for one run")
    parser.add_argument("--out", type=Path, default=Path("benchmark-runs", name), help="kept runs")
    parser.add_argument("--json", type=Path, help="also write every run's figures to this file")
    args = parser.parse_args()
    if benchmark.default_budget and not args.budget > 0:
        parser.error(f"--budget {args.budget:g}: give seconds above 0")

    runs = planned(benchmark, args)
    progress = tqdm(runs)
    for run in progress:
        progress.set_description(f"{run.set} {run.model}")
        for kept in (run.path(args.out).with_suffix(end) for end in (".json", ".npz")):
            kept.unlink(missing_ok=True)
        if failure := run_one(run, name, args):
            progress.write(f"{run.model} on {run.set}, seed {run.seed}: {failure}", sys.stderr)
    figures = {run: found for run, found in read_runs(args.out).items() if run in set(runs)}
    sys.stdout.write(report(benchmark, figures, args.out) + f"\n{machine(args.threads)}\n")
    if args.json:
        rows = [{**run._asdict(), **found} for run, found in figures.items()]
        args.json.write_text(json.dumps(rows, indent=1))
