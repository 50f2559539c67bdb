"""The parts that the published data sets are split into."""

from __future__ import annotations

from typing import Any, Literal

Subset = Literal["train", "test", "all"]

_SUBSETS = {"train": ["train"], "test": ["test"], "all": ["train", "test"]}


def subset_parts(subset: Any) -> list[str]:
    """Give the names of the parts; an unknown subset is a ValueError."""
    if not isinstance(subset, str) or subset not in _SUBSETS:
        raise ValueError(f"subset must be 'train', 'test' or 'all', got {subset!r}")
    return _SUBSETS[subset]
