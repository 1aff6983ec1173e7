"""PNG: grey, or RGB with equal colours, of 8 or 16 bits."""

import os
import struct
import zlib
from io import BytesIO
from typing import BinaryIO

import imagecodecs
import numpy as np

from imaging.reading.problems import COLOUR, CUT_SHORT, DAMAGED, UnreadableImage, check_size, no_such_page
from imaging.reading.tiff import Header
from imaging.reading.values import grey_of_colours

SIGNATURE = b"\x89PNG\r\n\x1a\n"
END = b"\x00\x00\x00\x00IEND\xaeB`\x82"
GREY, RGB, GREY_AND_ALPHA = 0, 2, 4


def png_header(stream: BinaryIO, size_bytes: int, page: int) -> Header:
    """Facts of a PNG cellqc can measure; UnreadableImage with the reason when it cannot."""
    width, height, bits, is_colour = check_png(stream, size_bytes, page)
    if is_colour:
        stream.seek(0)
        decode_checked(stream.read(), height, width)  # only the pixels tell whether it is grey
    return Header(width, height, bits, 1, f"uint{bits}")


def check_png(stream: BinaryIO, size_bytes: int, page: int) -> tuple[int, int, int, bool]:
    """Width, height, bits and whether it is RGB, of a PNG that is whole by its outer form."""
    stream.seek(0)
    start = stream.read(33)
    if len(start) < 33:
        raise UnreadableImage(CUT_SHORT)
    if start[12:16] != b"IHDR":
        raise UnreadableImage(DAMAGED)
    width, height, bits, colour_type = struct.unpack(">IIBB", start[16:26])
    check_size(width, height, 6 if colour_type == RGB else 2)
    if colour_type not in (GREY, RGB):
        has_alpha = colour_type == GREY_AND_ALPHA
        raise UnreadableImage("has a transparency channel; export it without" if has_alpha else COLOUR)
    if bits not in (8, 16):
        raise UnreadableImage(f"is a {bits}-bit image; cellqc reads 8-bit and 16-bit images")
    if page != 0:
        raise no_such_page(page, n_pages=1)
    if not has_end(stream, size_bytes):
        raise UnreadableImage(CUT_SHORT)
    return width, height, bits, colour_type == RGB


def has_end(stream: BinaryIO, size_bytes: int) -> bool:
    """Whether the chunks lead to the end mark; some programs append bytes after it."""
    stream.seek(-min(size_bytes, len(END)), os.SEEK_END)
    if stream.read() == END:
        return True
    place = len(SIGNATURE)
    while place + len(END) <= size_bytes:
        stream.seek(place)
        length, kind = struct.unpack(">I4s", stream.read(8))
        if kind == b"IEND":
            return True
        place += length + 12
    return False


def has_sound_chunks(data: bytes) -> bool:
    """Whether every chunk up to the end mark agrees with its checksum."""
    view = memoryview(data)
    place = len(SIGNATURE)
    while place + len(END) <= len(data):
        length, kind = struct.unpack_from(">I4s", data, place)
        end = place + 8 + length
        if end + 4 > len(data) or zlib.crc32(view[place + 4 : end]) != struct.unpack_from(">I", data, end)[0]:
            return False
        if kind == b"IEND":
            return True
        place = end + 4
    return False


def decode_png(data: bytes, page: int) -> np.ndarray:
    """Pixels (H, W) of a PNG, uint8 or uint16."""
    width, height, _, _ = check_png(BytesIO(data), len(data), page)
    return decode_checked(data, height, width)


def decode_checked(data: bytes, height: int, width: int) -> np.ndarray:
    """The grey plane of the bytes, after every checksum agreed."""
    if not has_sound_chunks(data):  # the decoder does not check, and would show what it finds
        raise UnreadableImage(DAMAGED)
    pixels = imagecodecs.png_decode(data)
    if pixels.ndim == 3 and pixels.shape[2] == 3:
        pixels = grey_of_colours(pixels)
    if pixels.ndim != 2:
        raise UnreadableImage("has a transparency channel; export it without")
    if pixels.shape != (height, width):
        raise UnreadableImage(DAMAGED)
    return pixels
