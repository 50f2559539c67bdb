"""The search space: which parameters may pay for some data, and where to look first."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from udt.classifier import UDTClassifier


class Facts(NamedTuple):
    """What the space follows.

    ``char_ngrams`` tells whether texts are taken apart into characters by default, and
    ``may_have_char_ngrams`` whether that is affordable. ``head`` is "full", "mined" or "lsh". The
    others are what the classifier takes for parameters that are None.
    """

    has_text: bool
    has_numbers: bool
    n_cells: int
    n_classes: int
    char_ngrams: bool
    may_have_char_ngrams: bool
    head: str
    has_wide: bool
    max_iter: int
    batch_size: int
    learning_rate: float
    hidden_rate: float
    hidden_size: int
    hidden_dropout: float
    n_active: int
    n_hard: int


#: Of data that nobody has seen yet.
ANY_DATA = Facts(
    has_text=True,
    has_numbers=True,
    n_cells=2,
    n_classes=2,
    char_ngrams=True,
    may_have_char_ngrams=True,
    head="full",
    has_wide=True,
    max_iter=12,
    batch_size=128,
    learning_rate=0.4,
    hidden_rate=0.25,
    hidden_size=32,
    hidden_dropout=0.4,
    n_active=64,
    n_hard=40,
)


class Parameter(NamedTuple):
    """A name, where to look, and what the classifier takes by itself."""

    name: str
    distribution: BaseDistribution
    default: Any


@dataclass(frozen=True)
class Space:
    """What to search.

    Attributes
    ----------
    parameters : tuple of Parameter
    firsts : tuple of dict
        Single changes of the default that pay on some sets of data: they are tried first.
    """

    parameters: tuple[Parameter, ...]
    firsts: tuple[dict[str, Any], ...]

    @property
    def distributions(self) -> dict[str, BaseDistribution]:
        """Where to look, by the names of parameters."""
        return {parameter.name: parameter.distribution for parameter in self.parameters}

    def complete(self, changes: dict[str, Any]) -> dict[str, Any]:
        """Give all parameters, from those that are not as in the default."""
        return {p.name: changes.get(p.name, p.default) for p in self.parameters}

    def changes(self, params: dict[str, Any]) -> dict[str, Any]:
        """Leave out what is as in the default, so that the default stays the default."""
        return {p.name: params[p.name] for p in self.parameters if params[p.name] != p.default}


def make_space(model: UDTClassifier, facts: Facts) -> Space:
    """Give what is worth searching in some data, without what was set by hand."""
    initial = inspect.signature(UDTClassifier).parameters
    parameters = tuple(
        parameter
        for parameter in _parameters(facts)
        if _same(getattr(model, parameter.name), initial[parameter.name].default)
    )
    names = {parameter.name for parameter in parameters}
    firsts = tuple(first for first in _firsts(facts) if first.keys() <= names)
    return Space(parameters, firsts)


def _same(value: Any, default: Any) -> bool:
    return value is default or (type(value) is type(default) and value == default)


def _parameters(facts: Facts) -> Iterator[Parameter]:
    """Give the parameters that may pay, whether they were set by hand or not."""
    if facts.has_text:
        yield _choice("word_ngrams", "1-2", "1-1", "1-3")
        if facts.char_ngrams:
            yield _choice("char_ngrams", "auto", None, "2-5", "3-6")
        elif facts.may_have_char_ngrams:
            yield _choice("char_ngrams", "auto", "2-5", "3-5")
    if facts.has_text or facts.n_cells:
        yield _choice("min_df", 2, 1, 3)
    if facts.has_numbers:
        yield _choice("n_bins", None, 16, 256)
    if facts.n_cells > 1:
        yield _choice("crosses", False, 16, 64, 128)
    yield _choice("hidden_size", *_hidden_sizes(facts))
    yield _number("hidden_rate", facts.hidden_rate, 4)
    yield Parameter("hidden_dropout", FloatDistribution(0.0, 0.7), facts.hidden_dropout)
    yield _choice("dropout", None, 0.0, 0.1, 0.35, 0.5)
    yield _number("learning_rate_init", facts.learning_rate, 2)
    yield _number("max_iter", facts.max_iter, 2)
    yield _number("batch_size", facts.batch_size, 2)
    if facts.head == "full":
        yield _choice("label_smoothing", 0.0, 0.05, 0.1, 0.2)
    else:
        yield Parameter("n_hard", IntDistribution(10, 60, log=True), facts.n_hard)
    if facts.head == "lsh":
        yield Parameter(
            "n_active",
            IntDistribution(facts.n_active, min(6 * facts.n_active, facts.n_classes), log=True),
            facts.n_active,
        )
        yield _choice("bucket_size", None, 4, 16)
        yield _choice("rebuild_interval", None, 1 / 16, 1 / 4)


def _firsts(facts: Facts) -> Iterator[dict[str, Any]]:
    """Give what to try first, the changes that most often pay before others."""
    if facts.head != "full":
        yield from _wide_firsts(facts)
        return
    if facts.has_text:
        yield {"min_df": 1}
        if facts.may_have_char_ngrams:
            yield {"char_ngrams": "2-5"}
        yield {"dropout": 0.5}
        yield {"word_ngrams": "1-3"}
    if facts.n_cells > 1:
        yield {"crosses": 64}
    if facts.has_numbers:
        yield {"n_bins": 256}
    yield {"dropout": 0.0}
    yield {"hidden_rate": 2 * facts.hidden_rate}
    yield {"hidden_size": _hidden_sizes(facts)[-1]}
    yield {"label_smoothing": 0.1}


def _wide_firsts(facts: Facts) -> Iterator[dict[str, Any]]:
    """Give what to try first where there are very many labels: several changes at once."""
    for times, passes, hidden_dropout, dropout in (
        (2, 0.75, 0.3, 0.1), (4, 0.5, 0.1, 0.0), (4, 0.75, 0.2, 0.0), (4, 1.0, 0.3, 0.1)
    ):  # fmt: skip
        changes = {
            "n_hard": facts.n_hard // 2,
            "max_iter": max(1, round(passes * facts.max_iter)),
            "hidden_dropout": hidden_dropout,
            "dropout": dropout,
        }
        if facts.head == "lsh":
            changes["n_active"] = min(times * facts.n_active, facts.n_classes)
        yield changes


def _hidden_sizes(facts: Facts) -> list[int]:
    """Give the default, and others, of which the last is about twice as large."""
    size = facts.hidden_size
    if not size:
        return [0, 16, 32]
    smaller = [0] if facts.has_wide and facts.head == "full" else []
    return [size, *smaller, size // 2, 4 * size, 2 * size]


def _choice(name: str, *values: Any) -> Parameter:
    """Search among values, of which the first is the default."""
    return Parameter(name, CategoricalDistribution(values), values[0])


def _number(name: str, default: float, times: float) -> Parameter:
    """Search a number on a logarithmic scale around its default."""
    low, high = default / times, default * times
    if isinstance(default, int):
        return Parameter(
            name, IntDistribution(max(1, round(low)), round(high) + 1, log=True), default
        )
    return Parameter(name, FloatDistribution(low, high, log=True), default)
