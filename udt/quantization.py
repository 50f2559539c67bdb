"""From a fitted classifier to a smaller one, and what the two have in common."""

from __future__ import annotations

from collections.abc import Iterable
from copy import copy
from dataclasses import dataclass
from numbers import Integral, Real
from statistics import median
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from sklearn.utils.validation import check_is_fitted

from udt.features.ready import ReadyFeatures
from udt.threads import Pool, single_threaded_blas

if TYPE_CHECKING:
    from udt.classifier import UDTClassifier

# Modules with kernels are imported where they are used: numba takes 0.3 s to load.

Array = NDArray[Any]
_BYTES = (1e6, "MB"), (1e3, "kB")
_SECONDS = (1.0, "s"), (1e-3, "ms"), (1e-6, "us")


def quantize(
    model: UDTClassifier, bits: int = 8, *, block: int | None = None, prune: float = 0.0
) -> UDTClassifier:
    """Give a smaller copy of a fitted classifier; see `UDTClassifier.quantize`."""
    from udt.network.integers import quantize as to_integers

    check_is_fitted(model, "network_")
    if model.quantization_ is not None:
        raise ValueError(
            f"The model is quantised already ({model.quantization_['bits']} bits): quantise the "
            "one that it was made from."
        )
    if not (_is_whole(bits) and bits in (8, 4)):
        raise ValueError(f"bits={bits!r}: give 8 or 4.")
    if not (block is None or (_is_whole(block) and block >= 8)):
        raise ValueError(f"block={block!r}: give None, or a whole number from 8 on.")
    bits, block = int(bits), None if block is None else int(block)
    is_share = isinstance(prune, Real) and not isinstance(prune, bool) and 0 <= float(prune) < 1
    if not is_share:
        raise ValueError(f"prune={prune!r}: give a share of the n-grams, from 0 to below 1.")

    smaller = copy(model)
    smaller._state = smaller._server = smaller._search = None
    smaller.featurizer_, network = _prune(model, float(prune)) if prune else _whole(model)
    with Pool(model.n_jobs) as pool:
        arrays = {
            name: weights if name in ("bias", "cross_starts")
            else to_integers(weights, bits, block, pool)
            for name, weights in network.weights().items()
        }  # fmt: skip
    smaller.network_ = type(network)(**arrays)
    smaller.quantization_ = {"bits": bits, "block": block, "prune": float(prune)}
    return smaller


def _is_whole(number: Any) -> bool:
    return isinstance(number, Integral) and not isinstance(number, bool)


def _whole(model: UDTClassifier) -> tuple[Any, Any]:
    """Give the featurizer, without what further training would need, and the network."""
    featurizer = model.featurizer_
    if not isinstance(featurizer, ReadyFeatures):
        featurizer = featurizer._pruned(np.ones(sum(map(len, featurizer.ids_)), dtype=bool))
    return featurizer, model.network_


def _prune(model: UDTClassifier, share: float) -> tuple[Any, Any]:
    """Drop a share of the n-grams, those that can move logits least."""
    from udt.network.bfloat16 import convert

    featurizer, network = model.featurizer_, model.network_
    if isinstance(featurizer, ReadyFeatures) or not featurizer.texts_:
        raise ValueError(f"prune={share:g} drops n-grams, of which this model has none: give 0.")
    if network.has_crosses:
        raise ValueError(
            f"prune={share:g}: this model's many labels have weights of their own for hashed "
            "features, which go by the number of the feature: give 0."
        )
    # The most that a feature moves logits by, on either path, where its count is 1.
    effect = np.zeros(sum(map(len, featurizer.ids_)), dtype=np.float32)
    effect[: len(network.wide)] = _lengths(convert(network.wide, "float32"))
    if network.n_hidden:
        with single_threaded_blas():  # whose bits choose what to drop
            values, vectors = np.linalg.eigh(network.output.T @ network.output)
            steps = network.embedding @ (vectors * np.sqrt(np.maximum(values, 0)))
        effect[: len(steps)] += _lengths(steps)
    keep = featurizer._choose(effect, share)
    return featurizer._pruned(keep), network.pruned(keep)


def _lengths(rows: Array) -> Array:
    return np.sqrt(np.einsum("ij,ij->i", rows, rows))


def weights_bytes(model: UDTClassifier) -> int:
    """Give the memory that the weights of a fitted classifier take."""
    check_is_fitted(model, "network_")
    return sum(array.nbytes for array in model.network_.arrays().values())


@dataclass(frozen=True)
class Comparison:
    """How a smaller model compares with the one that it was made from.

    Attributes
    ----------
    n_rows : int
        Rows that both predicted.
    weights_bytes, file_bytes : tuple (before, after)
        Size of the weights, and of a model file.
    seconds : tuple (before, after)
        Time of a call of `predict` on all rows: the median of alternate calls.
    agreement : float
        Share of rows for which `predict` gives the same.
    scores : tuple (before, after) or None
        What `score` gives, if there are labels.
    """

    n_rows: int
    weights_bytes: tuple[int, int]
    file_bytes: tuple[int, int]
    seconds: tuple[float, float]
    agreement: float
    scores: tuple[float, float] | None = None

    def __str__(self) -> str:
        """Give a table."""
        rows = "1 row" if self.n_rows == 1 else f"{self.n_rows:,} rows"
        lines = [f"{'':<26}{'before':>10}{'after':>10}"]
        for name, pair, units, changes in (
            ("weights", self.weights_bytes, _BYTES, ("smaller", "larger")),
            ("model file", self.file_bytes, _BYTES, ("smaller", "larger")),
            (f"predict {rows}", self.seconds, _SECONDS, ("faster", "slower")),
        ):
            before, after = pair
            size, unit = next(each for each in units if before >= each[0] or each is units[-1])
            ratio = max(pair) / max(min(pair), 1e-12)
            change = f"{ratio:.2f} times {changes[after > before]}"
            line = f"{f'{name}, {unit}':<26}{before / size:>10.2f}{after / size:>10.2f}"
            lines.append(f"{line}   {change if before != after else 'the same'}")
        if self.scores is not None:
            before, after = (100 * score for score in self.scores)
            line = f"{'score, %':<26}{before:>10.2f}{after:>10.2f}"
            lines.append(f"{line}   {after - before:+.2f}")
        lines.append(f"{'same predictions, %':<26}{'':>10}{100 * self.agreement:>10.2f}")
        return "\n".join(lines)


def compare(
    before: UDTClassifier, after: UDTClassifier, X: Any, y: Any = None, *, n_calls: int = 3
) -> Comparison:
    """Compare two models of the same task: size, speed, and agreement on some rows.

    Parameters
    ----------
    before, after : UDTClassifier
        Fitted, with the same classes.
    X : table, sequence of str of length n, or CSR matrix of shape (n, n_features)
    y : as in `UDTClassifier.fit`, default=None
        True labels.
    n_calls : int, default=3
        Calls of each model that are timed, by turns, after one that is not. One row alone takes
        microseconds: ask for thousands.

    Returns
    -------
    Comparison

    Raises
    ------
    sklearn.exceptions.NotFittedError
        If one of them is not fitted.
    ValueError
        If the classes differ, or ``n_calls`` is below 1.

    Examples
    --------
    >>> from udt import UDTClassifier
    >>> from udt.quantization import compare
    >>> texts = ["card lost", "lost my card", "top up failed", "my top up was declined"] * 5
    >>> clf = UDTClassifier(random_state=0).fit(texts, ["lost", "lost", "top-up", "top-up"] * 5)
    >>> compare(clf, clf.quantize(), texts).agreement
    1.0
    """
    from udt.model_file import size

    models = before, after
    for model in models:
        check_is_fitted(model, "network_")
    if not (_is_whole(n_calls) and n_calls >= 1):
        raise ValueError(f"n_calls={n_calls!r}: give a whole number from 1 on.")
    if not np.array_equal(before.classes_, after.classes_):
        raise ValueError("before and after have different classes: give models of one task.")
    scores = None if y is None else _pair(model.score(X, y) for model in models)
    answers = [_as_sets(model.predict(X)) for model in models]
    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(n_calls):
        for model, seconds in zip(models, times, strict=True):
            start = perf_counter()
            model.predict(X)
            seconds.append(perf_counter() - start)
    same = [a == b for a, b in zip(*answers, strict=True)]
    return Comparison(
        n_rows=len(same),
        weights_bytes=_pair(map(weights_bytes, models)),
        file_bytes=_pair(map(size, models)),
        seconds=_pair(median(seconds) for seconds in times),
        agreement=float(np.mean(same)),
        scores=scores,
    )


def _pair(values: Iterable[Any]) -> Any:
    return tuple(values)


def _as_sets(answers: Any) -> list[Any]:
    """Give what can be compared of each row's answer."""
    if sp.issparse(answers):
        answers = answers.tocsr()
        ends = zip(answers.indptr[:-1], answers.indptr[1:], strict=True)
        return [set(answers.indices[begin:end].tolist()) for begin, end in ends]
    if isinstance(answers, np.ndarray):
        return answers.tolist()
    return [set(labels) for labels in answers]
