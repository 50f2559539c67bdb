"""The command line: ``udt train``, ``predict`` and so on, a module each.

Results go to standard output, everything else to standard error. Nothing heavy is imported before
the arguments are known to be right.
"""

from __future__ import annotations

import contextlib
import io
import os
import sys
import warnings
from collections.abc import Sequence
from importlib import import_module
from typing import Any

from udt.cli.arguments import UsageError, make_parser
from udt.cli.output import say

__all__ = ["main"]

_OK, _FAILED, _USAGE, _INTERRUPTED = 0, 1, 2, 130


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    Parameters
    ----------
    argv : sequence of str or None, default=None
        The arguments; None takes those of the process.

    Returns
    -------
    int
        The exit code: 0 done, 1 the work failed (bad data or model file), 2 bad arguments,
        130 interrupted.

    Examples
    --------
    >>> main(["predict", "none.udt", "--sentence", "hello"])
    1
    """
    parser = make_parser()
    try:
        args = parser.parse_args(argv)
    except SystemExit as stop:  # argparse has said what is wrong, or has printed the help
        return stop.code if isinstance(stop.code, int) else _USAGE
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # labels may hold lone surrogates
    try:
        with warnings.catch_warnings():
            warnings.showwarning = _show_warning
            import_module(f"udt.cli.{args.command}").run(args)
            sys.stdout.flush()
        return _OK
    except BrokenPipeError:  # `| head` has read enough
        with contextlib.suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _OK
    except KeyboardInterrupt:
        say("interrupted")
        return _INTERRUPTED
    except UsageError as error:
        say(f"udt {args.command}: error: {error}")
        return _USAGE
    except MemoryError as error:
        say(f"udt {args.command}: error: not enough memory. {error}")
    except OSError as error:
        known = error.filename is not None and error.strerror is not None
        problem = f"{error.filename}: {error.strerror}" if known else str(error)
        say(f"udt {args.command}: error: {problem}")
    except (ValueError, TypeError, ImportError) as error:
        say(f"udt {args.command}: error: {error}")
    return _FAILED


def _show_warning(message: Warning | str, *args: Any, **kwargs: Any) -> None:
    say(f"udt: warning: {message}")
