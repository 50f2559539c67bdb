"""What Amazon-670K and WikiLSHTC-325K share: the published files, or synthetic ones like them."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from protocol import Protocol, arguments, report, run_labels

from udt.datasets import make_xmc_like

HEADS = ("auto", "lsh", "softmax", "ova")


def run(
    argv: Sequence[str] | None,
    description: str,
    protocols: Mapping[str, Protocol],
    shape: str,
    fetch: Callable[..., Any],
) -> None:
    """Run a protocol on the files of a set, or with --synthetic on data of its shape."""
    first = next(iter(protocols))
    chooser = argparse.ArgumentParser(add_help=False)
    chooser.add_argument("--protocol", choices=protocols, default=first)
    protocol = protocols[chooser.parse_known_args(argv)[0].protocol]

    parser = arguments(description, protocol)
    parser.add_argument("--protocol", choices=protocols, default=first)
    parser.add_argument("--head", choices=HEADS, default=protocol.settings["head"])
    parser.add_argument(
        "--synthetic",
        type=float,
        metavar="SCALE",
        help="synthetic data of the set's shape, times SCALE, instead of its files",
    )
    args = parser.parse_args(argv)

    if args.synthetic is not None:
        X, Y, X_test, Y_test = make_xmc_like(shape, args.synthetic, random_state=args.seed)
        data = f"synthetic, shape of {shape} at scale {args.synthetic:g}: scores do not compare"
    else:
        X, Y = fetch(subset="train", data_home=args.data, return_X_y=True)
        X_test, Y_test = fetch(subset="test", data_home=args.data, return_X_y=True)
        data = shape
    n, n_labels = Y.shape
    data += f" ({n:,} rows, {X.shape[1]:,} features, {n_labels:,} labels; {X_test.shape[0]:,} test)"
    report(protocol, run_labels(protocol, args, X, Y, X_test, Y_test), data)
