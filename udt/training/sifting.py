"""Which samples are worth a backward pass: the settings of sifting.

Kernels are elsewhere: this is imported with the classifier.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, fields
from numbers import Integral, Real
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
#: A rule of one's own: (losses, history, rng) -> which of the losses to keep.
Rule = Callable[[Array, Array, np.random.Generator], Array]


@dataclass(frozen=True)
class SiftingConfig:
    """How samples with a low loss are sifted out, so that no time is spent on their gradients [1]_.

    The loss of each sample is ranked among the losses of the samples before it. With a share
    ``q`` of them below, the sample is kept with probability ``q ** beta``; kept samples queue
    until there is a batch of them. Samples of classes that are rarer than the average class, and
    those with weights above the average, are kept with higher probability: ``beta`` is multiplied
    by the ratio of the class's share of rows to the average share, and divided by the weight.

    Parameters
    ----------
    beta : float
        From 0 on; 0 keeps all. About ``1 / (1 + beta)`` of the samples are kept, or more if many
        are of rare classes or have high weights.
    loss_history_length : int, default=500
        How many losses to rank among.
    sift_delay : int, default=10
        Batches before sifting starts.
    repeat_delay_per_epoch : bool, default=False
        Whether the first batches of each pass are kept, instead of the first of all.
    skip_forward : bool, default=False
        Whether the probability with which a sample was last kept also decides whether it is looked
        at in the next pass. What was not looked at in one pass is in the one after it, so nothing
        is lost for good.
    unbiased : bool, default=False
        Divide the gradient of a kept sample by its probability of being kept, so that the
        expectation is that of training without sifting.
    min_probability : float, default=0.05
        The least probability of being kept.

    References
    ----------
    .. [1] A. H. Jiang et al., "Accelerating deep learning by focusing on the biggest losers",
       arXiv:1910.00762, 2019.

    Examples
    --------
    >>> SiftingConfig(beta=1.5, skip_forward=True).kept
    0.4
    >>> from udt import UDTClassifier
    >>> texts, labels = ["good film", "bad film"] * 50, ["pos", "neg"] * 50
    >>> sifting = SiftingConfig(beta=1.5, sift_delay=1)
    >>> clf = UDTClassifier(sifting=sifting, random_state=0).fit(texts, labels)
    >>> len(clf.sifted_) == clf.n_iter_
    True
    """

    beta: float
    loss_history_length: int = 500
    sift_delay: int = 10
    repeat_delay_per_epoch: bool = False
    skip_forward: bool = False
    unbiased: bool = False
    min_probability: float = 0.05

    def __post_init__(self) -> None:
        """Raise if a value is out of range.

        Raises
        ------
        ValueError
            Naming the value and the range.
        """
        rules: dict[str, tuple[str, Callable[[Any], bool]]] = {
            "beta": ("a number from 0 on", lambda v: _is_real(v) and v >= 0),
            "loss_history_length": (
                "a whole number from 1 to 1000000", lambda v: _is_int(v) and 1 <= v <= 10**6
            ),
            "sift_delay": ("a whole number from 0 on", lambda v: _is_int(v) and v >= 0),
            "min_probability": (
                "a number above 0, up to 1", lambda v: _is_real(v) and 0 < v <= 1
            ),
        }  # fmt: skip
        is_flag = ("True or False", lambda v: isinstance(v, (bool, np.bool_)))
        for field in fields(self):
            value = getattr(self, field.name)
            expected, is_right = rules.get(field.name, is_flag)
            if not is_right(value):
                raise ValueError(f"SiftingConfig: {field.name}={value!r}: give {expected}.")

    @property
    def kept(self) -> float:
        """About which share of samples is kept."""
        return 1 / (1 + self.beta)


def beta_for(kept: float) -> float:
    """Give the exponent that keeps a share of samples, were all classes of one size.

    Examples
    --------
    >>> beta_for(0.5)
    1.0
    """
    return 1 / kept - 1


def is_sifting(value: Any) -> bool:
    """Tell whether a value can stand for the classifier's parameter, None aside."""
    if _is_real(value):
        return 0 < value <= 1
    return isinstance(value, SiftingConfig) or (callable(value) and not isinstance(value, type))


def _is_real(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)


def _is_int(value: Any) -> bool:
    return isinstance(value, Integral) and not isinstance(value, bool)
