"""Amazon-670K as BOLT and SLIDE trained on it: one hidden layer of 128 units, Adam, batches of 256.

    python examples/benchmarks/papers/amazon670k.py --data DIR                   # BOLT: 5 passes
    python examples/benchmarks/papers/amazon670k.py --data DIR --protocol slide
    python examples/benchmarks/papers/amazon670k.py --synthetic 0.1              # without the files

DIR/amazon670k/ holds amazon_train.txt and amazon_test.txt (see udt.datasets.fetch_amazon670k).
"""

from __future__ import annotations

from collections.abc import Sequence

import xmc
from protocol import SLIDE_2021, SLIDE_NETWORK, SLIDE_NOTE, SLIDE_RATE, THIRDAI_AWS, Line, Protocol

from udt.datasets import fetch_amazon670k

PROTOCOLS = {
    "bolt": Protocol(
        "Amazon-670K, BOLT's protocol",
        (
            Line("ThirdAI BOLT, 5 passes", "c6i.8xlarge, 32 vCPU", "1,470", "P@1 33.6"),
            Line("ThirdAI BOLT, 5 passes", "c7g.8xlarge, 32 vCPU", "935", "P@1 33.6"),
            Line("TensorFlow, 5 passes", "-", "7,550", "P@1 33.6"),
            Line("PyTorch, 5 passes", "T4G GPU", "5,130", "P@1 33.6"),
        ),
        THIRDAI_AWS,
        {**SLIDE_NETWORK, "max_iter": 5, "learning_rate_init": 1e-3},
    ),
    "slide": Protocol(
        "Amazon-670K, SLIDE's protocol",
        (
            Line("SLIDE 2021", "server CPU", "2 to 7 times faster than SLIDE 2020", "-"),
            Line("SLIDE 2021, bfloat16", "server CPU", "1.28 times faster than float32", "-"),
            Line("SLIDE 2021", "server CPU", "4 to 15 times faster than a GPU", "-"),
        ),
        SLIDE_2021,
        {**SLIDE_NETWORK, "max_iter": 5, "learning_rate_init": SLIDE_RATE},
        SLIDE_NOTE,
    ),
}


def main(argv: Sequence[str] | None = None) -> None:
    """Run the protocol and print the table."""
    xmc.run(argv, __doc__ or "", PROTOCOLS, "amazon-670k", fetch_amazon670k)


if __name__ == "__main__":
    main()
