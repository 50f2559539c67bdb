"""Where a study is kept: in memory, in a database, or in a file that processes share."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator
from typing import Any

import numpy as np
from optuna.storages import BaseStorage, JournalStorage
from optuna.storages.journal import JournalFileBackend

from udt.classifier import UDTClassifier
from udt.columns import Table
from udt.labels import LabelSets
from udt.tuning.parts import Rows

_DATABASES = (".db", ".sqlite", ".sqlite3")
#: Rows whose content names a study, beside the labels of all.
_MAX_ROWS = 1000
#: What `repr` tells of functions and other objects that is another in each process.
_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")


def open_storage(storage: Any) -> BaseStorage | str | None:
    """Open what `udt.tune` calls its storage.

    Raises
    ------
    TypeError
        If it is none.
    """
    if storage is None or isinstance(storage, BaseStorage):
        return storage
    if not isinstance(storage, (str, os.PathLike)):
        raise TypeError(
            f"storage is of type {type(storage).__name__}: give a URL such as "
            '"sqlite:///study.db", the path of a database (*.db) or of a journal (*.log), or one '
            "of Optuna's storages."
        )
    path = os.fspath(storage)
    if "://" in path:
        return path
    if path.endswith(_DATABASES):
        return f"sqlite:///{path}"
    return JournalStorage(JournalFileBackend(path))


def study_name(model: UDTClassifier, rows: Rows, *how: Any) -> str:
    """Name a study by its data, by what is fixed and by how trials are scored."""
    numbers = rows.target.numbers
    params = {k: v for k, v in model.get_params().items() if k not in ("n_jobs", "verbose", "tune")}
    settings = repr((sorted(params.items()), how, rows.target.classes.tolist()))
    digest = hashlib.sha256(_ADDRESS.sub("", settings).encode())
    arrays = [numbers.indptr, numbers.indices] if isinstance(numbers, LabelSets) else [numbers]
    if rows.sample_weight is not None:
        arrays.append(rows.sample_weight)
    for array in arrays:
        digest.update(np.ascontiguousarray(array).tobytes())
    for values in _some_content(rows.data):
        digest.update(repr(values).encode())
    return f"udt-{digest.hexdigest()[:12]}"


def _some_content(data: Any) -> Iterator[Any]:
    """Give what some rows hold, column by column, and what the columns are called."""
    mask = np.zeros(data.n_rows, dtype=bool)
    mask[:: -(-data.n_rows // _MAX_ROWS)] = True
    some = data.take(mask)
    if not isinstance(data, Table):
        yield from (some.matrix.shape, some.matrix.indices.tolist(), some.matrix.data.tolist())
        return
    for number, name in enumerate(some.names):
        values = some.column(number).data
        yield name, values.tolist() if hasattr(values, "tolist") else list(values)
