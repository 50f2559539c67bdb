"""WikiLSHTC-325K as SLIDE trained on it: one hidden layer of 128 units, Adam, batches of 256.

    python examples/benchmarks/papers/wikilshtc.py --data DIR
    python examples/benchmarks/papers/wikilshtc.py --synthetic 0.05              # without the files

DIR/wikilshtc325k/ holds wikiLSHTC_train.txt and wikiLSHTC_test.txt (see
udt.datasets.fetch_wikilshtc325k).
"""

from __future__ import annotations

from collections.abc import Sequence

import xmc
from protocol import SLIDE_2021, SLIDE_NETWORK, SLIDE_NOTE, SLIDE_RATE, Line, Protocol

from udt.datasets import fetch_wikilshtc325k

PROTOCOLS = {
    "slide": Protocol(
        "WikiLSHTC-325K, SLIDE's protocol",
        (
            Line("SLIDE 2021", "server CPU", "2 to 7 times faster than SLIDE 2020", "-"),
            Line("SLIDE 2021, bfloat16", "server CPU", "1.39 times faster than float32", "-"),
            Line("SLIDE 2021", "server CPU", "4 to 15 times faster than a GPU", "-"),
        ),
        SLIDE_2021,
        {**SLIDE_NETWORK, "max_iter": 5, "learning_rate_init": SLIDE_RATE},
        SLIDE_NOTE,
    ),
}


def main(argv: Sequence[str] | None = None) -> None:
    """Run the protocol and print the table."""
    xmc.run(argv, __doc__ or "", PROTOCOLS, "wikilshtc-325k", fetch_wikilshtc325k)


if __name__ == "__main__":
    main()
