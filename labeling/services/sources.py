"""Where images may come from, and what a place holds before anything is stored."""

from __future__ import annotations

from pathlib import Path

from django.conf import settings

from imaging.layouts import Preview, SourceError, ZRule, parse_z_rule, preview_layout
from imaging.layouts.reading import Reading, read_planes
from imaging.reading import local_path
from labeling.problems import BadValue

DEFAULT_Z = "middle"
PREVIEWED = 12  # rows


def read_source(source: str, *, layout: str | None = None, plate: str | None = None, z: str | None = None) -> Reading:
    """Read the names and indexes of a source. Raises BadValue when it is not open, or nothing in it is understood."""
    check_source(source)
    rule = z_rule(z)
    try:
        return read_planes(source, layout=layout, plate=plate, rule=rule, may_read=may_read)
    except (SourceError, ValueError) as problem:
        raise BadValue(str(problem)) from problem


def preview_source(
    source: str, *, layout: str | None = None, plate: str | None = None, z: str | None = None
) -> Preview:
    """How the first files of a source are understood; nothing is stored. Raises BadValue as `read_source`."""
    check_source(source)
    try:
        return preview_layout(
            source,
            layout or None,
            plate or None,
            PREVIEWED,
            rule=z_rule(z),
            looks_inside=True,
            may_read=may_read,
        )
    except (SourceError, ValueError) as problem:
        raise BadValue(str(problem)) from problem


def check_takeable(source: str, *, layout: str | None = None, plate: str | None = None, z: str | None = None) -> None:
    """Raise BadValue when no name in a source is understood, without opening a file."""
    if not read_source(source, layout=layout, plate=plate, z=z).planes:
        raise BadValue(f"None of the images that {source} names is there.")


def z_rule(text: str | None) -> ZRule:
    """The rule of what a person gave; BadValue when it is none."""
    try:
        return parse_z_rule(text or DEFAULT_Z)
    except ValueError as problem:
        raise BadValue(str(problem)) from problem


def check_source(source: str) -> None:
    """Refuse folders outside those the admin opened (CELLQC_SOURCES); all are open when none is named."""
    if not source.strip():
        raise BadValue("Name the folder that holds the images.")
    if not may_read(source):
        raise BadValue(f"{source} is not in a place images may be taken from: {', '.join(settings.SOURCES)}.")


def may_read(uri: str) -> bool:
    """Whether the admin opened the place of a folder or file, also of one that an index elsewhere names."""
    return not settings.SOURCES or any(_is_below(uri, root) for root in settings.SOURCES)


def _is_below(source: str, root: str) -> bool:
    """Whether a folder or address is the root or inside it, wherever links and `..` lead."""
    path, root_path = local_path(source), local_path(root)
    if path is not None and root_path is not None:
        return Path(path).expanduser().resolve().is_relative_to(Path(root_path).expanduser().resolve())
    # s3://lab-2 is not in s3://lab
    return ".." not in source.split("/") and f"{source}/".startswith(f"{root.rstrip('/')}/")
