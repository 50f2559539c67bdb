"""Well-known sets with very many labels, read from files that people got by themselves."""

from __future__ import annotations

from typing import Any

from udt.datasets.downloads import DataHome, get_data_home
from udt.datasets.subsets import Subset, subset_parts

__all__ = ["fetch_amazon670k", "fetch_eurlex4k", "fetch_wikilshtc325k"]

_PAGE = "http://manikvarma.org/downloads/XC/XMLRepository.html"


def fetch_amazon670k(
    *, subset: Subset = "train", data_home: DataHome = None, return_X_y: bool = False
) -> Any:
    """Read Amazon-670K: products, their words, and the products bought with them.

    ========  ==================================================
    Rows      490,449 to train on, 153,025 to test
    Features  135,909, about 76 a row
    Labels    670,091, about 5.45 a row
    ========  ==================================================

    Nobody publishes an address for it that can be checked, so it is read from files that you get
    from http://manikvarma.org/downloads/XC/XMLRepository.html ("BoW features").

    Parameters
    ----------
    subset : {"train", "test", "all"}, default="train"
        Which part; "all" is the training part followed by the test part.
    data_home : path-like or None, default=None
        The folder of the data sets (see `get_data_home`). The files lie in ``amazon670k`` in it:
        ``amazon_train.txt`` and ``amazon_test.txt``, or ``train.txt`` and ``test.txt``.
    return_X_y : bool, default=False
        Return ``(data, target)`` instead of a Bunch.

    Returns
    -------
    Bunch or (csr_matrix, csr_matrix)
        The Bunch holds ``data``, float32 of shape (n, n_features), and ``target``, an indicator
        matrix of shape (n, n_labels).

    Raises
    ------
    FileNotFoundError
        A file is missing; the message tells where to get it and where to put it.
    ValueError
        `subset` is not one of the three, or a file is damaged.

    Notes
    -----
    From K. Bhatia et al., "The extreme classification repository: multi-label datasets and code",
    2016; J. McAuley and J. Leskovec, "Hidden factors and hidden topics", RecSys 2013.
    """
    return _fetch_xmc("amazon670k", "amazon", subset, data_home, return_X_y)


def fetch_wikilshtc325k(
    *, subset: Subset = "train", data_home: DataHome = None, return_X_y: bool = False
) -> Any:
    """Read WikiLSHTC-325K: articles of Wikipedia and their categories.

    ========  ==================================================
    Rows      1,778,351 to train on, 587,084 to test
    Features  1,617,899, about 42 a row
    Labels    325,056, about 3.19 a row
    ========  ==================================================

    Source, parameters, answer and errors are those of `fetch_amazon670k`; the files lie in
    ``wikilshtc325k``: ``wikiLSHTC_train.txt`` and ``wikiLSHTC_test.txt``, or ``train.txt`` and
    ``test.txt``.

    Notes
    -----
    From K. Bhatia et al., "The extreme classification repository: multi-label datasets and code",
    2016; I. Partalas et al., "LSHTC: A benchmark for large-scale text classification", 2015.
    """
    return _fetch_xmc("wikilshtc325k", "wikiLSHTC", subset, data_home, return_X_y)


def fetch_eurlex4k(
    *, subset: Subset = "train", data_home: DataHome = None, return_X_y: bool = False
) -> Any:
    """Read EURLex-4K: laws of the European Union and their subjects.

    ========  ==================================================
    Rows      15,539 to train on, 3,809 to test
    Features  5,000
    Labels    3,993, about 5.31 a row
    ========  ==================================================

    Source, parameters, answer and errors are those of `fetch_amazon670k`; the files lie in
    ``eurlex4k``: ``eurlex_train.txt`` and ``eurlex_test.txt``, or ``train.txt`` and ``test.txt``.

    Notes
    -----
    From K. Bhatia et al., "The extreme classification repository: multi-label datasets and code",
    2016; E. Loza Mencia and J. Fürnkranz, "Efficient pairwise multilabel classification for
    large-scale problems in the legal domain", ECML PKDD 2008.
    """
    return _fetch_xmc("eurlex4k", "eurlex", subset, data_home, return_X_y)


def _fetch_xmc(name: str, prefix: str, subset: Any, data_home: DataHome, return_X_y: bool) -> Any:
    from scipy import sparse
    from sklearn.utils import Bunch

    from udt.io import read_xmc

    folder = get_data_home(data_home) / name
    parts = []
    for part in subset_parts(subset):
        candidates = [folder / f"{prefix}_{part}.txt", folder / f"{part}.txt"]
        found = [path for path in candidates if path.exists()]
        if not found:
            raise FileNotFoundError(
                f"{candidates[0]} does not exist (nor does {candidates[1].name}). Get it from "
                f"{_PAGE} and put it there, or give the folder that has {name}/ as data_home."
            )
        parts.append(read_xmc(str(found[0])))
    X, Y = (
        matrices[0] if len(parts) == 1 else sparse.vstack(matrices, format="csr")
        for matrices in zip(*parts, strict=True)
    )
    return (X, Y) if return_X_y else Bunch(data=X, target=Y)
