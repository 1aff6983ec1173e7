"""Read one plane of an image file: its facts from the header, or its pixels with the hash of the file.

TIFF and PNG, recognised by content: a PNG named .tif is read. Grey pictures of 8 or 16 bits only, because
one file (or one page of it) is one channel. Whatever is wrong with a file ends as `UnreadableImage`.
"""

import hashlib
import io
import logging
import os
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import BinaryIO, NamedTuple

import fsspec
import imagecodecs
import numpy as np
import tifffile

# Five times the largest camera field in use (5120 x 5120), and 268 MB as uint16: beyond it a header is
# damaged or hostile, and believing it would take the worker's memory.
MAX_PIXELS = 2**27
# The whole file is held in memory while it is hashed and decoded.
MAX_FILE_BYTES = 2**31

TIFF_SIGNATURES = (b"II*\x00", b"MM\x00*", b"II+\x00", b"MM\x00+")
PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
PNG_END = b"\x00\x00\x00\x00IEND\xaeB`\x82"
SIGNED_SAMPLES, FLOAT_SAMPLES = 2, 3
# None, LZW, deflate (two codes), PackBits, LZMA, Zstandard (two codes). Picture codecs (JPEG, JPEG 2000, ...)
# carry a size of their own, which decoders believe: damaged bytes took 3 GB and 7 s in a trial.
TIFF_COMPRESSIONS = {1, 5, 8, 32946, 32773, 34925, 34926, 50000}
MINISWHITE, MINISBLACK, PALETTE = 0, 1, 3

COPY_AGAIN = "copy it again from the microscope"
CUT_SHORT = f"is cut short: a part of the picture is missing; {COPY_AGAIN}"
DAMAGED = f"is damaged: its content cannot be decoded; {COPY_AGAIN}"
COLOUR = "is a colour picture; cellqc measures one channel per file, so export each channel by itself"

# tifffile logs what it dislikes in a file; the reason we give says it once, and to the right person.
logging.getLogger("tifffile").addHandler(logging.NullHandler())


class UnreadableImage(Exception):
    """Why a file cannot be measured, for a scientist: the words that follow the file's name in a sentence.

    `str(error)` is such as "is empty (0 bytes); copy it again from the microscope"; `uri` names the file.
    """

    def __init__(self, reason: str, uri: str = "") -> None:
        super().__init__(reason)  # only the reason: the error must survive pickling between processes
        self.uri = uri


@dataclass(frozen=True)
class PlaneFacts:
    """What the header says: pixels across and down, bits of the container (8 or 16), pages, file size."""

    width: int
    height: int
    bit_depth: int
    n_pages: int
    size_bytes: int


@dataclass(frozen=True, eq=False)
class Plane:
    """Pixels (H, W), uint8 or uint16, C-contiguous; the largest value the container holds (255 or 65535);
    the SHA-256 (hex) and the number of bytes of the whole file."""

    pixels: np.ndarray
    container_max: int
    sha256: str
    size_bytes: int


class Header(NamedTuple):
    """What is known of a plane before its pixels are decoded."""

    width: int
    height: int
    bit_depth: int
    n_pages: int


def inspect(uri: str, page: int = 0) -> PlaneFacts:
    """Facts of one plane from the headers alone, under 2 ms on a local disk; page counts from 0.

    Raises UnreadableImage when the file is missing, empty, cut short, no image, or of a kind not measured.
    Damage inside the compressed pixels is only found by `read_plane`.
    """
    with reasons_for(uri), open_file(uri) as stream:
        size_bytes = stream.seek(0, os.SEEK_END)
        if image_kind(stream, size_bytes) == "png":
            header = png_header(stream, size_bytes, page)
        else:
            with tifffile.TiffFile(stream) as tiff:
                n_pages = len(tiff.pages)
                header = tiff_header(tiff_page(tiff, page), size_bytes, n_pages)
        return PlaneFacts(header.width, header.height, header.bit_depth, header.n_pages, size_bytes)


def read_plane(uri: str, page: int = 0) -> Plane:
    """Pixels of one plane and the hash of its file, in one read of the file; page counts from 0.

    MinIsWhite is inverted, so that more light is always a higher number. A TIFF palette is display only: the
    pixels are the camera's values. Raises UnreadableImage, with a reason for a scientist, and nothing else.
    """
    with reasons_for(uri):
        data = read_bytes(uri)
        stream = io.BytesIO(data)
        if image_kind(stream, len(data)) == "png":
            pixels = decode_png(data, page)
        else:
            pixels = decode_tiff(stream, len(data), page)
        container_max = int(np.iinfo(pixels.dtype).max)
        return Plane(pixels, container_max, hashlib.sha256(data).hexdigest(), len(data))


@contextmanager
def reasons_for(uri: str) -> Iterator[None]:
    """Turn whatever goes wrong with this file into UnreadableImage with a reason."""
    try:
        yield
    except UnreadableImage as error:
        error.uri = uri
        raise
    except FileNotFoundError as error:
        raise UnreadableImage("is not there; it was moved or deleted since it was listed", uri) from error
    except PermissionError as error:
        raise UnreadableImage("may not be read by this account; ask for read access to its folder", uri) from error
    except IsADirectoryError as error:
        raise UnreadableImage("is a folder, not an image", uri) from error
    except OSError as error:
        reason = error.strerror or "the storage did not answer"
        raise UnreadableImage(f"could not be read from its storage ({reason}); try again", uri) from error
    except MemoryError as error:
        raise UnreadableImage("needs more memory than this computer has free", uri) from error
    except Exception as error:  # decoders raise dozens of kinds, and a damaged file can reach any of them
        raise UnreadableImage(DAMAGED, uri) from error


def local_path(uri: str) -> str | None:
    """The path when the URI is on this computer's file system, None when it is on other storage."""
    if uri.startswith("file://"):
        return uri.removeprefix("file://")
    return None if "://" in uri else uri


@contextmanager
def open_file(uri: str) -> Iterator[BinaryIO]:
    """The file, open for reading bytes and seeking."""
    path = local_path(uri)
    if path is not None:
        with open(path, "rb") as stream:
            yield stream
    else:
        with storage_answers():
            filesystem, remote_path = fsspec.core.url_to_fs(uri)
            stream = filesystem.open(remote_path, "rb")
        with stream:
            yield stream


@contextmanager
def storage_answers() -> Iterator[None]:
    """Keep a storage's own errors apart from those of decoding: the file need not be damaged."""
    try:
        yield
    except (OSError, MemoryError):
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
        with storage_answers():
            filesystem, remote_path = fsspec.core.url_to_fs(uri)
            return filesystem.cat_file(remote_path)
    with open(path, "rb") as stream:
        size_bytes = os.fstat(stream.fileno()).st_size
        if size_bytes > MAX_FILE_BYTES:
            raise UnreadableImage(f"is {size_bytes / 1e9:.1f} GB; cellqc reads files up to 2 GB")
        return stream.read()


def image_kind(stream: BinaryIO, size_bytes: int) -> str:
    """ "tiff" or "png", by content. Raises UnreadableImage when the file is empty or neither."""
    if size_bytes == 0:
        raise UnreadableImage(f"is empty (0 bytes); {COPY_AGAIN}")
    stream.seek(0)
    start = stream.read(512)
    stream.seek(0)
    if start.startswith(TIFF_SIGNATURES):
        return "tiff"
    if start.startswith(PNG_SIGNATURE):
        return "png"
    raise UnreadableImage(reason_for_content(start))


def reason_for_content(start: bytes) -> str:
    """Why a file that begins like this is not measured."""
    if not start.strip(b"\x00"):
        return f"holds only zeros where an image begins; {COPY_AGAIN}"
    if any(signature.startswith(start) for signature in (*TIFF_SIGNATURES, PNG_SIGNATURE)):
        return CUT_SHORT
    if start.startswith(b"\xff\xd8\xff"):
        return "is a JPEG picture, which loses detail; export it as TIFF or PNG"
    if not start.translate(None, bytes(range(32, 127)) + b"\t\r\n"):
        return f"holds text, not an image; {COPY_AGAIN}"
    return "is not a TIFF or PNG image, whatever its name says; export it as one of these"


def check_size(width: int, height: int) -> None:
    """Raise UnreadableImage unless width x height is a picture a camera could have taken."""
    if width < 1 or height < 1:
        raise UnreadableImage("has no pixels")
    if width * height > MAX_PIXELS:
        raise UnreadableImage(
            f"claims {width} x {height} pixels; cellqc reads up to {MAX_PIXELS // 10**6} million, "
            "so its header is damaged or it is not one field of view"
        )


def no_such_page(page: int, n_pages: int) -> UnreadableImage:
    """The error for a page the file does not have."""
    pages = "1 page" if n_pages == 1 else f"{n_pages} pages"
    return UnreadableImage(f"has {pages}; page {page + 1} is not there")


# TIFF


def tiff_page(tiff: tifffile.TiffFile, page: int) -> tifffile.TiffPage:
    """One page, counted from 0. Raises UnreadableImage when the file does not have it."""
    try:
        found = tiff.pages[page] if page >= 0 else None
    except IndexError:
        found = None
    if found is None:
        n_pages = len(tiff.pages)
        raise no_such_page(page, n_pages) if n_pages else UnreadableImage(CUT_SHORT)
    return found.aspage()


def tiff_header(page: tifffile.TiffPage, size_bytes: int, n_pages: int) -> Header:
    """Facts of a page cellqc can measure; UnreadableImage with the reason when it cannot."""
    check_size(page.imagewidth, page.imagelength)
    check_tiff_samples(page)
    if len(page.shape) != 2:
        raise UnreadableImage("holds a volume in one page; cellqc measures one plane per page")
    check_tiff_complete(page, size_bytes)
    return Header(page.imagewidth, page.imagelength, page.bitspersample, n_pages)


def check_tiff_samples(page: tifffile.TiffPage) -> None:
    """Raise UnreadableImage unless the page is grey, unsigned, and of 8 or 16 bits."""
    if page.samplesperpixel != 1 or page.photometric not in (MINISWHITE, MINISBLACK, PALETTE):
        raise UnreadableImage(COLOUR)
    bits = page.bitspersample
    if page.sampleformat == FLOAT_SAMPLES:
        raise UnreadableImage(f"holds {bits}-bit floating-point numbers; cellqc reads 8-bit and 16-bit images")
    if page.sampleformat == SIGNED_SAMPLES:
        raise UnreadableImage(f"holds signed {bits}-bit numbers; cellqc reads unsigned 8-bit and 16-bit images")
    if bits not in (8, 16):
        raise UnreadableImage(f"is a {bits}-bit image; cellqc reads 8-bit and 16-bit images")
    if page.compression not in TIFF_COMPRESSIONS:
        name = getattr(page.compression, "name", str(page.compression)).replace("_", " ")
        raise UnreadableImage(f"is compressed as {name}; export it uncompressed, or with LZW or deflate")
    if page.dtype not in (np.uint8, np.uint16):
        raise UnreadableImage("holds numbers of a kind cellqc does not read; it reads 8-bit and 16-bit images")


def check_tiff_complete(page: tifffile.TiffPage, size_bytes: int) -> None:
    """Raise UnreadableImage unless every strip or tile is listed and lies inside the file."""
    n_expected = int(np.prod(page.chunked, dtype=np.int64))
    if int(np.prod(page.chunks, dtype=np.int64)) > MAX_PIXELS:
        raise UnreadableImage(DAMAGED)
    offsets, counts = page.dataoffsets, page.databytecounts
    if min(len(offsets), len(counts)) < n_expected:
        raise UnreadableImage(CUT_SHORT)
    # An offset or count of 0 is an unwritten strip, which tifffile would show as black.
    for offset, count in zip(offsets, counts, strict=False):
        if offset <= 0 or count <= 0 or offset + count > size_bytes:
            raise UnreadableImage(CUT_SHORT)
    if page.compression == 1 and sum(counts) < page.imagewidth * page.imagelength * (page.bitspersample // 8):
        raise UnreadableImage(CUT_SHORT)


def decode_tiff(stream: BinaryIO, size_bytes: int, page_index: int) -> np.ndarray:
    """Pixels (H, W) of one page, native uint8 or uint16, C-contiguous, more light higher."""
    with tifffile.TiffFile(stream) as tiff:
        page = tiff_page(tiff, page_index)
        header = tiff_header(page, size_bytes, n_pages=1)
        # One thread: the executor already uses a process per core.
        pixels = page.asarray(maxworkers=1)
        # tifffile also says MinIsWhite when the tag is absent; then the numbers are as they look.
        is_inverted = page.photometric == MINISWHITE and "PhotometricInterpretation" in page.tags
    return native_plane(~pixels if is_inverted else pixels, header)


def native_plane(pixels: np.ndarray, header: Header) -> np.ndarray:
    """The pixels in native byte order and C order; UnreadableImage when they are not what the header said."""
    if pixels.shape != (header.height, header.width) or pixels.dtype.itemsize * 8 != header.bit_depth:
        raise UnreadableImage(DAMAGED)
    return np.ascontiguousarray(pixels, dtype=np.uint8 if header.bit_depth == 8 else np.uint16)


# PNG


def png_header(stream: BinaryIO, size_bytes: int, page: int) -> Header:
    """Facts of a PNG cellqc can measure; UnreadableImage with the reason when it cannot."""
    stream.seek(0)
    start = stream.read(33)
    if len(start) < 33:
        raise UnreadableImage(CUT_SHORT)
    if start[12:16] != b"IHDR":
        raise UnreadableImage(DAMAGED)
    width, height, bits, colour_type = struct.unpack(">IIBB", start[16:26])
    check_size(width, height)
    if colour_type != 0:
        has_alpha = colour_type == 4
        raise UnreadableImage("has a transparency channel; export it without" if has_alpha else COLOUR)
    if bits not in (8, 16):
        raise UnreadableImage(f"is a {bits}-bit image; cellqc reads 8-bit and 16-bit images")
    if page != 0:
        raise no_such_page(page, n_pages=1)
    if not has_png_end(stream, size_bytes):
        raise UnreadableImage(CUT_SHORT)
    return Header(width, height, bits, n_pages=1)


def has_png_end(stream: BinaryIO, size_bytes: int) -> bool:
    """Whether the chunks lead to the end mark; some programs append bytes after it."""
    stream.seek(-min(size_bytes, len(PNG_END)), os.SEEK_END)
    if stream.read() == PNG_END:
        return True
    place = len(PNG_SIGNATURE)
    while place + len(PNG_END) <= size_bytes:
        stream.seek(place)
        length, kind = struct.unpack(">I4s", stream.read(8))
        if kind == b"IEND":
            return True
        place += length + 12
    return False


def has_sound_png_chunks(data: bytes) -> bool:
    """Whether every chunk up to the end mark agrees with its checksum."""
    view = memoryview(data)
    place = len(PNG_SIGNATURE)
    while place + len(PNG_END) <= len(data):
        length, kind = struct.unpack_from(">I4s", data, place)
        end = place + 8 + length
        if end + 4 > len(data) or zlib.crc32(view[place + 4 : end]) != struct.unpack_from(">I", data, end)[0]:
            return False
        if kind == b"IEND":
            return True
        place = end + 4
    return False


def decode_png(data: bytes, page: int) -> np.ndarray:
    """Pixels (H, W) of a grey PNG, native uint8 or uint16, C-contiguous."""
    header = png_header(io.BytesIO(data), len(data), page)
    if not has_sound_png_chunks(data):  # the decoder does not check, and would show what it finds
        raise UnreadableImage(DAMAGED)
    pixels = imagecodecs.png_decode(data)
    if pixels.ndim != 2:
        raise UnreadableImage("has a transparency channel; export it without")
    return native_plane(pixels, header)
