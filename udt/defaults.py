"""Parameters of the classifier: their ranges, and what each follows when it is None.

The rules were chosen by experiments on validation parts of ten text sets.
"""

from __future__ import annotations

import math
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any

import numpy as np

from udt.training.settings import Settings

if TYPE_CHECKING:
    from udt.classifier import UDTClassifier

#: Weights up to which the linear path is affordable: features x classes.
MAX_WIDE_WEIGHTS = 1 << 25
#: Weights of the hidden path beside a linear one; rarer features have linear weights only.
MAX_EMBEDDING_WEIGHTS = 1 << 23


def check(model: UDTClassifier) -> None:
    """Raise if a parameter is out of range, naming it, its value and the range."""
    fraction = "a number from 0 to below 1"
    rules: tuple[tuple[str, bool, str, Any], ...] = (
        ("hidden_size", True, "a whole number from 0 to 4096", lambda v: _is_int(v, 0, 4096)),
        ("strip_accents", False, "True or False", lambda v: isinstance(v, (bool, np.bool_))),
        ("wide", True, "True or False", lambda v: isinstance(v, (bool, np.bool_))),
        ("dropout", True, fraction, _is_fraction),
        ("hidden_dropout", True, fraction, _is_fraction),
        ("label_smoothing", False, fraction, _is_fraction),
        ("max_iter", True, "a whole number from 1 on", lambda v: _is_int(v, 1, 10**9)),
        ("batch_size", True, "a whole number from 1 to 65536", lambda v: _is_int(v, 1, 65536)),
        (
            "learning_rate_init", True, "a positive number up to 1e30",
            lambda v: _is_real(v) and 0 < v <= 1e30,
        ),
        (
            "validation_fraction", False, "a number between 0 and 1",
            lambda v: _is_real(v) and 0 < v < 1,
        ),
        ("n_iter_no_change", False, "a whole number from 1 on", lambda v: _is_int(v, 1, 10**9)),
        ("verbose", False, "0, 1 or 2", lambda v: isinstance(v, bool) or _is_int(v, 0, 10**9)),
        ("early_stopping", False, "True or False", lambda v: isinstance(v, (bool, np.bool_))),
    )  # fmt: skip
    for name, may_be_none, expected, is_right in rules:
        value = getattr(model, name)
        if (value is None and may_be_none) or (value is not None and is_right(value)):
            continue
        also = ", or None" if may_be_none else ""
        raise ValueError(f"{name}={value!r}: give {expected}{also}.")
    if model.hidden_size == 0 and model.wide is False:
        raise ValueError("hidden_size=0 and wide=False leave no network: give at least one path.")


def network_shape(model: UDTClassifier, n_features: int, n_classes: int) -> tuple[int, int, bool]:
    """Give hidden units, embedded features, and whether there is a linear path."""
    is_affordable = n_features * n_classes <= MAX_WIDE_WEIGHTS
    if model.hidden_size is not None:
        hidden = int(model.hidden_size)
    elif is_affordable and n_classes == 2 and model.wide is not False:
        hidden = 0  # one direction separates two classes: a hidden layer only memorises
    else:
        hidden = 32 if n_classes <= 128 else 128
    wide = bool(is_affordable if model.wide is None else model.wide) or hidden == 0
    embedded = min(n_features, MAX_EMBEDDING_WEIGHTS // max(hidden, 1)) if wide else n_features
    return hidden, embedded, wide


def settings(model: UDTClassifier, n_rows: int, shape: tuple[int, int, bool]) -> Settings:
    """Give the settings of a training run on a network of some `network_shape`."""
    hidden, _, wide = shape
    batch_size = model.batch_size or 1 << int(np.clip(math.log2(max(n_rows, 1) / 64), 5, 10))
    passes = math.sqrt(1.5e6 / n_rows)
    if not hidden:
        passes = max(passes, 8)
    rate = model.learning_rate_init or 0.4
    return Settings(
        max_iter=int(model.max_iter or np.clip(round(passes), 1, 20)),
        batch_size=int(min(batch_size, max(n_rows, 1))),
        wide_rate=rate,
        # Beside a linear path the hidden layer learns slowly what that path leaves over.
        hidden_rate=rate / 4 if wide else rate / 2,
        head_rate=rate / 8 if wide else rate / 2,
        dropout=_first(model.dropout, 0.0),
        wide_dropout=_first(model.dropout, 0.2),
        hidden_dropout=_first(model.hidden_dropout, 0.4 if wide else 0.0),
        label_smoothing=float(model.label_smoothing),
        initial_state=0.1 if wide else 0.01,
    )


def _first(value: Any, default: float) -> float:
    return default if value is None else float(value)


def _is_int(value: Any, low: int, high: int) -> bool:
    return isinstance(value, Integral) and not isinstance(value, bool) and low <= int(value) <= high


def _is_real(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)


def _is_fraction(value: Any) -> bool:
    return _is_real(value) and 0 <= value < 1
