"""Yelp polarity as ThirdAI's UDT trained on it: one pass, batches of 256.

python examples/benchmarks/papers/yelp_polarity.py             # downloads it once
python examples/benchmarks/papers/yelp_polarity.py --data DIR  # DIR/yelp_polarity/
"""

from __future__ import annotations

from collections.abc import Sequence

import texts
from protocol import THIRDAI_AWS, Line, Protocol

from udt.datasets import fetch_yelp_polarity

PROTOCOL = Protocol(
    "Yelp polarity, ThirdAI's protocol",
    (
        Line("ThirdAI UDT, 1 pass", "c6i.8xlarge, 32 vCPU", "47", "accuracy 93.2", "< 1"),
        Line("ThirdAI UDT, 1 pass", "c7g.8xlarge, 32 vCPU", "29", "accuracy 92.9", "< 1"),
        Line("DistilBERT", "GPU", "3,780 to 4,200", "accuracy 93.3 to 93.4", "8.3 to 8.7"),
    ),
    THIRDAI_AWS,
    texts.SETTINGS,
)


def main(argv: Sequence[str] | None = None) -> None:
    """Run the protocol and print the table."""
    texts.run(argv, __doc__ or "", PROTOCOL, fetch_yelp_polarity)


if __name__ == "__main__":
    main()
