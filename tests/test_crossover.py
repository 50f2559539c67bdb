"""examples/benchmarks/crossover.py: its command runs, and its arguments are checked."""

import subprocess
import sys

import pytest

from tasks import ROOT

FOLDER = ROOT / "examples" / "benchmarks"


def run(*arguments):
    command = [sys.executable, str(FOLDER / "crossover.py"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=300)


def cells(table):
    return [[cell.strip() for cell in line.split("|")[1:-1]] for line in table.splitlines()]


def test_every_head_has_a_line():
    done = run("--quick", "--n-jobs", "1")
    assert done.returncode == 0, done.stderr
    table = done.stdout[done.stdout.index("| labels") : done.stdout.index("\nPasses: 1")]
    lines = {line[1]: line for line in cells(table)[2:]}
    assert list(lines) == ["blas", "full", "mined", "lsh-1000", "lsh"]
    assert lines["full"][3] == "1" and lines["blas"][2].startswith("~")
    assert lines["full"][4] == lines["mined"][4] == "1,200"
    assert lines["lsh-1000"][4] == "1,000" and float(lines["lsh"][4]) < 200
    assert lines["blas"][5] == "-" and all(float(lines[head][5]) > 5 for head in list(lines)[1:])


def test_one_row_and_the_kernel():
    done = run("--quick", "--n-jobs", "1", "--approximate", "--sgemv")
    assert done.returncode == 0, done.stderr
    assert "| udt, rows at random |" in done.stdout and "1,200 x 128, one thread" in done.stdout
    assert "| predict_topk, approximate=False |" in done.stdout


def test_a_head_that_would_take_too_long_is_stopped(monkeypatch):
    monkeypatch.syspath_prepend(str(FOLDER))
    crossover = pytest.importorskip("crossover")
    clock = crossover.Clock(n_rows=1000, limit=60.0)
    moments = iter([0.0, 1.0, 2.0, 3.0, 4.0])
    monkeypatch.setattr(crossover.time, "perf_counter", lambda: next(moments))
    for _ in range(4):
        clock.tick(10)  # a second for 10 rows: 100 s in all
    with pytest.raises(crossover.TooSlowError):
        clock.tick(10)
    assert clock.seconds_a_row == pytest.approx(0.1)


def test_an_unknown_head():
    done = run("--heads", "lsh-0")
    assert done.returncode == 2 and "'lsh-0': give blas, full, mined, lsh, or" in done.stderr
