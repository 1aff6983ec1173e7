"""Read one plane of an image: its facts from the header, or its pixels with the hash of the file.

TIFF, PNG and JPEG are recognised by content: a PNG named .tif is read. An address may also be a Zarr array
(`zarrs`), a maximum projection (`projections`) or a vendor's file (`vendor`). Numbers other than 8-bit and 16-bit are
brought to these by the rules of `values`. Whatever is wrong ends as `UnreadableImage`.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import BinaryIO

import numpy as np

from imaging.reading import jpeg, png, projections, tiff, vendor, zarrs
from imaging.reading.problems import (
    COPY_AGAIN,
    CUT_SHORT,
    MAX_FILE_BYTES,
    MAX_PIXELS,
    UnreadableImage,
    check_file_size,
    reasons_for,
)
from imaging.reading.storage import local_path, open_file, read_bytes
from imaging.reading.tiff import Header
from imaging.reading.values import convert

__all__ = [
    "MAX_FILE_BYTES",
    "MAX_PIXELS",
    "Plane",
    "PlaneFacts",
    "UnreadableImage",
    "inspect",
    "local_path",
    "open_file",
    "read_bytes",
    "read_pixels",
    "read_plane",
    "reasons_for",
]


@dataclass(frozen=True)
class PlaneFacts:
    """What the header says: pixels across and down, bits of the plane that is measured (8 or 16), pages, file size.

    `stored_as` names the file's own numbers (uint16, float32, 12-bit ...). Of the first page of a file of several: how
    many from it on are alike (`n_slices`), and the channels and timepoints that its own description claims.
    """

    width: int
    height: int
    bit_depth: int
    n_pages: int
    size_bytes: int
    stored_as: str = field(default="", compare=False)
    n_slices: int = field(default=1, compare=False)
    n_channels: int = field(default=1, compare=False)
    n_timepoints: int = field(default=1, compare=False)


@dataclass(frozen=True, eq=False)
class Plane:
    """Pixels (H, W), uint8 or uint16, C-contiguous; the largest value the container holds (255 or 65535);
    the SHA-256 (hex) and the number of bytes of the whole file.

    `scaling` says how the file's numbers became these, empty when they are the same: planes whose scaling differs
    must not be compared. `share_filled` is the share of pixels (0 to 0.01) that had no number and got the median.
    For Zarr the hash and the size are those of the plane's own unpacked numbers; for a projection the hash is that
    of its slices' hashes and the size their sum.
    """

    pixels: np.ndarray
    container_max: int
    sha256: str
    size_bytes: int
    scaling: str = ""
    share_filled: float = 0.0


def inspect(uri: str, page: int = 0) -> PlaneFacts:
    """Facts of one plane from the headers alone, under 2 ms for a grey TIFF on a local disk; page counts from 0.

    Raises UnreadableImage when the file is missing, empty, cut short, no image, or of a kind not measured.
    Damage inside compressed pixels, and numbers that make no picture, are only found by `read_plane`.
    """
    with reasons_for(uri):
        if projections.is_projection(uri):
            return inspect_projection(projections.slices_of(uri))
        if zarrs.is_zarr(uri):
            header, size_bytes = zarrs.zarr_header(uri, page)
            return facts_from(header, size_bytes)
        with open_file(uri) as stream:
            size_bytes = stream.seek(0, os.SEEK_END)
            return facts_from(header_of(stream, size_bytes, page, uri), size_bytes)


def read_plane(uri: str, page: int = 0) -> Plane:
    """Pixels of one plane and the hash of its file, in one read of the file; page counts from 0.

    MinIsWhite is inverted, so that more light is always a higher number. A TIFF palette is display only: the
    pixels are the camera's values. Raises UnreadableImage, with a reason for a scientist, and nothing else.
    """
    with reasons_for(uri):
        pixels, identity = _decoded(uri, page)
        sha256, size_bytes = identity()
        plane, scaling, share_filled = convert(pixels)
        return Plane(plane, int(np.iinfo(plane.dtype).max), sha256, size_bytes, scaling, share_filled)


def read_pixels(uri: str, page: int = 0) -> np.ndarray:
    """Pixels of one plane as `read_plane` gives them, without waiting for the hash: for looking at."""
    with reasons_for(uri):
        return convert(_decoded(uri, page)[0])[0]


def _decoded(uri: str, page: int) -> tuple[np.ndarray, Callable[[], tuple[str, int]]]:
    """Pixels as the file has them, and what finds the hash (hex) and the number of bytes of what was read."""
    if projections.is_projection(uri):
        pixels, sha256, size_bytes = read_projection(projections.slices_of(uri))
        return pixels, lambda: (sha256, size_bytes)
    if zarrs.is_zarr(uri):
        pixels = zarrs.decode_zarr(uri, page)
        return pixels, lambda: (hash_of_numbers(pixels), pixels.nbytes)
    data = read_bytes(uri)
    return decode(data, page, uri), lambda: (hashlib.sha256(data).hexdigest(), len(data))


def facts_from(header: Header, size_bytes: int) -> PlaneFacts:
    """A header and the size of its file as facts."""
    return PlaneFacts(
        header.width,
        header.height,
        header.bit_depth,
        header.n_pages,
        size_bytes,
        header.stored_as,
        header.n_slices,
        header.n_channels,
        header.n_timepoints,
    )


def image_kind(start: bytes, size_bytes: int, uri: str) -> str:
    """ "tiff", "png", "jpeg" or "vendor", by content first. UnreadableImage when the file is empty or none."""
    check_file_size(size_bytes)
    if start.startswith(tiff.SIGNATURES):
        return "tiff"
    if start.startswith(png.SIGNATURE):
        return "png"
    if start.startswith(jpeg.SIGNATURE):
        return "jpeg"
    if vendor.is_vendor_format(uri):
        return "vendor"
    raise UnreadableImage(reason_for_content(start))


def reason_for_content(start: bytes) -> str:
    """Why a file that begins like this is not measured."""
    if not start.strip(b"\x00"):
        return f"holds only zeros where an image begins; {COPY_AGAIN}"
    if any(signature.startswith(start) for signature in (*tiff.SIGNATURES, png.SIGNATURE, jpeg.SIGNATURE)):
        return CUT_SHORT
    if not start.translate(None, bytes(range(32, 127)) + b"\t\r\n"):
        return f"holds text, not an image; {COPY_AGAIN}"
    return "is not a TIFF, PNG or JPEG image, whatever its name says; export it as one of these"


def header_of(stream: BinaryIO, size_bytes: int, page: int, uri: str) -> Header:
    """Facts of a page of an open file."""
    stream.seek(0)
    kind = image_kind(stream.read(512), size_bytes, uri)
    stream.seek(0)
    if kind == "tiff":
        return tiff.tiff_header(stream, size_bytes, page)
    if kind == "png":
        return png.png_header(stream, size_bytes, page)
    if kind == "jpeg":
        return jpeg.jpeg_header(stream.read(), page)
    return vendor.vendor_header(uri, page)


def decode(data: bytes, page: int, uri: str) -> np.ndarray:
    """Pixels (H, W) of a page in the file's own number type."""
    kind = image_kind(data[:512], len(data), uri)
    if kind == "tiff":
        return tiff.decode_tiff(data, page)
    if kind == "png":
        return png.decode_png(data, page)
    if kind == "jpeg":
        return jpeg.decode_jpeg(data, page)
    return vendor.decode_vendor(uri, page)


def hash_of_numbers(pixels: np.ndarray) -> str:
    """SHA-256 of a plane's shape, number type and little-endian numbers, for what is not one file."""
    little = np.ascontiguousarray(pixels, dtype=pixels.dtype.newbyteorder("<"))
    digest = hashlib.sha256(f"{little.shape} {little.dtype.str} ".encode())
    digest.update(little.tobytes())
    return digest.hexdigest()


# Projections


def inspect_projection(slices: list[projections.Slice]) -> PlaneFacts:
    """Facts that all slices share; the size is that of all files together."""
    facts = []
    for uri, page in slices:
        with reason_of_slice(uri, page):
            facts.append(inspect(uri, page))
    first = facts[0]
    if any((fact.width, fact.height, fact.stored_as) != (first.width, first.height, first.stored_as) for fact in facts):
        raise UnreadableImage("has slices of different sizes or number types")
    sizes = {uri: fact.size_bytes for (uri, _), fact in zip(slices, facts, strict=True)}
    return PlaneFacts(first.width, first.height, first.bit_depth, 1, sum(sizes.values()), first.stored_as)


def read_projection(slices: list[projections.Slice]) -> tuple[np.ndarray, str, int]:
    """The highest of all slices at each pixel, in the files' own numbers; the hash and the size."""
    highest: np.ndarray | None = None
    files: dict[str, tuple[bytes, str]] = {}
    digest, size_bytes = hashlib.sha256(), 0
    for uri, page in slices:
        with reason_of_slice(uri, page):
            if zarrs.is_zarr(uri):
                pixels = zarrs.decode_zarr(uri, page)
                sha256 = hash_of_numbers(pixels)
                size_bytes += pixels.nbytes
            else:
                if uri not in files:
                    data = read_bytes(uri)
                    files = {uri: (data, hashlib.sha256(data).hexdigest())}  # one file in memory at a time
                    size_bytes += len(data)
                data, sha256 = files[uri]
                pixels = decode(data, page, uri)
        digest.update(f"{sha256}:{page}\n".encode())
        if highest is None:
            highest = pixels.copy()
        elif highest.shape != pixels.shape or highest.dtype != pixels.dtype:
            raise UnreadableImage("has slices of different sizes or number types")
        else:
            np.fmax(highest, pixels, out=highest)  # a slice without a number does not hide another's
    if highest is None:
        raise UnreadableImage("is a projection of no slices")
    return highest, digest.hexdigest(), size_bytes


@contextmanager
def reason_of_slice(uri: str, page: int) -> Iterator[None]:
    """Say which slice of a projection cannot be read."""
    try:
        with reasons_for(uri):
            yield
    except UnreadableImage as reason:
        name = uri.removesuffix(zarrs.MARK).rsplit("/", 1)[-1] + (f" page {page + 1}" if page else "")
        raise UnreadableImage(f"needs {name}, which {reason}", uri) from reason
