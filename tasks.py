"""The project's few verbs. Needs nothing but Python 3.11 or newer.

Each verb first makes the environment it needs in `.venv` (or where UDT_VENV says), says what it
does, and may be run again at any time and from any folder.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import venv
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent
VENV = Path(os.environ.get("UDT_VENV", ROOT / ".venv")).absolute()
PIP_INSTALL = ("-m", "pip", "--disable-pip-version-check", "install", "--quiet")


def say(text: str) -> None:
    """Tell what happens next, before the output of child processes."""
    print(f"==> {text}", flush=True)


def kernel_cache() -> Path:
    """Name a folder for compiled kernels that changes with any source file of the package.

    numba looks only at the file of a kernel itself, not at those of the kernels it calls.
    """
    digest = hashlib.sha256()
    for path in sorted((ROOT / "udt").rglob("*.py")):
        digest.update(path.relative_to(ROOT).as_posix().encode() + b"\0" + path.read_bytes())
    return ROOT / ".cache" / "numba" / digest.hexdigest()[:16]


def run(*command: str | Path, cwd: Path | None = ROOT, **environment: str) -> None:
    """Run a command to its end; its failure ends this program with the same exit code."""
    always = {"NUMBA_CACHE_DIR": str(kernel_cache()), "PYTHONUNBUFFERED": "1"}
    variables = os.environ | always | environment
    status = subprocess.run([str(part) for part in command], cwd=cwd, env=variables).returncode
    if status:
        raise SystemExit(status if status > 0 else 128 - status)


def script(name: str, folder: Path = VENV) -> Path:
    """Return the path of a program in an environment."""
    windows = os.name == "nt"
    return folder / ("Scripts" if windows else "bin") / (f"{name}.exe" if windows else name)


def make_venv(folder: Path) -> None:
    """Make an empty environment, in place of a broken one."""
    if folder.exists() and any(folder.iterdir()) and not (folder / "pyvenv.cfg").exists():
        raise SystemExit(f"{folder} holds something else: move it, or set UDT_VENV to a new folder")
    say(f"making an environment in {folder}")
    try:
        venv.EnvBuilder(clear=True, with_pip=True, symlinks=os.name != "nt").create(folder)
    except subprocess.CalledProcessError:
        shutil.rmtree(folder, ignore_errors=True)
        raise SystemExit(
            f"{sys.executable} cannot make an environment with pip. "
            "On Debian and Ubuntu, install the package python3-venv; then run this again."
        ) from None


def need(*extras: str) -> Path:
    """Install the package (editable) with these extras, where not done yet; return its Python."""
    python, stamp = script("python"), VENV / "udt-installed.json"
    source = hashlib.sha256((ROOT / "pyproject.toml").read_bytes()).hexdigest()
    done: dict[str, list[str]] = {}
    if not python.exists():
        make_venv(VENV)
    elif stamp.exists():
        done = json.loads(stamp.read_text())
    key = f"{ROOT} {source}"
    wanted = sorted({*extras, *done.get(key, [])})
    if done.get(key) != wanted:
        target = f"{ROOT}[{','.join(wanted)}]" if wanted else str(ROOT)
        extra = f", with {', '.join(wanted)}" if wanted else ""
        say(f"installing udt and what it needs{extra}; the first time this takes a minute")
        if not script("pip").exists():
            run(python, "-m", "ensurepip")
        run(python, *PIP_INSTALL, "--editable", target)
        stamp.write_text(json.dumps({key: wanted}))
    return python


def setup(*_: str) -> None:
    """Install everything that the other verbs need."""
    need("test", "lint", "notebooks")
    say(f"ready: {script('python')}")


def demo(*sentences: str) -> None:
    """Train on the bundled questions, save the model, and answer the given sentences."""
    python = need()
    say("running examples/quickstart.py")
    # In the caller's folder: that is where banking77.udt goes.
    run(python, ROOT / "examples" / "quickstart.py", *sentences, cwd=None)


def test(*arguments: str) -> None:
    """Run the tests; arguments go to pytest."""
    python = need("test")
    say("running the tests")
    run(python, "-m", "pytest", *arguments)


def lint(*_: str) -> None:
    """Check style, format and types."""
    python = need("lint")
    say("checking style, format and types")
    run(python, "-m", "ruff", "check")
    run(python, "-m", "ruff", "format", "--check")
    run(python, "-m", "mypy")


def kernels(*_: str) -> None:
    """Run the kernels' tests uncompiled, for coverage, and compiled for a plain processor."""
    python = need("test")
    say("kernel tests, uncompiled")
    run(python, "-m", "pytest", "-q", "-m", "kernel", "--cov", NUMBA_DISABLE_JIT="1")
    say("kernel tests, compiled for a plain processor")
    run(python, "-m", "pytest", "-q", "-m", "kernel", NUMBA_CPU_NAME="generic")


def lowest(*arguments: str) -> None:
    """Run the tests with the lowest versions that pyproject.toml allows."""
    import tomllib

    if sys.version_info >= (3, 13):
        raise SystemExit("the lowest versions exist for Python 3.11 and 3.12: run this with one")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    bounds = [*project["dependencies"], *project["optional-dependencies"]["test"]]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_venv(folder / "venv")
        python = script("python", folder / "venv")
        say("installing the lowest versions: " + ", ".join(bounds))
        exact = [bound.replace(">=", "==") for bound in bounds]
        run(python, *PIP_INSTALL, "--only-binary", ":all:", *exact)
        run(python, *PIP_INSTALL, "--no-deps", "--editable", ROOT)
        run(python, "-m", "pip", "check")
        say("running the tests with them")
        run(python, "-m", "pytest", "-q", *arguments)


def notebooks(*arguments: str) -> None:
    """Execute the notebooks in place; with --check, only see that they run."""
    need("notebooks")
    for notebook in sorted((ROOT / "notebooks").glob("*.ipynb")):
        with tempfile.TemporaryDirectory() as folder:
            say(f"executing {notebook.name}")
            target = notebook
            if "--check" in arguments:
                target = Path(shutil.copy(notebook, folder))
            run(script("jupyter-execute"), "--inplace", target)


def wheel(*_: str) -> None:
    """Build the wheel, install it elsewhere and see that it is pure Python and complete."""
    python = need()
    with tempfile.TemporaryDirectory() as folder:
        say("building the wheel")
        run(python, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", folder, ROOT)
        (built,) = Path(folder).glob("*.whl")
        if not built.name.endswith("-py3-none-any.whl"):
            raise SystemExit(f"{built.name} is not a pure-Python wheel for Python 3")
        held = set(zipfile.ZipFile(built).namelist())
        data = ("train.parquet", "test.parquet", "LICENSE")
        sets = ("adult", "banking77")
        needed = {"udt/py.typed", *(f"udt/data/{set_}/{name}" for set_ in sets for name in data)}
        if missing := needed - held:
            raise SystemExit(f"{built.name} lacks {', '.join(sorted(missing))}")
        if foreign := {name for name in held if not name.startswith(("udt/", "udt-"))}:
            raise SystemExit(f"{built.name} must hold udt only, not {', '.join(sorted(foreign))}")
        site = Path(folder) / "site"
        run(python, *PIP_INSTALL, "--no-deps", "--target", site, built)
        check = (
            "import pathlib, udt; "
            f"assert pathlib.Path(udt.__file__).is_relative_to({str(site.resolve())!r}); "
            "assert len(udt.datasets.load_banking77(subset='all').data) == 13083; "
            "assert udt.datasets.load_adult(subset='all').data.num_rows == 48842; "
            "import importlib.metadata as m; assert m.version('udt') == udt.__version__"
        )
        run(python, "-P", "-c", check, cwd=Path(folder), PYTHONPATH=str(site.resolve()))
        say(f"{built.name} is pure Python, typed, and holds its data")


def bench(*arguments: str) -> None:
    """Run a benchmark of examples/benchmarks: its name, then its own arguments."""
    folder = ROOT / "examples" / "benchmarks"
    if not arguments or not (folder / f"{arguments[0]}.py").exists():
        raise SystemExit(f"say which benchmark: the name of a file in {folder} without .py")
    python = need("bench")
    say(f"running the benchmark {' '.join(arguments)}")
    run(python, folder / f"{arguments[0]}.py", *arguments[1:], cwd=None)


VERBS = {
    verb.__name__: verb
    for verb in (setup, demo, test, lint, kernels, lowest, notebooks, wheel, bench)
}


def main() -> None:
    """Run the verb named on the command line."""
    if sys.version_info < (3, 11):  # noqa: UP036  (no installer has checked it before us)
        raise SystemExit(f"udt needs Python 3.11 or newer; this is {sys.version.split()[0]}")
    if len(sys.argv) < 2 or sys.argv[1] not in VERBS:
        lines = [f"  {name:<10} {verb.__doc__}" for name, verb in VERBS.items()]
        raise SystemExit("\n".join(["usage: python tasks.py VERB [arguments]", "", *lines]))
    try:
        VERBS[sys.argv[1]](*sys.argv[2:])
    except KeyboardInterrupt:
        raise SystemExit(130) from None


if __name__ == "__main__":
    main()
