"""DBpedia-14 as ThirdAI's UDT trained on it: one pass, batches of 256.

python examples/benchmarks/papers/dbpedia14.py             # downloads it once
python examples/benchmarks/papers/dbpedia14.py --data DIR  # DIR/dbpedia14/
"""

from __future__ import annotations

from collections.abc import Sequence

import texts
from protocol import THIRDAI_AWS, Line, Protocol

from udt.datasets import fetch_dbpedia14

PROTOCOL = Protocol(
    "DBpedia-14, ThirdAI's protocol",
    (
        Line("ThirdAI UDT, 1 pass", "c6i.8xlarge, 32 vCPU", "23", "accuracy 98.23", "< 1"),
        Line("ThirdAI UDT, 1 pass", "c7g.8xlarge, 32 vCPU", "14", "accuracy 98.10", "< 1"),
        Line("DistilBERT", "GPU", "3,480 to 4,320", "accuracy 99.23 to 99.29", "8"),
    ),
    THIRDAI_AWS,
    texts.SETTINGS,
)


def main(argv: Sequence[str] | None = None) -> None:
    """Run the protocol and print the table."""
    texts.run(argv, __doc__ or "", PROTOCOL, fetch_dbpedia14)


if __name__ == "__main__":
    main()
