"""What makes one table: its sets, its contestants, and how an answer is judged."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from datasets import Source
from metrics import Rows

BENCHMARKS = ("text", "mixed", "tabular", "multilabel", "extreme", "tuning")


class Model(Protocol):
    """What the worker asks of every contestant.

    One that knows probabilities also has `scores`, of shape (n, classes or labels). A fit that
    was cut short says so in an attribute `note`; one that searched has a dict `found`, to be kept.
    """

    def fit(self, X: Any, y: Any) -> object: ...

    def predict(self, X: Any) -> Any: ...

    def predict_one(self, row: Any) -> object: ...

    def save(self, path: Path) -> None: ...


class Job(NamedTuple):
    """What a model is built for."""

    threads: int
    seed: int
    source: Any  # the set: peers are told what its columns are
    budget: float = 0.0  # seconds, for models that search


@dataclass(frozen=True)
class Contestant:
    """How to build a model, and whether a second seed changes anything."""

    title: str
    build: Callable[[Job], Model]
    seeded: bool = False
    warm_up: bool = True  # not if there is nothing to compile and a fit takes minutes on any rows
    elsewhere: bool = False  # its packages need the interpreter that --peer-python names
    # Makes of one row (see `datasets.singles`) what `predict_one` is given; not timed.
    one_row: Callable[[Any], Any] = lambda row: row
    budgets: float = 0.0  # how many times --budget its search is given
    takes: Callable[[Any], bool] = lambda source: True  # whether it can learn a set


@dataclass(frozen=True)
class Benchmark:
    """A table: `scores` are the keys and titles of what is compared, all of it in per cent."""

    title: str
    sets: Mapping[str, Source]
    models: Mapping[str, Contestant]
    evaluate: Callable[[Any, Any, Any], tuple[dict[str, float], Rows]]
    scores: Mapping[str, str]
    default_sets: tuple[str, ...]
    default_models: tuple[str, ...]
    default_seeds: int = 5
    default_budget: float = 0.0  # seconds; without it, no model searches
    score_table: Callable[..., str] | None = None  # instead of that of `report.py`


def find(name: str) -> Benchmark:
    """Return the benchmark of the file `name`.py."""
    return import_module(name).BENCHMARK
