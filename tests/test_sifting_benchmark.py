"""examples/benchmarks/sifting.py: its command runs, and its arguments are checked."""

import subprocess
import sys

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from problems import LABELS, TEXTS

from tasks import ROOT

FOLDER = ROOT / "examples" / "benchmarks"


def run(*arguments):
    command = [sys.executable, str(FOLDER / "sifting.py"), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300)


@pytest.fixture
def data(tmp_path):
    """Give a folder with a small set that has the name of a large one."""
    (tmp_path / "trec").mkdir()
    for part, n in (("train", 8), ("test", 2)):
        table = pa.table({"text": TEXTS * n, "label": LABELS * n})
        pq.write_table(table, tmp_path / "trec" / f"{part}.parquet")
    return tmp_path


def test_every_arm_has_a_line(data):
    plot = data / "plot.png"
    arguments = ["--data", data, "--sets", "trec", "--passes", 2, "--kept", 1, 0.5, "--n-jobs", 1]
    done = run(*arguments, *(["--plot", plot] if has_matplotlib() else []))
    assert done.returncode == 0, done.stderr
    assert "## trec: 288 rows, 3 classes" in done.stdout
    lines = [line.split("|")[1].strip() for line in done.stdout.splitlines() if "|" in line]
    assert lines[2:] == [
        "all rows, 2 passes", "all rows, 1 passes", "sifting, 0.5 kept", "skip_forward, 0.5 kept",
    ]  # fmt: skip
    assert "Backward pass and update: " in done.stdout
    assert plot.exists() == has_matplotlib()


def has_matplotlib():
    try:
        import matplotlib  # noqa: F401
    except ImportError:
        return False
    return True


def test_rows_may_be_held_out(data):
    arguments = ["--data", data, "--sets", "trec", "--passes", 1, "--rows", 100, "--kept", 0.5]
    done = run(*arguments, "--held-out", "--n-jobs", 1)
    assert done.returncode == 0, done.stderr
    assert "## trec: 100 rows" in done.stdout


def test_a_share_of_nothing(data):
    done = run("--data", data, "--kept", 0)
    assert done.returncode == 2
    assert "--kept 0: give shares above 0, up to 1" in done.stderr
