"""Parameters of the classifier: their ranges, and what each follows when it is None.

The rules were chosen by experiments on validation parts of ten text sets, six real tables, three
sets of many labels and a dozen small or made tables.
"""

from __future__ import annotations

import math
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any

import numpy as np

from udt.features.ready import ReadyFeatures
from udt.features.table import TableFeaturizer
from udt.lsh.hashing import Hashing
from udt.targets import Targets
from udt.training.settings import NetworkShape, Settings
from udt.training.sifting import is_sifting
from udt.tuning.budget import EXAMPLES as BUDGETS
from udt.tuning.budget import is_budget

if TYPE_CHECKING:
    from udt.classifier import UDTClassifier
    from udt.network.model import SparseNetwork

#: Classes of a softmax, and labels of any number a row, from which on hash tables are worth what
#: they miss: with 31,000 labels they halve the time, and cost a point of precision.
LSH_CLASSES, LSH_LABELS = 1 << 13, 1 << 15
#: Labels, of any number a row, from which on only the hardest get gradients, and crosses pay.
MINED_LABELS = 1000
#: Weights up to which the linear path is affordable: features x classes.
MAX_WIDE_WEIGHTS = 1 << 25
#: Rate of the steps of gradient descent that crosses take.
CROSS_RATE = 1.0
#: Wrong classes of a row that get gradients, where few of many are active: the hardest.
N_HARD = 40
#: Passes until hash tables are built for the second time.
REBUILD_INTERVAL = 1 / 8
#: Embeddings of n-grams start so small that tanh starts out linear, those of numbers do not. Where
#: classes start from averages, these must tell rows apart.
TEXT_RANGE, CELLS_RANGE, AVERAGES_RANGE = 0.03, 1.0, 0.3
#: First learning rates. AdaGrad's follows the data, Adam's is its authors', and SGD's was chosen
#: by experiments on five sets.
RATES = {"adagrad": None, "adam": 1e-3, "sgd": 0.2}
#: Weights of the hidden path beside a linear one; rarer features have linear weights only.
MAX_EMBEDDING_WEIGHTS = 1 << 23


def check(model: UDTClassifier) -> None:
    """Raise if a parameter is out of range, naming it, its value and the range."""
    fraction = "a number from 0 to below 1"
    rules: tuple[tuple[str, bool, str, Any], ...] = (
        ("hidden_size", True, "a whole number from 0 to 4096", lambda v: _is_int(v, 0, 4096)),
        (
            "hidden_rate", True, "a positive number up to 1000",
            lambda v: _is_real(v) and 0 < v <= 1000,
        ),
        ("tune", True, f"{BUDGETS}, or a number of trials", is_budget),
        ("strip_accents", False, "True or False", lambda v: isinstance(v, (bool, np.bool_))),
        ("wide", True, "True or False", lambda v: isinstance(v, (bool, np.bool_))),
        (
            "sparse_weighting", True, '"tfidf" or "l2"',
            lambda v: isinstance(v, str) and v in ("tfidf", "l2"),
        ),
        ("dropout", True, fraction, _is_fraction),
        ("hidden_dropout", True, fraction, _is_fraction),
        ("label_smoothing", False, fraction, _is_fraction),
        (
            "dtype", False, '"float32" or "bfloat16"',
            lambda v: isinstance(v, str) and v in ("float32", "bfloat16"),
        ),
        (
            "optimizer", False, '"adagrad", "adam" or "sgd"',
            lambda v: isinstance(v, str) and v in RATES,
        ),
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
        ("n_hard", True, "a whole number from 1 on", lambda v: _is_int(v, 1, 10**9)),
        ("n_active", True, "a whole number from 1 on", lambda v: _is_int(v, 1, 10**9)),
        (
            "hash_family", True, '"tree", "dwta" or "simhash"',
            lambda v: isinstance(v, str) and v in ("tree", "dwta", "simhash"),
        ),
        (
            "n_hashes", True, 'a whole number from 1 to 10 (to 30 with hash_family="simhash")',
            lambda v: _is_int(v, 1, 30 if model.hash_family == "simhash" else 10),
        ),
        ("n_tables", True, "a whole number from 1 to 255", lambda v: _is_int(v, 1, 255)),
        ("bucket_size", True, "a whole number from 1 on", lambda v: _is_int(v, 1, 10**9)),
        (
            "rebuild_interval", True, "a positive number of passes, up to 1e9",
            lambda v: _is_real(v) and 0 < v <= 1e9,
        ),
        (
            "head", False, '"auto", "softmax", "ova" or "lsh"',
            lambda v: isinstance(v, str) and v in ("auto", "softmax", "ova", "lsh"),
        ),
        (
            "sifting", True,
            "the share of rows to keep (above 0, up to 1), a SiftingConfig or a function",
            is_sifting,
        ),
        ("early_stopping", False, "True or False", lambda v: isinstance(v, (bool, np.bool_))),
        ("warm_start", False, "True or False", lambda v: isinstance(v, (bool, np.bool_))),
        (
            "threshold", False, 'a number between 0 and 1, or "tuned"',
            lambda v: (isinstance(v, str) and v == "tuned") or (_is_real(v) and 0 < v < 1),
        ),
    )  # fmt: skip
    for name, may_be_none, expected, is_right in rules:
        value = getattr(model, name)
        if (value is None and may_be_none) or (value is not None and is_right(value)):
            continue
        also = ", or None" if may_be_none else ""
        raise ValueError(f"{name}={value!r}: give {expected}{also}.")
    if model.hidden_size == 0 and model.wide is False:
        raise ValueError("hidden_size=0 and wide=False leave no network: give at least one path.")
    if model.hash_family == "tree":
        for name in ("n_hashes", "n_tables"):
            if getattr(model, name) is not None:
                raise ValueError(
                    f'{name}={getattr(model, name)} and hash_family="tree": a tree is one table of '
                    f'one hash; leave {name} out, or give hash_family="dwta" or "simhash".'
                )


def head(model: UDTClassifier, target: Targets) -> str:
    """Choose how gradients of the output layer are computed: "full", "mined" or "lsh".

    The crossover was chosen from examples/benchmarks/crossover.py.

    Raises
    ------
    ValueError
        If the head that was asked for does not fit the labels or the network.
    """
    n_classes = len(target.classes)
    expected = "ova" if target.is_multilabel else "softmax"
    if model.head not in ("auto", "lsh", expected):
        rows = "any number of labels" if target.is_multilabel else "one label each"
        raise ValueError(
            f'head={model.head!r}: rows have {rows}; give "{expected}", "lsh" or "auto".'
        )
    if model.head == "lsh" and model.hidden_size == 0:
        raise ValueError('head="lsh" hashes hidden units: give hidden_size=None or from 1 on.')
    if model.hidden_size == 0:
        return "full"
    many = LSH_LABELS if target.is_multilabel else LSH_CLASSES
    if model.head == "lsh" or (model.head == "auto" and n_classes >= many):
        return "lsh"
    return "mined" if target.is_multilabel and n_classes >= MINED_LABELS else "full"


def network_shape(
    model: UDTClassifier,
    featurizer: TableFeaturizer | ReadyFeatures,
    n_features: int,
    target: Targets,
    network: SparseNetwork | None = None,
) -> NetworkShape:
    """Give the shape of a new network, or of what ``network`` grows to."""
    n_classes = len(target.classes)
    n_affordable = min(n_features, MAX_WIDE_WEIGHTS // n_classes)
    learns_cells = _learns_cells(featurizer, target)
    spread = CELLS_RANGE if learns_cells else TEXT_RANGE
    if network is not None:
        n_embedded, hidden = network.embedding.shape
        n_wide = len(network.wide)
        if n_embedded >= n_wide:
            n_embedded = n_features
        n_wide = n_wide and max(n_wide, n_affordable)
        return NetworkShape(hidden, n_embedded, n_wide, spread, network.has_crosses, model.dtype)
    n_wide = n_features if model.wide else 0
    if model.wide is None and (n_affordable == n_features or target.is_multilabel):
        # Of many labels, which need no softmax, the commonest features' linear weights pay too.
        n_wide = n_affordable
    if head(model, target) != "full":
        n_wide, spread = 0, max(spread, AVERAGES_RANGE)  # crosses take the linear path's place
    if model.hidden_size is not None:
        hidden = int(model.hidden_size)
    elif n_wide and _is_binary(target) and not learns_cells:
        hidden = 0  # one direction separates two classes: a hidden layer only memorises
    else:
        hidden = 32 if n_classes <= 128 or (n_wide and target.is_multilabel) else 128
    if not hidden:
        n_wide = n_features
    embedded = n_features
    if n_wide:
        embedded = featurizer.n_embedded_
        if learns_cells and isinstance(featurizer, TableFeaturizer) and featurizer.cells_:
            embedded = featurizer.cells_.n_embedded  # n-grams have linear weights only
        embedded = min(embedded, MAX_EMBEDDING_WEIGHTS // max(hidden, 1))
    return NetworkShape(hidden, embedded, n_wide, spread, dtype=model.dtype)


def settings(
    model: UDTClassifier,
    featurizer: TableFeaturizer | ReadyFeatures,
    n_rows: int,
    shape: NetworkShape,
    target: Targets,
    *,
    is_partial: bool = False,
) -> Settings:
    """Give the settings of a training run on a network of some `network_shape`."""
    learns_cells = _learns_cells(featurizer, target)
    has_text = isinstance(featurizer, ReadyFeatures) or bool(featurizer.texts_)
    n_rows = max(n_rows, 1)
    batch_size = 1 << int(np.clip(math.log2(n_rows / 64), 5, 10 if has_text else 8))
    kind = "full" if shape.n_wide else head(model, target)  # a warm start keeps its paths
    if shape.has_crosses and kind == "full":
        kind = "mined"  # which takes crosses into account
    passes = min(20, math.sqrt((1.5e6 if has_text else 4e6) / n_rows))
    if learns_cells or not shape.hidden:
        passes = max(passes, 8)
    rate = model.learning_rate_init or RATES[model.optimizer] or (0.4 if has_text else 0.6)
    wide_dropout = 0.2 if has_text else 0.1
    if learns_cells:  # numbers and categories interact: the hidden layer has much to learn
        hidden_rate, head_rate, hidden_dropout = rate, rate / 3, 0.1
    elif kind != "full":
        passes *= 2 / 3  # classes do not start from nothing
        batch_size = min(batch_size, 256)
        hidden_rate, head_rate, hidden_dropout = rate / 4, rate / 4, 0.5
    elif target.is_multilabel:
        passes /= 2
        hidden_rate, head_rate, hidden_dropout, wide_dropout = rate, rate / 2, 0.4, 0.0
    elif shape.n_wide:  # beside a linear path it learns slowly what that path leaves over
        hidden_rate, head_rate, hidden_dropout = rate / 4, rate / 8, 0.4
    else:
        hidden_rate, head_rate, hidden_dropout = rate / 2, rate / 2, 0.0
    if model.optimizer == "adam":  # whose steps do not follow the scale of gradients
        hidden_rate = head_rate = rate
    if model.hidden_rate is not None:
        share = float(model.hidden_rate) * rate / hidden_rate
        hidden_rate, head_rate = share * hidden_rate, share * head_rate
    return Settings(
        max_iter=1 if is_partial else int(model.max_iter or max(1, round(passes))),
        batch_size=int(min(model.batch_size or batch_size, n_rows)),
        wide_rate=rate,
        hidden_rate=hidden_rate,
        head_rate=head_rate,
        dropout=_first(model.dropout, 0.0 if kind == "full" else 0.2),
        wide_dropout=_first(model.dropout, wide_dropout),
        hidden_dropout=_first(model.hidden_dropout, hidden_dropout),
        label_smoothing=float(model.label_smoothing),
        initial_state=0.1 if shape.n_wide else 0.01,
        # Without it rare labels, as most are, would be given too seldom.
        positive_weight=4.0 if target.is_multilabel and kind == "full" else 1.0,
        optimizer=model.optimizer,
        rates_fall=not is_partial,
        head=kind,
        cross_rate=0.0 if kind == "full" or model.wide is False else CROSS_RATE,
        hashing=hashing(model),
        rebuild_interval=_first(model.rebuild_interval, REBUILD_INTERVAL),
        n_hard=int(model.n_hard or N_HARD),
        sifting=float(model.sifting) if isinstance(model.sifting, Real) else model.sifting,
    )


def hashing(model: UDTClassifier) -> Hashing:
    """Give what was asked for of hash tables."""
    sizes = (model.n_active, model.n_hashes, model.n_tables, model.bucket_size)
    n_active, n_hashes, n_tables, bucket_size = (v if v is None else int(v) for v in sizes)
    family = None if model.hash_family is None else str(model.hash_family)
    return Hashing(n_active, n_hashes, n_tables, family, bucket_size)


def _is_binary(target: Targets) -> bool:
    return len(target.classes) == 2 and not target.is_multilabel


def _learns_cells(featurizer: TableFeaturizer | ReadyFeatures, target: Targets) -> bool:
    """Tell whether the hidden layer is for numbers and categories alone."""
    if isinstance(featurizer, ReadyFeatures) or featurizer.cells_ is None:
        return False
    return not featurizer.texts_ or _is_binary(target)


def _first(value: Any, default: float) -> float:
    return default if value is None else float(value)


def _is_int(value: Any, low: int, high: int) -> bool:
    return isinstance(value, Integral) and not isinstance(value, bool) and low <= int(value) <= high


def _is_real(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)


def _is_fraction(value: Any) -> bool:
    return _is_real(value) and 0 <= value < 1
