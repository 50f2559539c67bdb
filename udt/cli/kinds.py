"""What the values of options are: readers for argparse, which say what is wrong with one."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable

from udt.tuning.budget import EXAMPLES, is_budget, read_seconds

__all__ = ["above_0", "at_least", "budget", "label_delimiter", "seconds", "share"]


def at_least(least: int) -> Callable[[str], int]:
    """Give a reader of whole numbers that are not below some number."""

    def whole_number(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"{text!r} is no whole number") from None
        if value < least:
            raise argparse.ArgumentTypeError(f"{value} is not {least} or more")
        return value

    return whole_number


def share(*, from_0: bool) -> Callable[[str], float]:
    """Give a reader of shares: from 0 to below 1, or above 0 and up to 1."""

    def share(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = -1.0
        if from_0 and not 0 <= value < 1:
            raise argparse.ArgumentTypeError(f"{text!r} is no share from 0 to below 1")
        if not from_0 and not 0 < value <= 1:
            raise argparse.ArgumentTypeError(f"{text!r} is no share above 0 and up to 1")
        return value

    return share


def above_0(text: str) -> float:
    """Read a finite number above 0."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is no number above 0")
    return value


def seconds(text: str) -> float:
    """Read a time; without a unit it is in seconds."""
    found = read_seconds(text) or read_seconds(f"{text}s")
    if found is None:
        raise argparse.ArgumentTypeError(f"{text!r} is not {EXAMPLES}")
    return found


def budget(text: str) -> str | int:
    """Read a time with its unit, or a number of trials."""
    value = int(text) if text.isdecimal() else text
    if not is_budget(value):
        raise argparse.ArgumentTypeError(f"{text!r} is not {EXAMPLES}, nor a number of trials")
    return value


def label_delimiter(text: str) -> str:
    """Read what separates labels."""
    text = {"\\t": "\t"}.get(text, text)
    if not text or "\n" in text or "\r" in text:
        raise argparse.ArgumentTypeError(f"{text!r} cannot separate labels; take a space, ';', ...")
    return text
