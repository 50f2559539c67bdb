"""The text sets of the benchmarks: folders with a `train.parquet` and a `test.parquet`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq


@dataclass(frozen=True)
class TextSet:
    """Where a set lies, which columns are joined (by a space) to the text, and which one is y."""

    folder: str
    text: tuple[str, ...] = ("text",)
    label: str = "label"


TEXT_SETS = {
    "banking77": TextSet("banking77"),
    "trec": TextSet("trec"),
    "trec_fine": TextSet("trec", label="label_fine"),
    "ag_news": TextSet("ag_news", text=("title", "text")),
    "dbpedia14_sample": TextSet("dbpedia14_sample"),
    "yelp5_sample": TextSet("yelp5_sample"),
    "imdb": TextSet("imdb"),
    "sst2_glue": TextSet("sst2_glue"),
    "whats_cooking": TextSet("whats_cooking"),
    # The package's name gives its section away, so it is not part of the text.
    "debian_section": TextSet(
        "debian_packages", text=("description", "long_description"), label="section"
    ),
    "reddit_titles": TextSet("reddit_posts", text=("title",)),
}

# The mean is taken over these; reddit_titles has too many classes for most peers.
DEFAULT_SETS = tuple(name for name in TEXT_SETS if name != "reddit_titles")


def load(data: Path, name: str, part: str) -> tuple[list[str], np.ndarray]:
    """Read one part of a set.

    Parameters
    ----------
    data : Path
        The folder that holds the sets' folders.
    name : str
        A key of `TEXT_SETS`.
    part : {"train", "test"}
        Which file to read.

    Returns
    -------
    texts : list of str of length n
    labels : ndarray of str of shape (n,)
    """
    source = TEXT_SETS[name]
    table = pq.read_table(
        data / source.folder / f"{part}.parquet", columns=[*source.text, source.label]
    )
    columns = [table[column].cast(pa.large_string()) for column in source.text]
    space = pa.scalar(" ", pa.large_string())
    texts = pc.binary_join_element_wise(*columns, space) if len(columns) > 1 else columns[0]
    return texts.to_pylist(), np.asarray(table[source.label].to_pylist())


def shuffled(texts: list[str], labels: np.ndarray, seed: int) -> tuple[list[str], np.ndarray]:
    """Permute the rows: some sets come in label order, which online learners cannot bear."""
    order = np.random.default_rng(seed).permutation(len(texts))
    return [texts[i] for i in order], labels[order]


def distinct(texts: Iterable[str], n: int) -> list[str]:
    """Return up to `n` different texts, in their first order."""
    return list(dict.fromkeys(texts))[:n]
