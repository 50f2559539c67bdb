"""Tables of numbers, categories and dates: udt beside gradient boosting.

    python examples/benchmarks/tabular.py --data DIR

udt takes the data frame as it is, the boosting libraries take their categories as categories.
"""

from __future__ import annotations

from benchmark import Benchmark
from datasets import TableSet
from metrics import classification
from runner import main
from table_models import MODELS

SETS = {
    "adult": TableSet("adult"),
    # How many people a row stands for is no property of the person.
    "census_income_kdd": TableSet("census_income_kdd", leave_out=("instance_weight",)),
    "nycflights13_delay": TableSet("nycflights13_delay", dates=("time_hour",)),
}

BENCHMARK = Benchmark(
    title="Tables of numbers, categories and dates: udt beside gradient boosting.",
    sets=SETS,
    models=MODELS,
    evaluate=classification,
    scores={"auc": "Test ROC AUC, x 100", "accuracy": "Test accuracy, %"},
    default_sets=tuple(SETS),
    default_models=(
        "udt",
        "udt_dicts",
        "lightgbm",
        "catboost",
        "xgboost",
        "hist_gradient_boosting",
        "linear",
        "linear_bins",
    ),
)

if __name__ == "__main__":
    main("tabular")
