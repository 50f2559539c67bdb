"""Files from the network, each checked against a published checksum before anyone reads it."""

from __future__ import annotations

import hashlib
import logging
import os
import urllib.request
import uuid
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path

__all__ = ["DataHome", "RemoteFile", "find_file", "get_data_home"]

DataHome = str | os.PathLike[str] | None

logger = logging.getLogger(__name__)

_CHUNK_BYTES = 1 << 20
_TIMEOUT_SECONDS = 60


@dataclass(frozen=True)
class RemoteFile:
    """A file, where it lies, and its checksum.

    Parameters
    ----------
    name : str
        How it is called on disk.
    url : str
        Where it can be downloaded.
    checksum : str
        "sha256:..." or "md5:...".
    published : str
        Where this address and checksum can be read.
    """

    name: str
    url: str
    checksum: str
    published: str


def get_data_home(data_home: DataHome = None) -> Path:
    """Give the folder of the data sets, each of which has a folder in it.

    Parameters
    ----------
    data_home : path-like or None, default=None
        None stands for the environment variable ``UDT_DATA_HOME``, and without it for
        ``~/udt_data``. The folder is not created.

    Examples
    --------
    >>> from udt.datasets import get_data_home
    >>> get_data_home("data").name
    'data'
    """
    if data_home is None:
        data_home = os.environ.get("UDT_DATA_HOME") or "~/udt_data"
    return Path(data_home).expanduser()


def find_file(remote: RemoteFile, folder: Path, download_if_missing: bool) -> Path:
    """Give the path of a file in ``folder``, which is downloaded first if it is not there.

    The file is checked in either case, and a download comes under its name only when it is whole.

    Raises
    ------
    FileNotFoundError
        It is missing, and not to be downloaded.
    OSError
        The download failed, or the checksum is not the published one.
    """
    path = folder / remote.name
    if not path.exists():
        if not download_if_missing:
            raise FileNotFoundError(
                f"{path} does not exist, and download_if_missing=False. {_by_hand(remote, folder)}"
            )
        _download(remote, path)
    elif (found := _checksum(path, remote)) != remote.checksum:
        raise OSError(
            f"{path} has the checksum {found}, but {remote.checksum} is published at "
            f"{remote.published}: the file is damaged or another one. Delete it to download it "
            "again."
        )
    return path


def _download(remote: RemoteFile, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    logger.info("Downloading %s to %s", remote.url, path)
    # A name of its own, for another process may be downloading the same file.
    part = path.with_name(f"{path.name}.{uuid.uuid4().hex}.part")
    try:
        try:
            with (
                part.open("xb") as file,
                urllib.request.urlopen(remote.url, timeout=_TIMEOUT_SECONDS) as answer,
            ):
                while chunk := answer.read(_CHUNK_BYTES):
                    file.write(chunk)
        except (OSError, HTTPException) as error:
            raise OSError(
                f"{remote.url} could not be downloaded: {error}. {_by_hand(remote, path.parent)}"
            ) from error
        found = _checksum(part, remote)
        if found != remote.checksum:
            raise OSError(
                f"What {remote.url} gave has the checksum {found}, but {remote.checksum} is "
                f"published at {remote.published}. It was not kept: try again, or look whether the "
                "file was replaced there."
            )
        os.replace(part, path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def _checksum(path: Path, remote: RemoteFile) -> str:
    kind = remote.checksum.partition(":")[0]
    with path.open("rb") as file:
        return f"{kind}:{hashlib.file_digest(file, kind).hexdigest()}"


def _by_hand(remote: RemoteFile, folder: Path) -> str:
    return f"By hand: put what {remote.url} gives into {folder} as {remote.name}."
