"""What ThirdAI's protocols for texts share: one pass, batches of 256, each test row alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from protocol import Protocol, arguments, report, run_texts

SETTINGS = {"max_iter": 1, "batch_size": 256}


def run(
    argv: Sequence[str] | None, description: str, protocol: Protocol, fetch: Callable[..., Any]
) -> None:
    """Run the protocol on a set of texts."""
    args = arguments(description, protocol).parse_args(argv)
    X, y = fetch(subset="train", data_home=args.data, return_X_y=True)
    X_test, y_test = fetch(subset="test", data_home=args.data, return_X_y=True)
    data = f"{len(X):,} rows, {len(set(y.tolist()))} classes; {len(X_test):,} test"
    report(protocol, run_texts(protocol, args, X, y, X_test, y_test), data)
