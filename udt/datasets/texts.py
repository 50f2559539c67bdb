"""Well-known sets of texts, downloaded and checked against published checksums."""

from __future__ import annotations

import csv
import gzip
import io
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np

from udt.datasets.downloads import DataHome, RemoteFile, find_file, get_data_home
from udt.datasets.subsets import Subset, subset_parts

__all__ = [
    "fetch_ag_news",
    "fetch_dbpedia14",
    "fetch_imdb",
    "fetch_text8",
    "fetch_yelp_polarity",
]

_HUGGING_FACE = "github.com/huggingface/datasets, datasets/{}/dataset_infos.json"
_AG_NEWS = "https://raw.githubusercontent.com/mhjabreel/CharCnn_Keras/master/data/ag_news_csv/"

#: The files of each set that can be downloaded.
REMOTE_FILES = {
    "ag_news": {
        part: RemoteFile(
            f"{part}.csv",
            f"{_AG_NEWS}{part}.csv",
            checksum,
            _HUGGING_FACE.format("ag_news"),
        )
        for part, checksum in [
            ("train", "sha256:76a0a2d2f92b286371fe4d4044640910a04a803fdd2538e0f3f29a5c6f6b672e"),
            ("test", "sha256:521465c2428ed7f02f8d6db6ffdd4b5447c1c701962353eb2c40d548c3c85699"),
        ]
    },
    "dbpedia14": {
        "all": RemoteFile(
            "dbpedia_csv.tgz",
            "https://s3.amazonaws.com/fast-ai-nlp/dbpedia_csv.tgz",
            "sha256:42db5221ddedddb673a4cabcc5f3a7d869714c878bcfe4ba94b29d14aa38e417",
            _HUGGING_FACE.format("dbpedia_14"),
        )
    },
    "yelp_polarity": {
        "all": RemoteFile(
            "yelp_review_polarity_csv.tgz",
            "https://s3.amazonaws.com/fast-ai-nlp/yelp_review_polarity_csv.tgz",
            "sha256:528f22e286cad085948acbc3bea7e58188416546b0e364d0ae4ca0ce666abe35",
            _HUGGING_FACE.format("yelp_polarity"),
        )
    },
    "imdb": {
        "all": RemoteFile(
            "aclImdb_v1.tar.gz",
            "http://ai.stanford.edu/~amaas/data/sentiment/aclImdb_v1.tar.gz",
            "sha256:c40f74a18d3b61f90feba1e17730e0d38e8b97c05fde7008942e91923d1658fe",
            _HUGGING_FACE.format("imdb"),
        )
    },
    "text8": {
        "all": RemoteFile(
            "text8.gz",
            "https://github.com/piskvorky/gensim-data/releases/download/text8/text8.gz",
            "md5:68799af40b6bda07dfa47a32612e5364",
            "github.com/piskvorky/gensim-data, list.json",
        )
    },
}


def fetch_ag_news(
    *,
    subset: Subset = "train",
    data_home: DataHome = None,
    download_if_missing: bool = True,
    return_X_y: bool = False,
) -> Any:
    """Fetch AG News: titles and beginnings of news in four classes.

    ========  ==================================================
    Rows      120,000 to train on, 7,600 to test
    Classes   4, of equal size: World, Sports, Business, Sci/Tech
    Text      title and description, joined by a space
    ========  ==================================================

    Parameters
    ----------
    subset : {"train", "test", "all"}, default="train"
        Which part; "all" is the training part followed by the test part.
    data_home : path-like or None, default=None
        The folder of the data sets (see `get_data_home`); this set's files lie in ``ag_news`` in
        it, downloaded or put there by hand.
    download_if_missing : bool, default=True
    return_X_y : bool, default=False
        Return ``(data, target)`` instead of a Bunch.

    Returns
    -------
    Bunch or (list of str, ndarray of str)
        The Bunch holds ``data`` (list of str), ``target`` (ndarray of str of shape (n,)) and
        ``target_names`` (list of str).

    Raises
    ------
    FileNotFoundError
        A file is missing, and not to be downloaded.
    OSError
        The download failed, or a checksum is not the published one.
    ValueError
        `subset` is not one of the three, or a file is not of the format.

    Notes
    -----
    Made by X. Zhang, J. Zhao and Y. LeCun, "Character-level Convolutional Networks for Text
    Classification", NIPS 2015, from A. Gulli's corpus, which is for non-commercial use. Address
    (a copy in github.com/mhjabreel/CharCnn_Keras) and SHA-256 are those of huggingface/datasets
    (datasets/ag_news/dataset_infos.json); pytorch/text (torchtext/datasets/ag_news.py) has the
    same address.
    """
    names = ["World", "Sports", "Business", "Sci/Tech"]
    return _fetch_csv("ag_news", names, subset, data_home, download_if_missing, return_X_y)


def fetch_dbpedia14(
    *,
    subset: Subset = "train",
    data_home: DataHome = None,
    download_if_missing: bool = True,
    return_X_y: bool = False,
) -> Any:
    """Fetch DBpedia-14: titles and abstracts of Wikipedia in 14 classes of things.

    ========  ==================================================
    Rows      560,000 to train on, 70,000 to test
    Classes   14, of equal size
    Text      title and abstract, joined by a space
    ========  ==================================================

    The rows come in label order: shuffle before you take the first few. Parameters, answer and
    errors are those of `fetch_ag_news`; the files lie in ``dbpedia14``.

    Notes
    -----
    Made by X. Zhang, J. Zhao and Y. LeCun, "Character-level Convolutional Networks for Text
    Classification", NIPS 2015, from DBpedia (CC BY-SA 3.0 and GFDL). Address and SHA-256 are
    those of huggingface/datasets (datasets/dbpedia_14/dataset_infos.json).
    """
    names = ["Company", "EducationalInstitution", "Artist", "Athlete", "OfficeHolder"]
    names += ["MeanOfTransportation", "Building", "NaturalPlace", "Village", "Animal", "Plant"]
    names += ["Album", "Film", "WrittenWork"]
    return _fetch_csv("dbpedia14", names, subset, data_home, download_if_missing, return_X_y)


def fetch_yelp_polarity(
    *,
    subset: Subset = "train",
    data_home: DataHome = None,
    download_if_missing: bool = True,
    return_X_y: bool = False,
) -> Any:
    r"""Fetch Yelp polarity: reviews with one or two stars, or three or four.

    ========  ==================================================
    Rows      560,000 to train on, 38,000 to test
    Classes   2, of equal size: negative, positive
    Text      the review; the file's ``\n`` and ``\"`` are read as what they stand for
    ========  ==================================================

    Parameters, answer and errors are those of `fetch_ag_news`; the files lie in
    ``yelp_polarity``.

    Notes
    -----
    Made by X. Zhang, J. Zhao and Y. LeCun, "Character-level Convolutional Networks for Text
    Classification", NIPS 2015, from the Yelp Dataset Challenge 2015, whose terms hold. Address
    and SHA-256 are those of tensorflow/datasets
    (tensorflow_datasets/url_checksums/yelp_polarity_reviews.txt) and huggingface/datasets
    (datasets/yelp_polarity/dataset_infos.json), which agree.
    """
    names = ["negative", "positive"]
    return _fetch_csv(
        "yelp_polarity", names, subset, data_home, download_if_missing, return_X_y, escaped=True
    )


def fetch_imdb(
    *,
    subset: Subset = "train",
    data_home: DataHome = None,
    download_if_missing: bool = True,
    return_X_y: bool = False,
) -> Any:
    """Fetch IMDB: reviews of films that are clearly for or against.

    ========  ==================================================
    Rows      25,000 to train on, 25,000 to test
    Classes   2, of equal size: neg, pos
    Text      the review, with its ``<br />``
    ========  ==================================================

    The rows come in label order: shuffle before you take the first few. Parameters, answer and
    errors are those of `fetch_ag_news`; the files lie in ``imdb``.

    Notes
    -----
    From A. Maas et al., "Learning Word Vectors for Sentiment Analysis", ACL 2011. Address and
    SHA-256 are those of huggingface/datasets (datasets/imdb/dataset_infos.json); pytorch/text
    (torchtext/datasets/imdb.py) has the same address.
    """
    parts = subset_parts(subset)
    path = _find("imdb", "all", data_home, download_if_missing)
    rows = []
    with tarfile.open(path) as archive:
        for member in archive:
            folders = Path(member.name).parts
            if len(folders) == 4 and folders[1] in parts and folders[2] in ("neg", "pos"):
                number = int(folders[3].partition("_")[0])
                text = cast(BinaryIO, archive.extractfile(member)).read().decode("utf-8")
                rows.append((parts.index(folders[1]), folders[2], number, text))
    rows.sort()
    data, labels = [row[3] for row in rows], [row[1] for row in rows]
    return _texts(data, labels, ["neg", "pos"], return_X_y)


def fetch_text8(*, data_home: DataHome = None, download_if_missing: bool = True) -> str:
    """Fetch text8: 100 MB of English Wikipedia in lower-case letters and single blanks.

    It has 17,005,207 words, 253,854 of them different.

    Parameters
    ----------
    data_home : path-like or None, default=None
        The folder of the data sets (see `get_data_home`). The text may lie in ``text8`` in it as
        ``text8`` or ``text8.zip``, as http://mattmahoney.net/dc/textdata.html has them; else
        ``text8.gz`` is looked for, and downloaded.
    download_if_missing : bool, default=True

    Returns
    -------
    str

    Raises
    ------
    FileNotFoundError
        A file is missing, and not to be downloaded.
    OSError
        The download failed, or its checksum is not the published one.

    Notes
    -----
    Made by M. Mahoney. Address and MD5 are those of gensim's copy: github.com/piskvorky/gensim-data
    (list.json).
    """
    folder = get_data_home(data_home) / "text8"
    if (folder / "text8").exists():
        return (folder / "text8").read_text(encoding="ascii")
    if (folder / "text8.zip").exists():
        with zipfile.ZipFile(folder / "text8.zip") as archive:
            return archive.read("text8").decode("ascii")
    with gzip.open(_find("text8", "all", data_home, download_if_missing)) as file:
        return file.read().decode("ascii")


def _fetch_csv(
    name: str,
    target_names: list[str],
    subset: Any,
    data_home: DataHome,
    download_if_missing: bool,
    return_X_y: bool,
    escaped: bool = False,
) -> Any:
    """Read the files of Zhang et al.: a class number that counts from 1, then texts."""
    data: list[str] = []
    labels: list[str] = []
    classes = {str(number): label for number, label in enumerate(target_names, start=1)}
    for part in subset_parts(subset):
        whole = "all" in REMOTE_FILES[name]
        path = _find(name, "all" if whole else part, data_home, download_if_missing)
        rows = csv.reader(_lines(path, f"{part}.csv"), strict=True)
        try:
            for number, text, *more in rows:
                labels.append(classes[number])
                data.append(" ".join([text, *more]))
        except (csv.Error, KeyError, ValueError) as error:
            raise ValueError(
                f"{path}: line {rows.line_num} of {part}.csv is not a class from 1 to "
                f"{len(classes)} and texts ({error!r})."
            ) from error
    if escaped:
        data = [text.replace("\\n", "\n").replace('\\"', '"') for text in data]
    return _texts(data, labels, target_names, return_X_y)


def _lines(path: Path, name: str) -> Iterator[str]:
    """Give the lines of a file, or of the one of that name in an archive."""
    if path.suffix == ".csv":
        with path.open(encoding="utf-8", newline="") as file:
            yield from file
        return
    with tarfile.open(path) as archive:
        for member in archive:
            if Path(member.name).name == name:
                data = cast(BinaryIO, archive.extractfile(member))
                yield from io.TextIOWrapper(data, encoding="utf-8", newline="")
                return
    raise OSError(f"{path} has no {name} in it.")


def _find(name: str, part: str, data_home: DataHome, download_if_missing: bool) -> Path:
    return find_file(REMOTE_FILES[name][part], get_data_home(data_home) / name, download_if_missing)


def _texts(data: list[str], labels: list[str], target_names: list[str], return_X_y: bool) -> Any:
    from sklearn.utils import Bunch

    target = np.array(labels)
    if return_X_y:
        return data, target
    return Bunch(data=data, target=target, target_names=target_names)
