"""A first training on few rows: what the classifier takes by itself for some data, and its time."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow.compute as pc

from udt import defaults
from udt.columns import Column, Table, infer_columns, read_columns
from udt.features import parameters
from udt.lsh.sizing import count_active
from udt.targets import stratified_split
from udt.training.settings import Settings
from udt.tuning.candidate import Candidate
from udt.tuning.parts import Rows, train_part
from udt.tuning.space import Facts

#: Rows of the first training, which also compiles, and of the next, which is timed.
_WARM_UP, _TIMED = 256, 2048


@dataclass(frozen=True)
class Pilot:
    """What a training on some rows tells of trainings on others.

    Attributes
    ----------
    model : Candidate
        Trained on ``n_rows`` rows.
    rows : Rows
        All of them.
    n_rows : int
    feature_seconds, pass_seconds : float
        What making features took, and each pass.
    text_bytes : list of float
        About the size of each column of texts, of all rows.
    pins : dict
        Parameters that follow all rows, and that trials on fewer rows must not choose anew.
    """

    model: Candidate
    rows: Rows
    n_rows: int
    feature_seconds: float
    pass_seconds: float
    text_bytes: list[float]
    pins: dict[str, Any]

    def settings(self, n_rows: int) -> Settings:
        """Give the settings of a training on so many rows."""
        model, target, featurizer = self.model, self.rows.target, self.model.featurizer_
        n_features = max(len(model.network_.embedding), len(model.network_.wide))
        shape = defaults.network_shape(model, featurizer, n_features, target)
        return defaults.settings(model, featurizer, n_rows, shape, target)

    def seconds(self, n_rows: int) -> float:
        """Tell about how long a training on so many rows takes."""
        passes = self.settings(n_rows).max_iter * self.pass_seconds
        return (self.feature_seconds + passes) * n_rows / self.n_rows

    @cached_property
    def facts(self) -> Facts:
        """What a search space for all rows follows."""
        network, settings = self.model.network_, self.settings(len(self.rows))
        roles = [column.role for column in self.model.columns_]
        texts = getattr(self.model.featurizer_, "texts_", [])
        return Facts(
            has_text="text" in roles,
            has_numbers="number" in roles or "date" in roles,
            n_cells=sum(role not in ("text", "ignored") for role in roles),
            n_classes=network.n_classes,
            char_ngrams=any(text.ngrams_[3] for text in texts),
            may_have_char_ngrams=sum(self.text_bytes) <= parameters.SMALL_CORPUS,
            head=settings.head,
            has_wide=len(network.wide) > 0,
            max_iter=settings.max_iter,
            batch_size=settings.batch_size,
            learning_rate=settings.wide_rate,
            hidden_rate=settings.hidden_rate / settings.wide_rate,
            hidden_size=network.n_hidden,
            hidden_dropout=settings.hidden_dropout,
            n_active=count_active(network.n_classes),
            n_hard=settings.n_hard,
        )


def fly(model: Candidate, rows: Rows, seed: int) -> Pilot:
    """Train on few rows, twice: the first time compiles, the second is timed."""
    random = np.random.RandomState(seed)
    text_bytes: list[float] = []
    pins: dict[str, Any] = {}
    for n in (_WARM_UP, _TIMED):
        chosen = rows.counted
        if n < len(chosen):
            numbers = rows.target.numbers[chosen]
            chosen = chosen[stratified_split(numbers, n / len(chosen), random)]
        part = train_part(rows, chosen)
        if isinstance(rows.data, Table) and not pins:
            columns = infer_columns(rows.data, model.columns)
            text_bytes = _text_bytes(part.data, columns, len(rows) / len(part))
            pins = {"columns": {c.name: c.role + "?" * c.optional for c in columns}}
            if text_bytes and min(text_bytes) > parameters.SMALL_CORPUS:
                pins["char_ngrams"] = None  # which "auto" would take for fewer rows
            pins = {k: v for k, v in pins.items() if getattr(model, k) in (None, "auto")}
            model.set_params(**pins)
        seconds = model.train(part)
    features = model.feature_seconds
    a_pass = max(seconds - features, 1e-6) / model.n_iter_
    return Pilot(model, rows, len(part), features, a_pass, text_bytes, pins)


def _text_bytes(data: Table, columns: tuple[Column, ...], times: float) -> list[float]:
    """Tell about the size of each column of texts in so many times the rows."""
    used = [column for column in columns if column.role != "ignored"]
    arrays = read_columns(data, columns)
    texts = [a for a, column in zip(arrays, used, strict=True) if column.role == "text"]
    return [times * (pc.sum(pc.binary_length(text)).as_py() or 0) for text in texts]
