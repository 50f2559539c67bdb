"""``python -m udt``: the command line, where the ``udt`` script is not on the path."""

import sys

from udt.cli import main

if __name__ == "__main__":
    sys.exit(main())
