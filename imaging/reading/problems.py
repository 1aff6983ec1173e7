"""What can be wrong with an image file, in words for a scientist, and the limits that protect a worker."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

# Five times the largest camera field in use (5120 x 5120), and 268 MB as uint16: beyond it a header is
# damaged or hostile, and believing it would take the worker's memory.
MAX_PIXELS = 2**27
# Of one decoded plane: MAX_PIXELS as float32.
MAX_DECODED_BYTES = 2**29
# The whole file is held in memory while it is hashed and decoded.
MAX_FILE_BYTES = 2**31
# A z stack or a film of one field has hundreds; each costs a read of its directory.
MAX_PAGES = 20_000

COPY_AGAIN = "copy it again from the microscope"
CUT_SHORT = f"is cut short: a part of the picture is missing; {COPY_AGAIN}"
DAMAGED = f"is damaged: its content cannot be decoded; {COPY_AGAIN}"
COLOUR = "is a colour picture; cellqc measures one channel per file, so export each channel by itself"
KINDS = "cellqc reads 8-bit to 64-bit whole and floating-point numbers"


class UnreadableImage(Exception):
    """Why a file cannot be measured, for a scientist: the words that follow the file's name in a sentence.

    `str(error)` is such as "is empty (0 bytes); copy it again from the microscope"; `uri` names the file.
    """

    def __init__(self, reason: str, uri: str = "") -> None:
        super().__init__(reason)  # only the reason: the error must survive pickling between processes
        self.uri = uri


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


def check_size(width: int, height: int, bytes_per_pixel: int = 2) -> None:
    """Raise UnreadableImage unless width x height is a picture a camera could have taken."""
    if width < 1 or height < 1:
        raise UnreadableImage("has no pixels")
    if width * height > MAX_PIXELS:
        raise UnreadableImage(
            f"claims {width} x {height} pixels; cellqc reads up to {MAX_PIXELS // 10**6} million, "
            "so its header is damaged or it is not one field of view"
        )
    if width * height * bytes_per_pixel > MAX_DECODED_BYTES:
        raise UnreadableImage(
            f"takes {width * height * bytes_per_pixel / 1e9:.1f} GB when it is unpacked; "
            f"cellqc reads planes up to {MAX_DECODED_BYTES / 1e9:.1f} GB, so export it as 16-bit"
        )


def check_file_size(size_bytes: int) -> None:
    """Raise UnreadableImage when the file is empty or too large to be held in memory."""
    if size_bytes == 0:
        raise UnreadableImage(f"is empty (0 bytes); {COPY_AGAIN}")
    if size_bytes > MAX_FILE_BYTES:
        raise UnreadableImage(f"is {size_bytes / 1e9:.1f} GB; cellqc reads files up to 2 GB")


def no_such_page(page: int, n_pages: int) -> UnreadableImage:
    """The error for a page the file does not have."""
    pages = "1 page" if n_pages == 1 else f"{n_pages} pages"
    return UnreadableImage(f"has {pages}; page {page + 1} is not there")


def extension(uri: str) -> str:
    """The lower-case extension with its dot, or an empty text."""
    return os.path.splitext(uri.rsplit("/", 1)[-1])[1].lower()
