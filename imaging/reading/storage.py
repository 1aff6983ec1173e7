"""Bytes from a local path or any fsspec address."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO

import fsspec

from imaging.reading import s3
from imaging.reading.problems import UnreadableImage, check_file_size

# Headers and indexes begin or end a file; fsspec would fetch 5 or 50 MB for the first byte.
BLOCK_BYTES = 2**16


def local_path(uri: str) -> str | None:
    """The path when the URI is on this computer's file system, None when it is on other storage."""
    if uri.startswith("file://"):
        return uri.removeprefix("file://")
    return None if "://" in uri else uri


def filesystem_of(uri: str) -> tuple[Any, str]:
    """The fsspec file system of an address on other storage, and the path in it.

    fsspec keeps one for each thread and, after a fork, for each process: files of one storage share its client.
    """
    return fsspec.core.url_to_fs(uri, **s3.options_of(uri))


@contextmanager
def open_file(uri: str) -> Iterator[BinaryIO]:
    """The file, open for reading bytes and seeking."""
    path = local_path(uri)
    if path is not None:
        with open(path, "rb") as stream:
            yield stream
    else:
        with storage_answers(), s3.refusals_told(uri):
            filesystem, remote_path = filesystem_of(uri)
            stream = filesystem.open(remote_path, "rb", block_size=BLOCK_BYTES)
        with stream, s3.refusals_told(uri):
            yield stream


@contextmanager
def storage_answers() -> Iterator[None]:
    """Keep a storage's own errors apart from those of decoding: the file need not be damaged."""
    try:
        yield
    except (OSError, MemoryError, UnreadableImage):
        raise
    except (ImportError, ValueError) as error:
        reason = "is on a kind of storage this installation has no driver for"
        raise UnreadableImage(reason) from error
    except Exception as error:  # each storage driver has its own
        raise UnreadableImage("could not be read from its storage; try again") from error


def read_bytes(uri: str) -> bytes:
    """All bytes of the file, in one read."""
    path = local_path(uri)
    if path is None:
        with storage_answers(), s3.refusals_told(uri):
            filesystem, remote_path = filesystem_of(uri)
            data = filesystem.cat_file(remote_path)
        check_file_size(len(data))
        return data
    with open(path, "rb") as stream:
        check_file_size(os.fstat(stream.fileno()).st_size)
        return stream.read()
