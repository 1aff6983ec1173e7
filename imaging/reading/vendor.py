"""Formats of one vendor, through the optional `bioio` package and its plug-ins."""

import math

import numpy as np

from imaging.reading.problems import UnreadableImage, check_size, extension, no_such_page
from imaging.reading.storage import local_path
from imaging.reading.tiff import Header
from imaging.reading.values import measured_bits

# Extension -> whose it is, and the plug-in that reads it.
FORMATS = {
    ".czi": ("Zeiss", "bioio-czi"),
    ".nd2": ("Nikon", "bioio-nd2"),
    ".lif": ("Leica", "bioio-lif"),
    ".dv": ("DeltaVision", "bioio-dv"),
    ".vsi": ("Olympus", "bioio-bioformats"),
    ".oir": ("Olympus", "bioio-bioformats"),
    ".oib": ("Olympus", "bioio-bioformats"),
    ".ims": ("Imaris", "bioio-bioformats"),
    ".c01": ("Cellomics", "bioio-bioformats"),
}


def is_vendor_format(uri: str) -> bool:
    """Whether the extension is that of a format only `bioio` reads."""
    return extension(uri) in FORMATS


def how_to_read(uri: str) -> str:
    """What to install for a vendor's file, or to do instead: the words after the file's name."""
    vendor, plug_in = FORMATS[extension(uri)]
    return (
        f"is a {vendor} file ({extension(uri)}), which needs the optional part bioio: ask the administrator to install "
        f"'cellqc[bioio]' and '{plug_in}', or export it as OME-TIFF"
    )


def open_vendor(uri: str) -> object:
    """The file as a BioImage. UnreadableImage naming what to install when that is not there."""
    try:
        from bioio import BioImage
        from bioio_base.exceptions import UnsupportedFileFormatError
    except ImportError as error:
        raise UnreadableImage(how_to_read(uri)) from error
    try:
        return BioImage(local_path(uri) or uri)
    except UnsupportedFileFormatError as error:
        raise UnreadableImage(how_to_read(uri)) from error


def vendor_header(uri: str, page: int) -> Header:
    """Facts of a plane: pages count time, channel and z, z fastest."""
    image = open_vendor(uri)
    n_t, n_c, n_z, height, width = image.shape[:5]  # type: ignore[attr-defined]
    dtype = np.dtype(image.dtype)  # type: ignore[attr-defined]
    check_size(width, height, dtype.itemsize)
    n_pages = math.prod((n_t, n_c, n_z))
    if not 0 <= page < n_pages:
        raise no_such_page(page, n_pages)
    return Header(width, height, measured_bits(dtype), n_pages, dtype.name, n_z, n_c, n_t)


def decode_vendor(uri: str, page: int) -> np.ndarray:
    """Pixels (H, W) of one plane in the file's own number type."""
    vendor_header(uri, page)
    image = open_vendor(uri)
    t, c, z = np.unravel_index(page, image.shape[:3])  # type: ignore[attr-defined]
    return np.asarray(image.get_image_data("YX", T=int(t), C=int(c), Z=int(z)))  # type: ignore[attr-defined]
