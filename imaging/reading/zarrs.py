"""OME-Zarr: a plane is one (height, width) slice of an array in a folder of chunks.

Its address is the array's folder followed by `#zarr`; the page counts the slices, the last leading axis fastest
(for axes t, c, z, y, x: page = (t * n_c + c) * n_z + z).
"""

import json
import math
from dataclasses import dataclass

import numpy as np

from imaging.reading import s3
from imaging.reading.problems import (
    DAMAGED,
    KINDS,
    MAX_DECODED_BYTES,
    UnreadableImage,
    check_size,
    no_such_page,
)
from imaging.reading.storage import filesystem_of, local_path, open_file, storage_answers
from imaging.reading.tiff import Header
from imaging.reading.values import measured_bits

MARK = "#zarr"
MAX_METADATA_BYTES = 2**24
# A codec is code that runs on the file's bytes: one of them (pickle) runs whatever the file says.
SAFE_CODECS = {
    *("blosc", "zlib", "gzip", "zstd", "lz4", "bz2", "lzma", "delta", "shuffle"),  # Zarr 2
    *("bytes", "crc32c", "transpose", "sharding_indexed"),  # Zarr 3
}


@dataclass(frozen=True)
class ArrayFacts:
    """Shape, number type and largest chunk of an array, from its metadata alone."""

    shape: tuple[int, ...]
    dtype: np.dtype
    chunk_shape: tuple[int, ...]

    @property
    def n_planes(self) -> int:
        return math.prod(self.shape[:-2])


def is_zarr(uri: str) -> bool:
    """Whether an address is that of a Zarr array."""
    return uri.endswith(MARK)


def array_uri(folder: str) -> str:
    """The address of the array in a folder."""
    return folder.rstrip("/") + MARK


def read_json(uri: str) -> dict:
    """A JSON object from a file; FileNotFoundError when it is not there, UnreadableImage when it is no object."""
    with open_file(uri) as stream:
        text = stream.read(MAX_METADATA_BYTES + 1)
    if len(text) > MAX_METADATA_BYTES:
        raise UnreadableImage("has more metadata than an image needs")
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UnreadableImage(DAMAGED) from error
    if not isinstance(found, dict):
        raise UnreadableImage(DAMAGED)
    return found


def array_facts(folder: str) -> ArrayFacts:
    """Facts of the array in a folder, Zarr 2 or 3. UnreadableImage unless cellqc can read its planes."""
    try:
        meta = read_json(f"{folder}/zarr.json")
        if meta.get("node_type") != "array":
            raise UnreadableImage("is a Zarr group, not an array")
        chunks = meta["chunk_grid"]["configuration"]["chunk_shape"]
        dtype, codecs = meta["data_type"], codec_names(meta["codecs"])
    except FileNotFoundError:
        meta = read_json(f"{folder}/.zarray")
        chunks, dtype = meta["chunks"], meta["dtype"]
        given = [meta.get("compressor"), *(meta.get("filters") or [])]
        codecs = {str(codec["id"]) for codec in given if codec}
    unsafe = sorted(codecs - SAFE_CODECS)
    if unsafe:
        raise UnreadableImage(f"is compressed as {unsafe[0]}; cellqc reads Zarr with Blosc, Zstandard, gzip or none")
    facts = ArrayFacts(tuple(map(int, meta["shape"])), number_type(dtype), tuple(map(int, chunks)))
    if len(facts.shape) < 2 or len(facts.chunk_shape) != len(facts.shape) or min(facts.shape) < 1:
        raise UnreadableImage("has no pixels" if 0 in facts.shape else DAMAGED)
    check_size(facts.shape[-1], facts.shape[-2], facts.dtype.itemsize)
    if math.prod(facts.chunk_shape) * facts.dtype.itemsize > MAX_DECODED_BYTES:
        raise UnreadableImage("has chunks larger than one field of view; write it with smaller ones")
    return facts


def codec_names(codecs: list[dict]) -> set[str]:
    """The names of the codecs of a Zarr 3 array, those inside shards too."""
    names: set[str] = set()
    for codec in codecs:
        names.add(str(codec["name"]))
        configuration = codec.get("configuration") or {}
        names |= codec_names(configuration.get("codecs") or []) | codec_names(configuration.get("index_codecs") or [])
    return names


def number_type(name: object) -> np.dtype:
    """The numpy type of "uint16" (Zarr 3) or "<u2" (Zarr 2). UnreadableImage when it is no number we read."""
    try:
        dtype = np.dtype(name) if isinstance(name, str) else None
    except TypeError:
        dtype = None
    if dtype is None or dtype.kind not in "uif":
        raise UnreadableImage(f"holds numbers of the kind {name}; {KINDS}")
    measured_bits(dtype)
    return dtype


def zarr_header(uri: str, page: int) -> tuple[Header, int]:
    """Facts of a plane, and its size in bytes when unpacked."""
    facts = array_facts(uri.removesuffix(MARK))
    slice_of(facts, page)
    height, width = facts.shape[-2:]
    header = Header(width, height, measured_bits(facts.dtype), facts.n_planes, f"{facts.dtype.name} (Zarr)")
    return header, height * width * facts.dtype.itemsize


def slice_of(facts: ArrayFacts, page: int) -> tuple[int, ...]:
    """The leading indices of a page. UnreadableImage when there is no such page."""
    if not 0 <= page < facts.n_planes:
        raise no_such_page(page, facts.n_planes)
    return tuple(int(index) for index in np.unravel_index(page, facts.shape[:-2])) if len(facts.shape) > 2 else ()


def decode_zarr(uri: str, page: int) -> np.ndarray:
    """Pixels (H, W) of one plane in the array's own number type.

    A chunk that is not there holds the array's fill value, as Zarr defines it: a writer leaves out empty chunks,
    so a chunk lost in copying cannot be told from a black one.
    """
    import zarr  # 0.4 s, and only those with Zarr plates need it

    folder = uri.removesuffix(MARK)
    facts = array_facts(folder)
    place = slice_of(facts, page)
    path = local_path(folder)
    store = path if path is not None else remote_store(folder)
    # Leading indices give (1, ..., 1, H, W) as slices.
    where = (*(slice(index, index + 1) for index in place), slice(None), slice(None))
    pixels = np.asarray(zarr.open_array(store, mode="r")[where])
    if pixels.size == facts.shape[-1] * facts.shape[-2]:
        pixels = pixels.reshape(facts.shape[-2:])
    if pixels.shape != facts.shape[-2:] or pixels.dtype.newbyteorder("=") != facts.dtype.newbyteorder("="):
        raise UnreadableImage(DAMAGED)
    return pixels


def remote_store(folder: str) -> object:
    """A Zarr store on other storage."""
    import zarr.storage

    with storage_answers():
        filesystem_of(folder)  # its own error when there is no driver
        return zarr.storage.FsspecStore.from_url(folder, storage_options=s3.options_of(folder), read_only=True)
