"""examples/benchmarks/dtype.py: its command runs."""

import subprocess
import sys

from tasks import ROOT


def test_a_line_a_dtype():
    script = ROOT / "examples" / "benchmarks" / "dtype.py"
    command = [sys.executable, str(script), "--quick", "--n-jobs", "1"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    lines = [line.split("|")[1:-1] for line in done.stdout.splitlines() if line.startswith("| 16")]
    usual, stored = ([cell.strip() for cell in line] for line in lines)
    assert (usual[1], stored[1]) == ("float32", "bfloat16")
    assert 1.95 < float(usual[2]) / float(stored[2]) < 2.05
