"""What training needs to know."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import NamedTuple

from udt.lsh.hashing import Hashing
from udt.training.sifting import Rule, SiftingConfig


class NetworkShape(NamedTuple):
    """Units of the hidden layer, and the features with embeddings and in the linear path.

    Both are the first so many features.

    Embeddings start uniformly within plus or minus ``embedding_range``. ``has_crosses`` tells of a
    network that goes on. ``dtype`` is how weights are stored: "float32" or "bfloat16".
    """

    hidden: int
    embedded: int
    n_wide: int
    embedding_range: float
    has_crosses: bool = False
    dtype: str = "float32"


@dataclass(frozen=True)
class Settings:
    """What `train` needs to know; see `UDTClassifier` for the meaning of each.

    ``positive_weight`` is how often a label counts in the loss of the rows that have it, where rows
    may have any number, if hardly any row has it; a label of half of the rows or more counts once.
    ``initial_state`` is where AdaGrad's sums begin.
    ``head`` is "full", "mined" or "lsh"; the last two may have crosses, which learn at
    ``cross_rate``, and give gradients to so many of the hardest wrong classes of a row, ``n_hard``.
    ``hashing`` has the sizes of the last one's tables, which are built anew after
    ``rebuild_interval`` passes, and then at growing intervals.
    ``rates_fall`` tells whether rates fall linearly to zero, as they should unless more is to come.
    ``sifting`` is a share of rows to keep, a `SiftingConfig`, a rule or None.
    """

    max_iter: int
    batch_size: int
    wide_rate: float
    hidden_rate: float
    head_rate: float
    dropout: float
    wide_dropout: float
    hidden_dropout: float
    label_smoothing: float
    initial_state: float
    positive_weight: float = 1.0
    optimizer: str = "adagrad"
    rates_fall: bool = True
    head: str = "full"
    cross_rate: float = 0.0
    hashing: Hashing = field(default_factory=Hashing)
    rebuild_interval: float = 1 / 8
    n_hard: int = 40
    sifting: float | SiftingConfig | Rule | None = None

    def slower(self) -> Settings:
        """Give the same settings at a tenth of all rates."""
        return replace(
            self,
            wide_rate=self.wide_rate / 10,
            hidden_rate=self.hidden_rate / 10,
            head_rate=self.head_rate / 10,
            cross_rate=self.cross_rate / 10,
        )
