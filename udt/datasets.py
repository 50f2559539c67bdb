"""Small, real data sets that come with the package."""

from __future__ import annotations

from importlib.resources import files
from typing import TYPE_CHECKING, Any, Literal, overload

if TYPE_CHECKING:
    import numpy as np
    from sklearn.utils import Bunch

__all__ = ["load_banking77"]

_SUBSETS = {"train": ["train"], "test": ["test"], "all": ["train", "test"]}


@overload
def load_banking77(
    *, subset: Literal["train", "test", "all"] = ..., return_X_y: Literal[False] = ...
) -> Bunch: ...
@overload
def load_banking77(
    *, subset: Literal["train", "test", "all"] = ..., return_X_y: Literal[True]
) -> tuple[list[str], np.ndarray]: ...
def load_banking77(
    *, subset: Literal["train", "test", "all"] = "train", return_X_y: bool = False
) -> Any:
    """Load banking77: questions that customers asked a bank, each with its intent.

    ========  ==================================================
    Rows      10,003 to train on, 3,080 to test (the published split)
    Classes   77; 35 to 187 training questions and 40 test questions each
    Text      English, 12 words on average
    ========  ==================================================

    The rows come in label order: shuffle before you take the first few.

    Parameters
    ----------
    subset : {"train", "test", "all"}, default="train"
        Which part to load; "all" is the training part followed by the test part.
    return_X_y : bool, default=False
        Return ``(data, target)`` instead of a Bunch.

    Returns
    -------
    Bunch or (list of str, ndarray of str)
        The Bunch holds ``data`` (list of str, one question a row), ``target`` (ndarray of str of
        shape (n_samples,)), ``target_names`` (list of the 77 labels in order), ``license`` and
        ``DESCR``.

    Raises
    ------
    ValueError
        If `subset` is not one of the three.

    Notes
    -----
    Licensed CC BY 4.0 by PolyAI; from "Efficient Intent Detection with Dual Sentence Encoders"
    (Casanueva et al., 2020), https://arxiv.org/abs/2003.04807.

    Examples
    --------
    >>> from udt.datasets import load_banking77
    >>> train = load_banking77(subset="train")
    >>> train.data[0], train.target[0].item()
    ('I am still waiting on my card?', 'card_arrival')
    >>> X, y = load_banking77(subset="test", return_X_y=True)
    >>> len(X), y.shape
    (3080, (3080,))
    """
    if not isinstance(subset, str) or subset not in _SUBSETS:
        raise ValueError(f"subset must be 'train', 'test' or 'all', got {subset!r}")

    import pyarrow as pa
    import pyarrow.parquet as pq

    folder = files("udt") / "data" / "banking77"
    parts = []
    for name in _SUBSETS[subset]:
        with (folder / f"{name}.parquet").open("rb") as file:
            parts.append(pq.read_table(file))
    table = pa.concat_tables(parts)
    data: list[str] = table["text"].to_pylist()
    target = table["label"].cast(pa.string()).to_numpy().astype(str)
    if return_X_y:
        return data, target

    from sklearn.utils import Bunch

    return Bunch(
        data=data,
        target=target,
        target_names=sorted(set(target.tolist())),
        license="CC BY 4.0",
        DESCR=(folder / "LICENSE").read_text(encoding="utf-8"),
    )
