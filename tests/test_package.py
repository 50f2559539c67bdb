"""What `import udt` promises: few names, loaded only when used."""

import re
import subprocess
import sys
from importlib.resources import files

import pytest

import udt
from tasks import ROOT


def run(*arguments: str) -> str:
    """Run a fresh Python in the checkout and return what it wrote."""
    command = [sys.executable, *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_import_loads_no_heavy_package():
    heavy = {"joblib", "numba", "numpy", "pandas", "pyarrow", "safetensors", "scipy", "sklearn"}
    heavy |= {"optuna", "polars", "tokenizers"}
    loaded = run("-c", "import sys, udt; print(*{name.partition('.')[0] for name in sys.modules})")
    assert "udt" in loaded.split()
    assert heavy.isdisjoint(loaded.split())


def test_the_estimator_can_be_imported_without_compiling():
    loaded = run("-c", "import sys; from udt import UDTClassifier; print(*sys.modules)")
    assert "sklearn.base" in loaded.split()
    assert {"numba", "llvmlite", "optuna"}.isdisjoint(loaded.split())


@pytest.mark.parametrize("name", udt.__all__)
def test_every_public_name_is_there(name):
    assert getattr(udt, name) is not None
    assert name in dir(udt)


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'udt' has no attribute 'UDTRegressor'"):
        udt.UDTRegressor  # noqa: B018


def test_star_import_brings_the_public_names():
    names = run("-c", "from udt import *; print(*sorted(set(dir())))")
    assert set(udt.__all__) <= set(names.split())


def test_version_is_a_release_number():
    assert re.fullmatch(r"\d+\.\d+\.\d+", udt.__version__)
    assert f"## {udt.__version__}" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def test_the_package_is_marked_as_typed():
    assert (files("udt") / "py.typed").is_file()


def test_the_module_is_a_program():
    assert "train" in run("-m", "udt", "--help")
