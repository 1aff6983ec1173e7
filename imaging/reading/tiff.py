"""TIFF: one page is one plane."""

import io
import logging
import re
from typing import BinaryIO, NamedTuple

import numpy as np
import tifffile

from imaging.reading.problems import (
    COLOUR,
    CUT_SHORT,
    DAMAGED,
    KINDS,
    MAX_PAGES,
    MAX_PIXELS,
    UnreadableImage,
    check_size,
    no_such_page,
)
from imaging.reading.values import grey_of_colours, measured_bits

SIGNATURES = (b"II*\x00", b"MM\x00*", b"II+\x00", b"MM\x00+")
UNSIGNED_SAMPLES, SIGNED_SAMPLES, FLOAT_SAMPLES = 1, 2, 3
# None, LZW, deflate (two codes), PackBits, LZMA, Zstandard (two codes). Picture codecs (JPEG, JPEG 2000, ...)
# carry a size of their own, which decoders believe: damaged bytes took 3 GB and 7 s in a trial.
COMPRESSIONS = {1, 5, 8, 32946, 32773, 34925, 34926, 50000}
MINISWHITE, MINISBLACK, RGB, PALETTE = 0, 1, 2, 3
REDUCED = 1  # of NewSubfileType: a smaller copy of another page
# What ImageJ and OME write into the description of a file of several pages.
N_CHANNELS = re.compile(r"^channels=(\d{1,5})\s*$|<(?:\w+:)?Pixels\b[^>]*\bSizeC=[\"'](\d{1,5})[\"']", re.M)
N_TIMEPOINTS = re.compile(r"^frames=(\d{1,5})\s*$|<(?:\w+:)?Pixels\b[^>]*\bSizeT=[\"'](\d{1,5})[\"']", re.M)

# tifffile logs what it dislikes in a file; the reason we give says it once, and to the right person.
logging.getLogger("tifffile").addHandler(logging.NullHandler())


class Header(NamedTuple):
    """What is known of a plane before its pixels are decoded."""

    width: int
    height: int
    bit_depth: int
    n_pages: int
    stored_as: str
    n_slices: int = 1
    n_channels: int = 1
    n_timepoints: int = 1


def tiff_header(stream: BinaryIO, size_bytes: int, page: int) -> Header:
    """Facts of a page cellqc can measure; UnreadableImage with the reason when it cannot."""
    with tifffile.TiffFile(stream) as tiff:
        n_pages = len(tiff.pages)
        found = tiff_page(tiff, page)
        check_page(found, size_bytes)
        if found.samplesperpixel == 3:
            colours_as_grey(found)  # only the pixels tell
        # Only the first page tells of the stack: to ask at each page would read all pages for each.
        sizes = stack_sizes(tiff, found) if n_pages > 1 and page == 0 else (1, 1, 1)
        dtype = dtype_of(found)
        return Header(
            found.imagewidth, found.imagelength, measured_bits(dtype), n_pages, stored_as(dtype, found), *sizes
        )


def decode_tiff(data: bytes, page: int) -> np.ndarray:
    """Pixels (H, W) of one page in the file's own number type, more light higher."""
    with tifffile.TiffFile(io.BytesIO(data)) as tiff:
        found = tiff_page(tiff, page)
        check_page(found, len(data))
        if found.samplesperpixel == 3:
            return colours_as_grey(found)
        # One thread: the executor already uses a process per core.
        pixels = found.asarray(maxworkers=1)
        # tifffile also says MinIsWhite when the tag is absent; then the numbers are as they look.
        is_inverted = found.photometric == MINISWHITE and "PhotometricInterpretation" in found.tags
        bits = found.bitspersample
    if pixels.shape != (found.imagelength, found.imagewidth) or pixels.dtype.newbyteorder("=") != found.dtype:
        raise UnreadableImage(DAMAGED)
    return inverted(pixels, bits) if is_inverted else pixels


def inverted(pixels: np.ndarray, bits: int) -> np.ndarray:
    """The plane with more light higher, of a file that writes white as 0."""
    if pixels.dtype.kind == "u":
        return (2**bits - 1 - pixels).astype(pixels.dtype) if bits < 64 else ~pixels
    raise UnreadableImage("is stored as a negative (white is 0) in signed or floating-point numbers; export it again")


def tiff_page(tiff: tifffile.TiffFile, page: int) -> tifffile.TiffPage:
    """One page, counted from 0. Raises UnreadableImage when the file does not have it."""
    try:
        found = tiff.pages[page] if 0 <= page <= MAX_PAGES else None
    except IndexError:
        found = None
    if found is None:
        n_pages = len(tiff.pages)
        raise no_such_page(page, n_pages) if n_pages else UnreadableImage(CUT_SHORT)
    return found.aspage()


def check_page(page: tifffile.TiffPage, size_bytes: int) -> None:
    """Raise UnreadableImage unless the page is one plane cellqc can measure, whole in the file."""
    check_size(page.imagewidth, page.imagelength)
    check_samples(page)
    check_size(page.imagewidth, page.imagelength, dtype_of(page).itemsize * page.samplesperpixel)
    if len(page.shape) != (2 if page.samplesperpixel == 1 else 3):
        raise UnreadableImage("holds a volume in one page; cellqc measures one plane per page")
    check_complete(page, size_bytes)


def check_samples(page: tifffile.TiffPage) -> None:
    """Raise UnreadableImage unless the page is grey (or RGB, which may be grey) and of numbers we read."""
    bits = page.bitspersample
    is_grey = page.samplesperpixel == 1 and page.photometric in (MINISWHITE, MINISBLACK, PALETTE)
    may_be_grey = page.samplesperpixel == 3 and page.photometric == RGB and bits in (8, 16)
    if not (is_grey or may_be_grey):
        raise UnreadableImage(COLOUR)
    known_bits = {
        UNSIGNED_SAMPLES: (*range(8, 17), 32, 64),
        SIGNED_SAMPLES: (8, 16, 32, 64),
        FLOAT_SAMPLES: (16, 32, 64),
    }
    if page.sampleformat not in known_bits:
        raise UnreadableImage(f"holds numbers of a kind cellqc does not read; {KINDS}")
    if bits not in known_bits[page.sampleformat]:
        raise UnreadableImage(f"is a {bits}-bit image; {KINDS}")
    if page.compression not in COMPRESSIONS:
        name = getattr(page.compression, "name", str(page.compression)).replace("_", " ")
        raise UnreadableImage(f"is compressed as {name}; export it uncompressed, or with LZW or deflate")
    dtype_of(page)


def dtype_of(page: tifffile.TiffPage) -> np.dtype:
    """The number type of a page. UnreadableImage when it is none we read."""
    if page.dtype is None or page.dtype.kind not in "uif":
        raise UnreadableImage(f"holds numbers of a kind cellqc does not read; {KINDS}")
    return page.dtype


def check_complete(page: tifffile.TiffPage, size_bytes: int) -> None:
    """Raise UnreadableImage unless every strip or tile is listed and lies inside the file."""
    n_expected = int(np.prod(page.chunked, dtype=np.int64))
    if int(np.prod(page.chunks, dtype=np.int64)) > MAX_PIXELS * page.samplesperpixel:
        raise UnreadableImage(DAMAGED)
    offsets, counts = page.dataoffsets, page.databytecounts
    if min(len(offsets), len(counts)) < n_expected:
        raise UnreadableImage(CUT_SHORT)
    # An offset or count of 0 is an unwritten strip, which tifffile would show as black.
    for offset, count in zip(offsets, counts, strict=False):
        if offset <= 0 or count <= 0 or offset + count > size_bytes:
            raise UnreadableImage(CUT_SHORT)
    bits_per_row = page.imagewidth * page.samplesperpixel * page.bitspersample
    if page.compression == 1 and sum(counts) < (bits_per_row * page.imagelength) // 8:
        raise UnreadableImage(CUT_SHORT)


def colours_as_grey(page: tifffile.TiffPage) -> np.ndarray:
    """The plane of an RGB page whose colours are equal."""
    pixels = page.asarray(maxworkers=1)
    if pixels.shape == (3, page.imagelength, page.imagewidth):
        pixels = np.moveaxis(pixels, 0, -1)
    if pixels.shape != (page.imagelength, page.imagewidth, 3):
        raise UnreadableImage(DAMAGED)
    return grey_of_colours(pixels)


def stored_as(dtype: np.dtype, page: tifffile.TiffPage) -> str:
    """Such as "uint16", "float32", or "12-bit" for packed numbers."""
    packed = page.bitspersample not in (8, 16, 32, 64)
    return f"{page.bitspersample}-bit" if packed else dtype.name


def stack_sizes(tiff: tifffile.TiffFile, page: tifffile.TiffPage) -> tuple[int, int, int]:
    """Of a file of several pages: how many from the first on are alike, and the channels and timepoints it claims."""
    if len(tiff.pages) > MAX_PAGES:
        raise UnreadableImage(f"claims {len(tiff.pages):,} pages; cellqc reads up to {MAX_PAGES:,}")
    n_slices = 0
    for one in tiff.pages:
        other = one.aspage()
        if other.shape != page.shape or other.dtype != page.dtype or other.subfiletype & REDUCED:
            break
        n_slices += 1
    text = tiff.pages[0].aspage().description or ""
    return n_slices, size_in_text(N_CHANNELS, text), size_in_text(N_TIMEPOINTS, text)


def size_in_text(pattern: re.Pattern[str], text: str) -> int:
    """A number that ImageJ or OME wrote into a file's description; 1 when there is none."""
    found = pattern.search(text)
    return int(found[1] or found[2]) if found else 1
