"""What files a source holds."""

import os
from collections import Counter
from collections.abc import Iterable

from imaging.layouts.model import Listing, SourceError, counted, file_name, natural_key, nothing_more
from imaging.reading import local_path, s3
from imaging.reading.storage import filesystem_of
from imaging.reading.vendor import how_to_read, is_vendor_format

IMAGE_EXTENSIONS = (".tif", ".tiff", ".png", ".jpg", ".jpeg")
JPEG_EXTENSIONS = (".jpg", ".jpeg")
SYSTEM_FILES = {"thumbs.db", "desktop.ini", "__macosx"}
# A folder with one of these is Zarr: below it are thousands of chunks, which are no files to a person.
ZARR_FILES = {".zattrs", ".zgroup", ".zarray", "zarr.json"}


def list_source(source: str) -> Listing:
    """All files under a local folder or an fsspec URI, images apart from the rest, in natural order.

    URIs of local files are absolute paths. Hidden and system files are ignored, and so is what has no image
    extension; a Zarr folder is one entry. JPEGs beside other images are previews and ignored. SourceError when the
    folder is missing, a file, not readable, or holds no image.
    """
    listing = scan_source(source)
    check_images(listing)
    return listing


def list_files(source: str) -> list[str]:
    """The image files under a local folder or an fsspec URI, in natural order; errors as `list_source`."""
    return list_source(source).images


def scan_source(source: str) -> Listing:
    """As `list_source`, but a folder without images is no error: an index may name images elsewhere."""
    path = local_path(source)
    root, found, zarrs = list_local(path) if path is not None else list_remote(source)
    images: list[str] = []
    ignored: list[str] = []
    for uri in sorted(found, key=natural_key):
        (images if is_image_name(uri.removeprefix(root)) else ignored).append(uri)
    jpegs = [uri for uri in images if uri.lower().endswith(JPEG_EXTENSIONS)]
    if jpegs and (len(jpegs) < len(images) or zarrs):
        ignored = sorted([*ignored, *jpegs], key=natural_key)
        images = [uri for uri in images if not uri.lower().endswith(JPEG_EXTENSIONS)]
    if not found and not zarrs:
        raise SourceError(f"{root} is empty.")
    return Listing(root, images, ignored, sorted(zarrs, key=natural_key), nothing_more)


def check_images(listing: Listing) -> None:
    """Raise SourceError when there is no image, saying what there is instead."""
    if listing.images or listing.zarrs:
        return
    vendors = [uri for uri in listing.ignored if is_vendor_format(uri)]
    hint = f" {file_name(vendors[0])} {how_to_read(vendors[0])}." if vendors else ""
    raise SourceError(
        f"{listing.source} holds no image files ({', '.join(IMAGE_EXTENSIONS)}), "
        f"only {describe_files(listing.ignored)}.{hint}"
    )


def list_local(path: str) -> tuple[str, list[str], list[str]]:
    """The absolute folder, the paths of all files below it, and the Zarr folders; links are followed once."""
    root = os.path.abspath(os.path.expanduser(path))
    if not os.path.exists(root):
        raise SourceError(f"There is no folder {root}.")
    if not os.path.isdir(root):
        raise SourceError(f"{root} is a file; give the folder that holds the images.")
    found: list[str] = []
    zarrs: list[str] = []
    seen = {os.path.realpath(root)}
    for folder, below, names in os.walk(root, onerror=refuse_folder, followlinks=True):
        if not ZARR_FILES.isdisjoint(names):
            zarrs.append(folder)
            below[:] = []
            continue
        below.sort()
        below[:] = [name for name in below if not is_seen(os.path.join(folder, name), seen)]
        found.extend(os.path.join(folder, name) for name in names)
    return root, found, zarrs


def is_seen(folder: str, seen: set[str]) -> bool:
    """Whether a folder was visited before under any name; if not, it is noted. Links may make a loop."""
    real = os.path.realpath(folder)
    if real in seen:
        return True
    seen.add(real)
    return False


def refuse_folder(error: OSError) -> None:
    """A folder that cannot be listed would lose its images without a word."""
    if isinstance(error, PermissionError):
        raise SourceError(
            f"The folder {error.filename} may not be read by this account; ask for read access."
        ) from error
    raise SourceError(f"The folder {error.filename} could not be read ({error.strerror}).") from error


def list_remote(source: str) -> tuple[str, list[str], list[str]]:
    """The source, the URIs of all files below it on other storage, and the Zarr folders."""
    root = source.rstrip("/")
    try:
        filesystem, path = filesystem_of(source)
        filesystem.invalidate_cache()  # plates are copied while this process lives
        inside = filesystem.ls(path, detail=True)
        names = {str(one["name"]).strip("/") for one in inside}
        if names == {path.strip("/")} and inside[0]["type"] == "file":
            raise SourceError(f"{source} is a file; give the folder that holds the images.")
        if any(file_name(name) in ("zarr.json", ".zattrs") for name in names):
            return root, [], [root]  # its chunks need not be listed
        is_flat = all(one["type"] == "file" for one in inside)
        files = [str(one["name"]) for one in inside] if is_flat else filesystem.find(path)
        # A bucket's "folders" may be there as empty objects.
        found, zarrs = apart_from_zarrs([filesystem.unstrip_protocol(name) for name in files if not name.endswith("/")])
        return root, found, zarrs
    except SourceError:
        raise
    except Exception as error:  # each storage driver has its own errors
        raise SourceError(why_not_listed(source, error)) from error


def why_not_listed(source: str, error: Exception) -> str:
    """What a storage's error means, in a sentence."""
    if words := s3.refusal(source, error):
        return f"{source} {words}."
    if isinstance(error, FileNotFoundError):
        return f"There is nothing at {source}."
    if isinstance(error, PermissionError):
        return f"{source} may not be read with this account's credentials."
    if isinstance(error, ImportError | ValueError):
        return f"This installation has no driver for {source.split('://')[0]}:// addresses."
    return f"{source} could not be listed ({error})."


def apart_from_zarrs(uris: list[str]) -> tuple[list[str], list[str]]:
    """The files outside Zarr folders, and the outermost Zarr folders."""
    marked = {uri.rsplit("/", 1)[0] for uri in uris if uri.rsplit("/", 1)[-1] in ZARR_FILES}
    if not marked:
        return uris, []

    def outermost(uri: str) -> str | None:
        parts = uri.split("/")
        above = ("/".join(parts[:n]) for n in range(3, len(parts)))
        return next((folder for folder in above if folder in marked), None)

    roots = {uri: outermost(uri) for uri in uris}
    return [uri for uri in uris if roots[uri] is None], sorted({root for root in roots.values() if root is not None})


def is_image_name(path: str) -> bool:
    """Whether a path below the source has an image's extension and no hidden or system part."""
    parts = [part for part in path.split("/") if part]
    if any(part.startswith(".") or part.lower() in SYSTEM_FILES for part in parts):
        return False
    return path.lower().endswith(IMAGE_EXTENSIONS)


def index_files(listing: Listing, pattern: object) -> list[str]:
    """The files, not hidden ones, whose names match a layout's index pattern."""
    match = pattern.fullmatch  # type: ignore[attr-defined]
    return [
        uri
        for uri in listing.ignored
        if match(file_name(uri)) and not any(part.startswith(".") for part in below(uri, listing.source).split("/"))
    ]


def below(uri: str, source: str) -> str:
    """A path or URI from the source down; the whole of one that is elsewhere."""
    return uri.removeprefix(source).lstrip("/") if uri.startswith(source) else uri


def describe_files(uris: Iterable[str]) -> str:
    """Such as "3 other files (2 .htd, 1 .csv)"."""
    kinds = Counter(os.path.splitext(file_name(uri))[1].lower() or "without extension" for uri in uris)
    listed = ", ".join(f"{count:,} {kind}" for kind, count in kinds.most_common(5))
    return f"{counted(kinds.total(), 'other file')} ({listed})"
