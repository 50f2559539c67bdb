"""A classifier that a trial trains: it keeps features, and can be asked for its score meanwhile."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from copy import copy
from typing import Any, Self

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from udt import defaults, model_file
from udt.classifier import UDTClassifier
from udt.labels import LabelSets
from udt.threads import Pool
from udt.tuning.parts import Features, Part, Scored, take_rows

Array = NDArray[Any]
Scorer = Callable[..., float]
#: Called after each pass with the classifier as it is then, and the share of passes made.
Watch = Callable[["Candidate", float], None]
#: Rows that are predicted one by one, to measure how long that takes.
_MAX_SINGLES = 100


class Candidate(UDTClassifier):
    """A classifier that shares the features of rows with others, and is watched in training."""

    _part: Part
    _features: Features | None = None
    _scored: Scored | None = None
    _watch: Watch | None = None

    @classmethod
    def of(cls, model: UDTClassifier) -> Self:
        """Give an unfitted candidate with the parameters of a classifier; it does not search."""
        return cls(**model.get_params(deep=False)).set_params(tune=None, verbose=0)

    def train(self, part: Part, watch: Watch | None = None) -> float:
        """Train on the rows of a part.

        Returns
        -------
        float
            Seconds that it takes, with the making of features, also if they were there already.
        """
        self._part, self._watch, self._features = part, watch, None
        self._seconds_aside = 0.0
        start = time.perf_counter()
        self._learn(self._make_featurizer(part.data), part.data, part.target, part.sample_weight)
        return time.perf_counter() - start - self._seconds_aside

    @property
    def feature_seconds(self) -> float:
        """What making the features of the rows to train on took."""
        return self._features.seconds if self._features else 0.0

    def measure(self, scored: Scored, scorer: Scorer | None) -> float:
        """Give the score on some rows: without a scorer, `own_metric`.

        Raises
        ------
        ValueError
            If it is not finite.
        """
        self._scored = scored
        if not len(scored):
            raise ValueError("No row is left to score on: give more rows of each class, or cv.")
        score = self._own_score(scored) if scorer is None else self._ask(scorer, scored)
        if not math.isfinite(score):
            raise ValueError(f"The score is {score}.")
        return float(score)

    def _ask(self, scorer: Scorer, scored: Scored) -> float:
        """Call a scorer, with weights if there are some and it takes them."""
        if scored.sample_weight is not None:
            try:
                return scorer(self, scored.X, scored.y, sample_weight=scored.sample_weight)
            except TypeError as error:  # also from a metric within a scorer of scikit-learn
                if "sample_weight" not in str(error):
                    raise
        return scorer(self, scored.X, scored.y)

    def _own_score(self, scored: Scored) -> float:
        matrix = self._matrix_of(scored)
        rows = matrix.indptr, matrix.indices, matrix.data
        weights = scored.sample_weight
        if weights is None:
            weights = np.ones(len(scored))
        with Pool(self.n_jobs) as pool:
            if not isinstance(scored.numbers, LabelSets):
                return self.network_.accuracy(rows, scored.numbers, weights, pool)
            if own_metric(scored.numbers) == "precision_at_1":
                return self.network_.precision_at_1(rows, scored.numbers, weights, pool)
            cut = math.log(self.threshold_ / (1 - self.threshold_))
            return self.network_.micro_f1(rows, scored.numbers, weights, pool, cut)

    def micros_a_row(self, scored: Scored) -> float:
        """Give the median time to predict one row alone, in microseconds."""
        n = min(len(scored), _MAX_SINGLES)
        singles = [take_rows(scored.X, np.array([i])) for i in range(n)]
        self.predict(singles[0])
        times = []
        for single in singles:
            start = time.perf_counter()
            self.predict(single)
            times.append(time.perf_counter() - start)
        return float(np.median(times)) * 1e6

    def model_bytes(self) -> int:
        """Give the size of the model's file."""
        return model_file.size(self)

    def _featurize(
        self, featurizer: Any, data: Any, labels: Any, shares: Any
    ) -> tuple[Any, sp.csr_matrix]:
        make: Any = super()._featurize
        if data is not self._part.data:  # some of them are held out, to stop early
            return make(featurizer, data, labels, shares)
        start = time.perf_counter()
        self._features = self._part.features(
            featurizer, lambda: make(featurizer, data, labels, shares)
        )
        self._seconds_aside += time.perf_counter() - start - self._features.seconds
        return self._features.featurizer, self._features.rows

    def _encode(self, X: Any) -> sp.csr_matrix:
        if self._scored is None or X is not self._scored.X:
            return super()._encode(X)
        return self._matrix_of(self._scored)

    def _matrix_of(self, scored: Scored) -> sp.csr_matrix:
        """Give the features of rows to be scored on, made at the first call."""
        if self._features is None:
            return super()._encode(scored.data)
        matrix = self._features.others.get(id(scored))
        if matrix is None:
            matrix = self._features.others[id(scored)] = super()._encode(scored.data)
        return matrix

    def _after_pass(self, featurizer: Any, target: Any, network: Any, done: float) -> None:
        if self._watch is None:
            return
        start = time.perf_counter()
        now = copy(self)
        now._adopt(featurizer, target, network, self._fixed_threshold(False))
        self._watch(now, done)
        self._seconds_aside += time.perf_counter() - start


def own_metric(numbers: Array | LabelSets) -> str:
    """Name what is optimised where nothing is asked for."""
    if not isinstance(numbers, LabelSets):
        return "accuracy"
    return "micro_f1" if numbers.n_labels < defaults.MINED_LABELS else "precision_at_1"
