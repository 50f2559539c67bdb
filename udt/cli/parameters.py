"""What options say about columns, and about parameters of the classifier."""

from __future__ import annotations

import argparse
import difflib
import inspect
import json
from typing import Any

from udt.cli.arguments import UsageError

__all__ = ["column_roles", "parameters"]


def column_roles(args: argparse.Namespace) -> dict[str, str]:
    """Read --columns, and see that it agrees with --text, --ignore and --label.

    Raises
    ------
    UsageError
        If an item is no COL=ROLE, or a column has two roles or none to have.
    """
    if args.text is not None and (args.columns or args.ignore):
        raise UsageError(
            "--text takes one column and leaves out the others; with --columns or --ignore write "
            f"--columns {args.text}=text"
        )
    roles: dict[str, str] = {}
    for given in args.columns:
        for name, role in _column_items(given):
            if name in roles:
                raise UsageError(f"--columns {given}: column {name!r} is given twice")
            if name in args.ignore:
                raise UsageError(f"--columns {given}: column {name!r} is in --ignore too")
            if name == args.label:
                raise UsageError(f"--columns {given}: column {name!r} is the label")
            roles[name] = role
    return roles


def _column_items(given: str) -> list[tuple[str, str]]:
    from udt.columns import ROLES

    items: list[tuple[str, Any]] = []
    if given.lstrip().startswith("{"):  # for names with commas
        try:
            items = list(json.loads(given).items())
        except ValueError as error:
            raise UsageError(f"--columns {given}: not a JSON object ({error})") from error
    else:
        for item in given.split(","):
            name, equals, role = item.rpartition("=")
            if not equals:
                raise UsageError(f"--columns {given}: write it as COL=ROLE,COL=ROLE,...")
            items.append((name, role))
    for name, role in items:
        if not isinstance(role, str) or role.removesuffix("?") not in {*ROLES, ""} or not role:
            raise UsageError(
                f"--columns {given}: column {name!r} cannot be {role!r}; "
                f"take one of {', '.join(ROLES)}"
            )
    return items


def parameters(args: argparse.Namespace) -> dict[str, Any]:
    """Turn --param, --columns, --sifting and the like into constructor arguments."""
    from udt import UDTClassifier

    known = inspect.signature(UDTClassifier).parameters
    found: dict[str, Any] = {}
    for item in args.param:
        name, equals, value = item.partition("=")
        if not equals:
            raise UsageError(f"--param {item}: write it as NAME=VALUE")
        if name not in known:
            close = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean {close[0]}? " if close else ""
            raise UsageError(
                f"--param {item}: there is no parameter {name!r}; {hint}"
                f"There are: {', '.join(known)}"
            )
        if name in found:
            raise UsageError(f"--param {item}: {name} is given twice")
        found[name] = _parse_value(value)
    roles = column_roles(args) or (None if args.text is None else {args.text: "text"})
    options = {
        "columns": roles,
        "sifting": args.sifting,
        "dtype": args.dtype,
        "n_jobs": args.n_jobs,
        "random_state": args.random_state,
        "tune": getattr(args, "tune", None),
    }
    for name, value in options.items():
        if value is not None:
            if name in found:
                raise UsageError(f"--{name.replace('_', '-')} and --param {name} are both given")
            found[name] = value
    return found


def _parse_value(text: str) -> Any:
    """JSON where it is JSON, a str otherwise; a JSON list becomes the tuple that Python has."""
    try:
        value = json.loads(text)
    except ValueError:
        return {"None": None, "True": True, "False": False}.get(text, text)
    return tuple(value) if isinstance(value, list) else value
