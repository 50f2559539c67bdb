"""Where a study is kept: in memory, in a database, or in a file that processes share."""

from __future__ import annotations

import hashlib
import os
from typing import Any

import numpy as np
from optuna.storages import BaseStorage, JournalStorage
from optuna.storages.journal import JournalFileBackend

from udt.classifier import UDTClassifier
from udt.labels import LabelSets
from udt.tuning.parts import Rows

_DATABASES = (".db", ".sqlite", ".sqlite3")


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
    columns = getattr(rows.data, "names", None)
    digest = hashlib.sha256(repr((sorted(params.items()), columns, how)).encode())
    digest.update(repr(rows.target.classes.tolist()).encode())
    parts = (numbers.indptr, numbers.indices) if isinstance(numbers, LabelSets) else (numbers,)
    for array in parts:
        digest.update(np.ascontiguousarray(array).tobytes())
    return f"udt-{digest.hexdigest()[:12]}"
