"""What a source holds by a z rule: one plane for each channel of each field, and what is missing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from imaging.layouts.model import Layout, Listing, PlaneSource, RefusedFile, SourceError, nothing_more
from imaging.layouts.sources import listing_for, read_listing
from imaging.layouts.zrule import ZRule, choose_z, lacking_z, still_missing


@dataclass(frozen=True)
class Reading:
    """What the names and indexes of a source say, by a z rule.

    `planes` are to be taken, one for each channel of each field; `stacks` are all planes, those left out too.
    `refused` are files without a place, `missing` those whose place an index knows.
    """

    listing: Listing
    layout: Layout
    rule: ZRule
    explanation: str
    channels: list[str]
    planes: list[PlaneSource]
    stacks: list[PlaneSource]
    refused: list[RefusedFile]
    missing: list[RefusedFile]
    n_ignored: int
    n_left_out: int


def read_planes(
    source: str,
    *,
    layout: str | None = None,
    plate: str | None = None,
    rule: ZRule = "middle",
    may_read: Callable[[str], bool] = nothing_more,
) -> Reading:
    """Read the names and indexes of a source, and choose its planes by the rule.

    SourceError when there are no images, or none is understood; ValueError when layout or rule make no sense.
    """
    listing = listing_for(source, layout or None, may_read)
    understood = read_listing(listing, layout=layout or None, plate=plate or None)
    planes, n_left_out = choose_z(understood.planes, rule)
    missing = still_missing([*understood.refused, *lacking_z(understood.planes, rule)], planes)
    if understood.layout is None or not (planes or missing):
        raise SourceError(f"No image in {source} could be understood. {understood.explanation}")
    return Reading(
        listing,
        understood.layout,
        rule,
        understood.explanation,
        understood.channels,
        planes,
        understood.planes,
        [refused for refused in understood.refused if refused.place is None],
        missing,
        understood.n_ignored,
        n_left_out,
    )
