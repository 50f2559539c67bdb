"""Write and read a ``.udt`` model file: one safetensors file with a small JSON in its metadata.

Nothing here knows what a classifier is: a model is a plain JSON dict and named arrays. Files are
written here rather than by the ``safetensors`` package because its metadata order changes from
run to run (the same model must give the same bytes), and read here because it copies every array.
Any safetensors reader opens the files all the same.

Layout: 8 bytes of header length (little-endian), the JSON header, the arrays without gaps. The
header is padded so that the arrays start at a multiple of 64 bytes; wider dtypes come first, so
every array is aligned. A CRC-32 covers the whole file: a flipped bit anywhere is an error, not a
wrong prediction. Checking it costs about 0.3 s per gigabyte. It guards against accidents, not
against an attacker; but nothing in a file is ever executed, and all of it is bounds-checked.
"""

from __future__ import annotations

import contextlib
import json
import math
import mmap
import os
import secrets
import stat
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from udt.encoding import decode_labels, encode_labels, pack, plain, unpack

__all__ = [
    "FORMAT_VERSION",
    "ModelFileError",
    "decode_labels",
    "encode_labels",
    "model_size",
    "plain",
    "read_model",
    "reading",
    "write_model",
]

FORMAT_NAME = "udt"
FORMAT_VERSION = 3

_DTYPES = {
    "F64": "<f8",
    "F32": "<f4",
    "F16": "<f2",
    "I64": "<i8",
    "U64": "<u8",
    "I32": "<i4",
    "U32": "<u4",
    "I16": "<i2",
    "U16": "<u2",
    "I8": "|i1",
    "U8": "|u1",
    "BOOL": "|b1",
}
_TENSOR_TYPES = {dtype: name for name, dtype in _DTYPES.items()}
# The checksum sits at a fixed place, so that it can be computed with zeros there.
_PREFIX = b'{"__metadata__":{"crc32":"'
_NO_CRC = b"00000000"
_ALIGNMENT = 64
_MAX_HEADER = 100_000_000  # the limit of the safetensors format
_MAX_META = 10_000_000
_FOREIGN = "Give a file written by UDTClassifier.save or by `udt train`."
_DAMAGED = "Copy it again from where it came from, or save the model again."

PathLike = str | os.PathLike[str]


class ModelFileError(ValueError):
    """A file is not a udt model, is damaged, or is too new for this version of udt."""


def _refuse(path: PathLike, problem: str, remedy: str) -> NoReturn:
    raise ModelFileError(f"{os.fspath(path)}: {problem}. {remedy}")


# --------------------------------------------------------------------------------------- writing


def write_model(path: PathLike, meta: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> None:
    """Write a model file; a file already there is replaced whole or not at all.

    The bytes go to a temporary file in the same folder, which is flushed, fsynced and renamed
    over `path`. The same `meta` and `arrays` always give the same bytes.

    Parameters
    ----------
    path : str or path-like
        Where to write. A symbolic link is followed; permissions of an old file are kept.
    meta : mapping
        Plain values (None, bool, int, float, str) and lists, tuples and dicts of them, which come
        back as they are; NaN and infinity are refused. See :func:`udt.encoding.plain`.
    arrays : mapping of str to ndarray
        Numeric or bool arrays of any shape.

    Raises
    ------
    TypeError
        `meta` or an array cannot be stored; the message names it.
    OSError
        The file could not be written (no space, no permission). An old file is untouched.

    Examples
    --------
    >>> import numpy as np, os, tempfile
    >>> path = os.path.join(tempfile.mkdtemp(), "model.udt")
    >>> write_model(path, {"rate": 0.5}, {"weights": np.arange(3, dtype=np.float32)})
    >>> meta, arrays = read_model(path)
    >>> meta["rate"], arrays["weights"]
    (0.5, array([0., 1., 2.], dtype=float32))
    """
    tensors = _sorted_tensors(arrays)
    header = _header(meta, tensors)
    target = Path(os.path.realpath(path))
    mode = _existing_mode(target)
    temporary = target.parent / f".udt-{secrets.token_hex(8)}.tmp"
    try:
        _write_file(temporary, header, [data for _, data in tensors], mode)
        os.replace(temporary, target)
    except OSError as error:
        _unlink(temporary)
        problem = f"the model was not saved ({error.strerror}); an older file is left as it was"
        raise OSError(error.errno, problem, str(target)) from error
    except BaseException:  # Ctrl-C included: leave nothing half-written behind
        _unlink(temporary)
        raise
    _sync_folder(target.parent)


def model_size(meta: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> int:
    """Give the bytes of the file that :func:`write_model` would write."""
    tensors = _sorted_tensors(arrays)
    return 8 + len(_header(meta, tensors)) + sum(array.nbytes for _, array in tensors)


def _sorted_tensors(arrays: Mapping[str, np.ndarray]) -> list[tuple[str, np.ndarray]]:
    """Give little-endian, C-ordered arrays, widest dtype first, then by name."""
    tensors = []
    for name, array in arrays.items():
        if not isinstance(name, str) or name == "__metadata__":
            raise TypeError(f"arrays: {name!r} cannot be the name of an array; use another str")
        array = np.asarray(array)
        little = array.dtype.newbyteorder("<")
        if little.str not in _TENSOR_TYPES:
            known = ", ".join(np.dtype(dtype).name for dtype in _DTYPES.values())
            raise TypeError(f"arrays[{name!r}]: dtype {array.dtype} cannot be stored; use {known}")
        tensors.append((name, np.asarray(array, dtype=little, order="C")))
    return sorted(tensors, key=lambda tensor: (-tensor[1].itemsize, tensor[0]))


def _header(meta: Mapping[str, Any], tensors: Sequence[tuple[str, np.ndarray]]) -> bytes:
    from udt import __version__

    about = {
        "format": FORMAT_NAME,
        "format_version": FORMAT_VERSION,
        "udt_version": __version__,
        "meta": {key: _checked_json(key, value) for key, value in meta.items()},
    }
    entries: dict[str, Any] = {
        "__metadata__": {"crc32": _NO_CRC.decode(), FORMAT_NAME: _compact_json(about)}
    }
    end = 0
    for name, array in tensors:
        begin, end = end, end + array.nbytes
        entries[name] = {
            "dtype": _TENSOR_TYPES[array.dtype.str],
            "shape": list(array.shape),
            "data_offsets": [begin, end],
        }
    text = json.dumps(entries, separators=(",", ":")).encode("ascii")
    return text + b" " * (-(8 + len(text)) % _ALIGNMENT)


def _compact_json(value: object) -> str:
    return json.dumps(value, separators=(",", ":"), sort_keys=True, allow_nan=False)


def _checked_json(key: object, value: object) -> object:
    try:
        packed = pack(value)
        text = _compact_json({key: packed})
    except (TypeError, ValueError, RecursionError) as error:
        raise TypeError(f"meta[{key!r}]={value!r} cannot be stored as JSON: {error}") from error
    if not isinstance(key, str) or len(text) > _MAX_META:
        raise TypeError(f"meta[{key!r}]: keys must be str and values small; use an array instead")
    return packed


def _write_file(path: Path, header: bytes, arrays: Sequence[np.ndarray], mode: int | None) -> None:
    buffers = [array.reshape(-1).view(np.uint8).data for array in arrays]
    length = len(header).to_bytes(8, "little")
    crc = zlib.crc32(header, zlib.crc32(length))
    for buffer in buffers:
        crc = zlib.crc32(buffer, crc)
    start = len(_PREFIX)
    header = header[:start] + b"%08x" % crc + header[start + len(_NO_CRC) :]
    # O_EXCL through "x": never write through a file or link that someone else put there.
    with open(path, "xb") as file:
        if mode is not None:
            os.chmod(path, mode)
        file.write(length + header)
        for buffer in buffers:
            file.write(buffer)
        file.flush()
        os.fsync(file.fileno())


def _existing_mode(target: Path) -> int | None:
    """Permissions of the file to replace; an error for what a rename must not replace."""
    if not target.parent.is_dir():
        raise FileNotFoundError(
            f"{target}: the folder {target.parent} does not exist; create it first"
        )
    try:
        mode = target.stat().st_mode
    except FileNotFoundError:
        return None
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(f"{target} is a folder; give the path of a file to save to")
    if not stat.S_ISREG(mode):  # a rename over /dev/stdout or a pipe would destroy it
        raise ValueError(f"{target} is not a regular file; give the path of a file to save to")
    return stat.S_IMODE(mode)


def _unlink(path: Path) -> None:
    with contextlib.suppress(OSError):
        path.unlink()


def _sync_folder(folder: Path) -> None:
    # Makes the rename itself durable; not every system or file system can, and the data is safe.
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


# --------------------------------------------------------------------------------------- reading


def read_model(path: PathLike) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Read a model file; runs no code from it and maps the arrays instead of copying them.

    Parameters
    ----------
    path : str or path-like
        A file written by :func:`write_model`.

    Returns
    -------
    meta : dict
        The values given to :func:`write_model`.
    arrays : dict of str to ndarray
        Views into the mapped file; processes that load the same file share its memory. They are
        private to this process: writing to one would change neither the file nor other processes.

    Raises
    ------
    FileNotFoundError
        There is no such file.
    ModelFileError
        The file is foreign, truncated, altered or written by a newer udt.
    """
    path = os.fspath(path)
    if not stat.S_ISREG(os.stat(path).st_mode):
        what = "is a folder" if os.path.isdir(path) else "is not a regular file"
        _refuse(path, what, _FOREIGN)
    with open(path, "rb") as file:
        if os.fstat(file.fileno()).st_size == 0:
            _refuse(path, "is empty", _FOREIGN)
        data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
    start, entries = _parse_header(path, data)
    meta = _parse_metadata(path, entries.pop("__metadata__", None))
    arrays = _map_arrays(path, data, start, entries)
    _verify_checksum(path, data, start)
    return meta, arrays


@contextlib.contextmanager
def reading(path: PathLike) -> Iterator[None]:
    """Turn what goes wrong while a model is put together into a ModelFileError naming the file.

    Examples
    --------
    >>> with reading("my.udt"):
    ...     {}["params"]
    Traceback (most recent call last):
    udt.persistence.ModelFileError: my.udt: is damaged: KeyError('params'). Copy it again ...
    """
    try:
        yield
    except (LookupError, TypeError, ValueError) as error:
        _refuse(path, f"is damaged: {error!r}", _DAMAGED)


def _parse_header(path: str, data: mmap.mmap) -> tuple[int, dict[str, Any]]:
    """Give the offset at which the arrays start, and the header as a dict."""
    length = int.from_bytes(data[:8], "little")
    ours = data[8 : 8 + len(_PREFIX)] == _PREFIX
    if len(data) < 8 or length > min(len(data) - 8, _MAX_HEADER):
        if ours:
            _refuse(path, "is truncated or damaged: its header is not complete", _DAMAGED)
        _refuse(path, f"is not a udt model{_guess(data[:8])}", _FOREIGN)
    try:
        entries = json.loads(data[8 : 8 + length])
    except (ValueError, RecursionError):
        entries = None
    if not isinstance(entries, dict):
        if ours:
            _refuse(path, "is damaged: its header is not valid JSON", _DAMAGED)
        _refuse(path, f"is not a udt model{_guess(data[:8])}", _FOREIGN)
    return 8 + length, entries


def _guess(first: bytes) -> str:
    kinds = {
        b"PK\x03\x04": "a zip archive",
        b"\x80": "a pickle",
        b"\x1f\x8b": "a gzip file",
        b"PAR1": "a Parquet file",
        b"\x93NUMPY": "a NumPy file",
        b"\x89HDF": "an HDF5 file",
    }
    for magic, kind in kinds.items():
        if first.startswith(magic):
            return f" but {kind}"
    return ""


def _parse_metadata(path: str, metadata: object) -> dict[str, Any]:
    if not isinstance(metadata, dict) or FORMAT_NAME not in metadata:
        _refuse(path, "is a safetensors file but not a udt model", _FOREIGN)
    try:
        about = json.loads(metadata[FORMAT_NAME])
    except (TypeError, ValueError, RecursionError):
        about = None
    if not isinstance(about, dict) or about.get("format") != FORMAT_NAME:
        _refuse(path, "is damaged: its metadata is not the JSON of a udt model", _DAMAGED)
    version = about.get("format_version")
    if not isinstance(version, int) or isinstance(version, bool) or version < 1:
        _refuse(path, f"is damaged: format_version={version!r}", _DAMAGED)
    if version < FORMAT_VERSION:
        _refuse(
            path,
            f"was written by an older udt ({about.get('udt_version')}, format {version}; this one "
            f"reads {FORMAT_VERSION})",
            "Fit and save the model again.",
        )
    if version > FORMAT_VERSION:
        _refuse(
            path,
            f"was written by a newer udt ({about.get('udt_version')}, format {version}; "
            f"this one reads {FORMAT_VERSION})",
            "Run `pip install --upgrade udt`.",
        )
    meta = about.get("meta")
    if not isinstance(meta, dict):
        _refuse(path, "is damaged: its metadata lacks 'meta'", _DAMAGED)
    with reading(path):
        return {key: unpack(value) for key, value in meta.items()}


def _map_arrays(
    path: str, data: mmap.mmap, start: int, entries: dict[str, Any]
) -> dict[str, np.ndarray]:
    arrays = {}
    end = start
    for name, (begin, stop), dtype, shape in sorted(
        (_parse_entry(path, name, entry) for name, entry in entries.items()),
        key=lambda entry: entry[1],
    ):
        if start + begin != end or start % dtype.itemsize or begin % dtype.itemsize:
            _refuse(path, f"is damaged: array {name!r} is not where it should be", _DAMAGED)
        end = start + stop
        if end > len(data):
            _refuse(path, f"is truncated: array {name!r} ends after the file does", _DAMAGED)
        array: np.ndarray = np.ndarray(shape, dtype, buffer=data, offset=start + begin)
        arrays[name] = array.astype(dtype.newbyteorder("="), copy=False)
    if end != len(data):
        _refuse(path, f"is damaged: {len(data) - end} bytes follow its last array", _DAMAGED)
    return arrays


def _parse_entry(
    path: str, name: str, entry: object
) -> tuple[str, tuple[int, int], np.dtype[Any], tuple[int, ...]]:
    try:
        fields: Any = entry
        dtype = np.dtype(_DTYPES[fields["dtype"]])
        shape = tuple(fields["shape"])
        begin, end = fields["data_offsets"]
        sound = all(type(n) is int and n >= 0 for n in (*shape, begin, end))
        sound = sound and math.prod(shape) * dtype.itemsize == end - begin
        # What numpy can address: (0, 2**62) holds no byte and is still too big an array.
        sound = sound and len(shape) <= 32 and math.prod(max(n, 1) for n in shape) < 2**59
    except (KeyError, TypeError, ValueError):
        sound = False
    if not sound:
        _refuse(path, f"is damaged: the header's entry for array {name!r} is wrong", _DAMAGED)
    return name, (begin, end), dtype, shape


def _verify_checksum(path: str, data: mmap.mmap, start: int) -> None:
    header = data[8:start]
    digits = len(_PREFIX)
    stored = header[digits : digits + len(_NO_CRC)]
    blank = header[:digits] + _NO_CRC + header[digits + len(_NO_CRC) :]
    crc = zlib.crc32(blank, zlib.crc32(data[:8]))
    with memoryview(data) as view, view[start:] as rest:
        crc = zlib.crc32(rest, crc)
    if not header.startswith(_PREFIX) or stored != b"%08x" % crc:
        _refuse(path, "is damaged: its checksum does not match its content", _DAMAGED)
