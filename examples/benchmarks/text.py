"""Text classification: udt beside its peers.

    python examples/benchmarks/text.py --data DIR

prints a table of accuracies with the significance of udt's lead or lag on each set, and a table
of each cost. Runs are kept in `--out`; `report.py` prints the same tables from there.
"""

from __future__ import annotations

from benchmark import Benchmark
from datasets import TextSet
from metrics import accuracy
from models import DEFAULT_MODELS, MODELS
from runner import main

SETS = {
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

BENCHMARK = Benchmark(
    title="Text classification: udt beside its peers, every run in a process of its own.",
    sets=SETS,
    models=MODELS,
    evaluate=accuracy,
    scores={"accuracy": "Test accuracy, %"},
    # reddit_titles has too many classes for most peers.
    default_sets=tuple(name for name in SETS if name != "reddit_titles"),
    default_models=DEFAULT_MODELS,
)

if __name__ == "__main__":
    main("text")
