"""Layouts: how a microscope names its files, and from a folder of names to planes of plates.

To add a layout, describe it as a `Layout` and list it in `LAYOUTS` (`sources`). A regular expression on the file's
name, with the groups of `GROUPS`, is usually enough; `folders` reads more from folder names, `refine` corrects what
was read, and `read_source` replaces the reading of names where an index file says more.
"""

from imaging.layouts.listing import IMAGE_EXTENSIONS, list_files, list_source
from imaging.layouts.model import (
    GROUPS,
    Layout,
    LayoutGuess,
    Listing,
    Names,
    Place,
    PlaneSource,
    Preview,
    PreviewRow,
    RefusedFile,
    SourceError,
    Understood,
)
from imaging.layouts.names import (
    clean_name,
    custom_layout,
    folder_plate,
    folders_above,
    note_channel_number,
    plane_from,
    read_groups,
    read_names,
)
from imaging.layouts.preview import preview_layout
from imaging.layouts.sources import LAYOUTS, guess_layout, listing_for, named_layout, read_layout, read_listing
from imaging.layouts.zrule import (
    Z_RULES,
    ChosenPlanes,
    ZRule,
    choose_z,
    explain_rule,
    lacking_z,
    parse_z_rule,
    settle,
    still_missing,
)

__all__ = [
    "GROUPS",
    "IMAGE_EXTENSIONS",
    "LAYOUTS",
    "Z_RULES",
    "ChosenPlanes",
    "Layout",
    "LayoutGuess",
    "Listing",
    "Names",
    "Place",
    "PlaneSource",
    "Preview",
    "PreviewRow",
    "RefusedFile",
    "SourceError",
    "Understood",
    "ZRule",
    "choose_z",
    "clean_name",
    "custom_layout",
    "explain_rule",
    "folder_plate",
    "folders_above",
    "guess_layout",
    "lacking_z",
    "list_files",
    "list_source",
    "listing_for",
    "named_layout",
    "note_channel_number",
    "parse_z_rule",
    "plane_from",
    "preview_layout",
    "read_groups",
    "read_layout",
    "read_listing",
    "read_names",
    "settle",
    "still_missing",
]
