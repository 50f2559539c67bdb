"""Text classification: udt beside its peers, every run in a process of its own.

    python examples/benchmarks/text.py --data DIR

prints a table of accuracies with the significance of udt's lead or lag on each set, and a table
of costs. Runs are kept in `--out`; `report.py` prints the same tables from there.
"""

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

from datasets import DEFAULT_SETS, TEXT_SETS
from models import DEFAULT_MODELS, MODELS
from report import Run, read_runs, report
from tqdm import tqdm

# Libraries that size a thread pool on import read it here.
THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def run_one(run: Run, args: argparse.Namespace) -> str | None:
    """Run a worker to its end; return why it failed, or None."""
    path = run.path(args.out)
    path.parent.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, str(Path(__file__).with_name("worker.py"))]
    command += ["--data", str(args.data), "--model", run.model, "--set", run.set]
    command += ["--seed", str(run.seed), "--threads", str(args.threads), "--out", str(path)]
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
        return f"not finished in {args.timeout} s"
    except subprocess.CalledProcessError as error:
        return f"failed: {error.stderr.strip().rpartition(chr(10))[2]}"
    return None


def machine(threads: int) -> str:
    """Name what the times depend on, in one line."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.partition(": ")[2] for line in lines if line.startswith("model name")]
    versions = []
    for package in ("udt", "numpy", "scikit-learn", "numba", "fasttext-wheel", "vowpalwabbit"):
        with contextlib.suppress(metadata.PackageNotFoundError):
            versions.append(f"{package} {metadata.version(package)}")
    return (
        f"{names[0] if names else platform.processor()}, {threads} of {os.cpu_count()} cores, "
        f"{platform.system()} {platform.machine()}, Python {platform.python_version()}, "
        + ", ".join(versions)
    )


def planned(args: argparse.Namespace) -> list[Run]:
    """Return the runs in their order: within a set and seed the models take turns (A B C A B C)."""
    return [
        Run(set_name, model, seed, repeat)
        for set_name, seed, repeat, model in itertools.product(
            args.sets, range(args.seeds), range(args.repeats), args.models
        )
        if seed == 0 or MODELS[model].seeded
    ]


def main() -> None:
    """Run what was asked for, then report on it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="the folder of the sets' folders")
    parser.add_argument("--sets", nargs="+", choices=TEXT_SETS, default=DEFAULT_SETS)
    parser.add_argument("--models", nargs="+", choices=MODELS, default=DEFAULT_MODELS)
    parser.add_argument("--seeds", type=int, default=5, help="for models that have randomness")
    parser.add_argument("--repeats", type=int, default=1, help="for times: medians are reported")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--timeout", type=float, default=600, help="seconds for one run")
    parser.add_argument("--out", type=Path, default=Path("benchmark-runs"), help="kept runs")
    parser.add_argument("--json", type=Path, help="also write every run's figures to this file")
    args = parser.parse_args()

    runs = planned(args)
    progress = tqdm(runs)
    for run in progress:
        progress.set_description(f"{run.set} {run.model}")
        for kept in (run.path(args.out).with_suffix(end) for end in (".json", ".npz")):
            kept.unlink(missing_ok=True)
        if failure := run_one(run, args):
            progress.write(f"{run.model} on {run.set}, seed {run.seed}: {failure}", sys.stderr)
    figures = {run: found for run, found in read_runs(args.out).items() if run in set(runs)}
    sys.stdout.write(report(figures, args.out) + f"\n{machine(args.threads)}\n")
    if args.json:
        rows = [{**run._asdict(), **found} for run, found in figures.items()]
        args.json.write_text(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
