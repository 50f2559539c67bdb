r"""Tables of text and other columns: udt beside its peers.

    python examples/benchmarks/mixed.py --data DIR

udt takes the data frame as it is. reddit_posts (2 million rows, 2,491 classes) runs if asked for:

    python examples/benchmarks/mixed.py --data DIR --sets reddit_posts \
        --models udt udt_text vw_1 fasttext_hs --seeds 1 --timeout 7200
"""

from __future__ import annotations

from benchmark import Benchmark
from datasets import TableSet
from metrics import classification
from runner import main
from table_models import MODELS

SETS = {
    # The package's name gives its section away.
    "debian_section": TableSet(
        "debian_packages",
        label="section",
        columns=(
            "description",
            "long_description",
            "installed_size",
            "deb_size",
            "priority",
            "architecture",
            "maintainer_domain",
        ),
        text=("description", "long_description"),
    ),
    "womens_clothing": TableSet("womens_clothing", text=("title", "review_text")),
    "googleplay_apps": TableSet(
        "googleplay_apps",
        text=("app",),
        numbers=("reviews", "size", "installs", "price"),
        dates=("last_updated",),
    ),
    "reddit_posts": TableSet("reddit_posts", text=("title",)),
}

BENCHMARK = Benchmark(
    title="Tables of text and other columns: udt beside its peers.",
    sets=SETS,
    models=MODELS,
    evaluate=classification,
    scores={"accuracy": "Test accuracy, %", "auc": "Test ROC AUC of two classes, x 100"},
    default_sets=tuple(name for name in SETS if name != "reddit_posts"),
    default_models=("udt", "catboost", "lightgbm", "linear", "linear_svc", "vw_3", "fasttext_25"),
)

if __name__ == "__main__":
    main("mixed")
