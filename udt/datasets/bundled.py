"""Small, real data sets that come with the package."""

from __future__ import annotations

from importlib.resources import files
from typing import TYPE_CHECKING, Any, Literal, overload

from udt.datasets.subsets import Subset, subset_parts

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    import pyarrow as pa
    from sklearn.utils import Bunch

__all__ = ["load_adult", "load_banking77"]


@overload
def load_banking77(*, subset: Subset = ..., return_X_y: Literal[False] = ...) -> Bunch: ...
@overload
def load_banking77(
    *, subset: Subset = ..., return_X_y: Literal[True]
) -> tuple[list[str], np.ndarray]: ...
def load_banking77(*, subset: Subset = "train", return_X_y: bool = False) -> Any:
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
    table, about = _read("banking77", subset)
    data: list[str] = table["text"].to_pylist()
    target = _labels(table)
    return (data, target) if return_X_y else _bunch(data, target, about)


@overload
def load_adult(
    *, subset: Subset = ..., return_X_y: Literal[False] = ..., as_frame: bool = ...
) -> Bunch: ...
@overload
def load_adult(
    *, subset: Subset = ..., return_X_y: Literal[True], as_frame: Literal[False] = ...
) -> tuple[pa.Table, np.ndarray]: ...
@overload
def load_adult(
    *, subset: Subset = ..., return_X_y: Literal[True], as_frame: Literal[True]
) -> tuple[pd.DataFrame, pd.Series]: ...
def load_adult(
    *, subset: Subset = "train", return_X_y: bool = False, as_frame: bool = False
) -> Any:
    """Load adult: people in the 1994 census, each with whether they earn over 50,000 dollars.

    ========  ==================================================
    Rows      32,561 to train on, 16,281 to test (the published split)
    Classes   2: "<=50K" and ">50K" (24 % of the rows)
    Columns   6 of whole numbers, 8 of categories, where an unknown one is "?"
    ========  ==================================================

    Parameters
    ----------
    subset : {"train", "test", "all"}, default="train"
        Which part to load; "all" is the training part followed by the test part.
    return_X_y : bool, default=False
        Return ``(data, target)`` instead of a Bunch.
    as_frame : bool, default=False
        Give pandas objects, which needs pandas, instead of pyarrow and NumPy ones.

    Returns
    -------
    Bunch or (pyarrow.Table, ndarray of str) or (DataFrame, Series)
        The Bunch holds ``data`` (a table of 14 columns), ``target`` (labels of shape
        (n_samples,)), ``target_names`` (list of the 2 labels in order), ``license`` and
        ``DESCR``.

    Raises
    ------
    ValueError
        If `subset` is not one of the three.

    Notes
    -----
    Licensed CC BY 4.0; from Becker, B. and Kohavi, R., "Adult", UCI Machine Learning Repository,
    1996, https://doi.org/10.24432/C5XW20.

    Examples
    --------
    >>> from udt.datasets import load_adult
    >>> train = load_adult(subset="train")
    >>> train.data.shape, train.target[0].item()
    ((32561, 14), '<=50K')
    >>> train.data.slice(0, 1).select(["age", "workclass"]).to_pylist()
    [{'age': 39, 'workclass': 'State-gov'}]
    >>> X, y = load_adult(subset="test", return_X_y=True)
    >>> X.num_rows, y.shape
    (16281, (16281,))
    """
    table, about = _read("adult", subset)
    data: Any = table.drop_columns(["label"])
    target: Any = _labels(table)
    if as_frame:
        try:
            import pandas as pd
        except ImportError as error:
            raise ImportError("as_frame=True needs pandas: pip install pandas") from error
        data = data.to_pandas()
        target = pd.Series(target, name="label")
    return (data, target) if return_X_y else _bunch(data, target, about)


def _read(name: str, subset: Any) -> tuple[pa.Table, str]:
    """Read a bundled table, and what its licence says of it."""
    names = subset_parts(subset)

    import pyarrow as pa
    import pyarrow.parquet as pq

    folder = files("udt") / "data" / name
    parts = []
    for part in names:
        with (folder / f"{part}.parquet").open("rb") as file:
            parts.append(pq.read_table(file))
    return pa.concat_tables(parts), (folder / "LICENSE").read_text(encoding="utf-8")


def _labels(table: pa.Table) -> np.ndarray:
    import pyarrow as pa

    labels: np.ndarray = table["label"].cast(pa.string()).to_numpy().astype(str)
    return labels


def _bunch(data: Any, target: Any, about: str) -> Bunch:
    from sklearn.utils import Bunch

    return Bunch(
        data=data,
        target=target,
        target_names=sorted(set(target.tolist())),
        license="CC BY 4.0",
        DESCR=about,
    )
