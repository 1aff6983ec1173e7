"""JPEG: 8-bit grey, or RGB with equal colours. It loses detail, but some plates exist as nothing else."""

import struct

import imagecodecs
import numpy as np

from imaging.reading.problems import COLOUR, CUT_SHORT, DAMAGED, UnreadableImage, check_size, no_such_page
from imaging.reading.tiff import Header
from imaging.reading.values import grey_of_colours

SIGNATURE = b"\xff\xd8\xff"
END = b"\xff\xd9"
FRAMES = {0xC0, 0xC1, 0xC2}  # baseline, extended, progressive
OTHER_FRAMES = {0xC3, 0xC5, 0xC6, 0xC7, 0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF}
SCAN, END_OF_IMAGE = 0xDA, 0xD9
WITHOUT_LENGTH = {0x01, *range(0xD0, 0xD9)}
# A progressive picture is gone over once for each scan; real ones have about ten.
MAX_SCANS = 100
TRAILER = 65_536  # bytes some programs append


def jpeg_header(data: bytes, page: int) -> Header:
    """Facts of a JPEG cellqc can measure; UnreadableImage with the reason when it cannot."""
    width, height, is_colour = check_jpeg(data, page)
    if is_colour:
        decode_checked(data, height, width)  # only the pixels tell whether it is grey
    return Header(width, height, 8, 1, "uint8 (JPEG)")


def check_jpeg(data: bytes, page: int) -> tuple[int, int, bool]:
    """Width, height and whether it has colours, of a JPEG that is whole by its outer form."""
    width, height, n_components = frame_of(data)
    check_size(width, height, n_components)
    if n_components not in (1, 3):
        raise UnreadableImage(COLOUR)
    if page != 0:
        raise no_such_page(page, n_pages=1)
    if data.rfind(END, max(0, len(data) - TRAILER)) < 0:  # the decoder would fill the rest with grey
        raise UnreadableImage(CUT_SHORT)
    if data.count(b"\xff\xda") > MAX_SCANS:
        raise UnreadableImage(DAMAGED)
    return width, height, n_components == 3


def frame_of(data: bytes) -> tuple[int, int, int]:
    """Width, height and number of components, from the frame header before the first scan."""
    place = 2
    while place + 4 <= len(data):
        if data[place] != 0xFF:
            raise UnreadableImage(DAMAGED)
        kind = data[place + 1]
        if kind == 0xFF:  # padding
            place += 1
            continue
        if kind in WITHOUT_LENGTH:
            place += 2
            continue
        if kind in OTHER_FRAMES:
            raise UnreadableImage("is a JPEG of an unusual kind; export it as TIFF or PNG")
        if kind in (SCAN, END_OF_IMAGE):
            break
        if kind in FRAMES:
            if place + 10 > len(data):
                raise UnreadableImage(CUT_SHORT)
            precision, height, width, n_components = struct.unpack_from(">BHHB", data, place + 4)
            if precision != 8:
                raise UnreadableImage(f"is a {precision}-bit JPEG; cellqc reads 8-bit JPEG")
            return width, height, n_components
        place += 2 + struct.unpack_from(">H", data, place + 2)[0]
    raise UnreadableImage(CUT_SHORT if place + 4 > len(data) else DAMAGED)


def decode_jpeg(data: bytes, page: int) -> np.ndarray:
    """Pixels (H, W) uint8."""
    width, height, _ = check_jpeg(data, page)
    return decode_checked(data, height, width)


def decode_checked(data: bytes, height: int, width: int) -> np.ndarray:
    """The grey plane of the bytes."""
    pixels = imagecodecs.jpeg8_decode(data)
    if pixels.ndim == 3 and pixels.shape[2] == 3:
        pixels = grey_of_colours(pixels)
    if pixels.shape != (height, width) or pixels.dtype != np.uint8:
        raise UnreadableImage(DAMAGED)
    return pixels
