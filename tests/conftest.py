"""What every test needs before udt is imported."""

import io
import os
import sys
from pathlib import Path

import hypothesis
import pytest

from tasks import ROOT, kernel_cache

os.environ["NUMBA_CACHE_DIR"] = str(kernel_cache())  # numba reads it when it is imported

hypothesis.configuration.set_hypothesis_home_dir(Path(ROOT, ".cache", "hypothesis"))
# Machines differ in speed, so no deadline; on CI the same examples at each run.
hypothesis.settings.register_profile("local", deadline=None)
hypothesis.settings.register_profile("ci", deadline=None, derandomize=True, print_blob=True)
hypothesis.settings.load_profile("ci" if os.environ.get("CI") else "local")


def pytest_terminal_summary(terminalreporter):
    """Tell how many of scikit-learn's own checks ran."""
    counts = {
        outcome: sum(
            "test_scikit_learns_checks" in report.nodeid
            for report in terminalreporter.stats.get(outcome, [])
        )
        for outcome in ("passed", "failed", "xfailed", "skipped")
    }
    skipped = counts.pop("skipped")
    if any(counts.values()):
        told = ", ".join(f"{n} {outcome}" for outcome, n in counts.items())
        terminalreporter.write_line(
            f"scikit-learn's checks of UDTClassifier: {sum(counts.values())} ran ({told}), "
            f"{skipped} skipped"
        )


@pytest.fixture
def run(capsys):
    """Run the command line, and give what it wrote."""
    from udt.cli import main

    def run(*argv, code=0):
        capsys.readouterr()
        assert main([str(arg) for arg in argv]) == code
        return capsys.readouterr()

    return run


@pytest.fixture
def stdin(monkeypatch):
    """Give a text or bytes to standard input."""

    def stdin(text):
        content = text.encode() if isinstance(text, str) else text
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))

    return stdin
