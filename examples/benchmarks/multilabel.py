"""Many labels a row: udt beside one-vs-rest linear models.

    python examples/benchmarks/multilabel.py --data DIR

All models are given y as a CSR indicator matrix; bibtex's features are ready, the others are text.
"""

from __future__ import annotations

from benchmark import Benchmark
from datasets import LabelsSet, MatrixSet, Source
from label_models import DEFAULT_MODELS, MODELS
from metrics import multilabel
from runner import main

SETS: dict[str, Source] = {
    # Every test row counts, also those without a label.
    "reuters21578": LabelsSet("reuters21578", text=("title", "body")),
    "goemotions": LabelsSet("goemotions", text=("text",)),
    "bibtex": MatrixSet("bibtex"),
    "debian_tags": LabelsSet(
        "debian_packages", text=("description", "long_description"), label="tags"
    ),
}

BENCHMARK = Benchmark(
    title="Many labels a row: udt beside one-vs-rest linear models.",
    sets=SETS,
    models=MODELS,
    evaluate=multilabel,
    scores={
        "micro_f1": "Test micro-F1, %",
        "p_at_1": "Test P@1 of rows with a label, %",
        "macro_f1": "Test macro-F1, %",
    },
    default_sets=tuple(SETS),
    default_models=DEFAULT_MODELS,
)

if __name__ == "__main__":
    main("multilabel")
