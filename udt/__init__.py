"""Texts and tables in, labels out: an accurate classifier for an ordinary CPU.

>>> import udt
>>> model = udt.UDTClassifier(random_state=0)
>>> model = model.fit(["good film", "bad film"] * 8, ["pos", "neg"] * 8)
>>> model.predict(["a good film"]).tolist()
['pos']
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from udt import datasets
    from udt.classifier import UDTClassifier
    from udt.features.featurizer import HashingFeaturizer
    from udt.features.table import TableFeaturizer
    from udt.model_file import load
    from udt.training.sifting import SiftingConfig
    from udt.tuning import tune

__version__ = "0.1.0"
__all__ = [
    "HashingFeaturizer",
    "SiftingConfig",
    "TableFeaturizer",
    "UDTClassifier",
    "__version__",
    "datasets",
    "load",
    "tune",
]

# Where each name lives. They are imported at first use, because scikit-learn and numba take a
# second to load and `udt --help` should not.
_HOMES = {
    "HashingFeaturizer": "udt.features.featurizer",
    "SiftingConfig": "udt.training.sifting",
    "TableFeaturizer": "udt.features.table",
    "UDTClassifier": "udt.classifier",
    "load": "udt.model_file",
    "tune": "udt.tuning",
}


def __getattr__(name: str) -> Any:
    if name == "datasets":
        return import_module("udt.datasets")
    if name not in _HOMES:
        raise AttributeError(f"module 'udt' has no attribute {name!r}")
    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(set(globals()) | set(__all__))
