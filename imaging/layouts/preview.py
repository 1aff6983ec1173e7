"""How the first files of a source are understood, before anything is stored."""

import re
from collections.abc import Callable, Sequence
from dataclasses import replace

from imaging.layouts.listing import below
from imaging.layouts.model import (
    Layout,
    Listing,
    PlaneSource,
    Preview,
    PreviewRow,
    RefusedFile,
    Understood,
    natural_key,
    nothing_more,
)
from imaging.layouts.sources import guess_layout, listing_for, named_layout, read_listing
from imaging.layouts.zrule import ZRule, choose_z, lacking_z, settle
from imaging.reading import UnreadableImage, inspect
from imaging.reading.projections import is_projection, slices_of
from imaging.reading.zarrs import MARK


def preview_layout(
    source: str,
    layout: str | Layout | None = None,
    plate: str | None = None,
    most: int = 12,
    *,
    rule: ZRule = "middle",
    looks_inside: bool = False,
    may_read: Callable[[str], bool] = nothing_more,
) -> Preview:
    """How the first files of a source are understood; reads names and index files, and stores nothing.

    Up to `most` rows, of the planes that the z rule chooses, files in natural order; up to a third of them are refused
    files, if there are any. With `looks_inside` the headers of the files of the rows are read too: a broken file is
    told, and so is the page that the rule takes. Other arguments and errors as `read_layout`; ValueError also when no
    z stack has the number that the rule names.
    """
    listing = listing_for(source, layout, may_read)
    n_images = len(listing.images) + len(listing.zarrs)
    guess = guess_layout(listing.images, listing) if layout is None else None
    chosen = guess.layout if guess is not None else named_layout(layout)
    if chosen is None:
        assert guess is not None
        refused = read_listing(listing, plate=plate).refused
        rows = [row_of_refusal(one, listing) for one in refused[:most]]
        return Preview(None, guess.explanation, rows, n_images, n_refused=len(refused))
    if chosen.reads_headers:
        listing = replace(listing, images=listing.images[:most])
    understood = read_listing(listing, layout=chosen, plate=plate)
    explanation = " ".join(text for text in (guess.explanation if guess else "", understood.explanation) if text)
    if chosen.reads_headers and len(listing.images) < n_images:
        explanation += f" The first {len(listing.images):,} of {n_images:,} files were looked at."
    planes, n_left_out = choose_z(understood.planes, rule)
    refused = [*understood.refused, *lacking_z(understood.planes, rule)]
    return Preview(
        chosen,
        explanation,
        rows_of(in_file_order(planes, listing), refused, listing, most, understood, rule if looks_inside else None),
        n_images,
        len(planes),
        n_left_out,
        sum(one.place is None for one in refused),
        sum(one.place is not None for one in refused),
    )


def in_file_order(planes: Sequence[PlaneSource], listing: Listing) -> list[PlaneSource]:
    """The planes in the natural order of their files; those of files elsewhere last."""
    order = {uri: number for number, uri in enumerate(listing.images)}
    elsewhere = len(order)

    def place_in_order(plane: PlaneSource) -> tuple[int, object, int]:
        uri = first_file(plane.uri)
        number = order.get(uri, elsewhere)
        # A natural key costs more than all the rest: only where the listing does not know the order.
        return number, natural_key(uri) if number == elsewhere else (), plane.page

    return sorted(planes, key=place_in_order)


def first_file(uri: str) -> str:
    """The file of a plane, of a projection that of its first slice."""
    return slices_of(uri)[0][0] if is_projection(uri) else uri


def rows_of(
    planes: Sequence[PlaneSource],
    refused: Sequence[RefusedFile],
    listing: Listing,
    most: int,
    understood: Understood,
    rule: ZRule | None,
) -> list[PreviewRow]:
    """The first planes and the first refused files; with a rule, what their headers say by it."""
    names_pages = understood.layout is not None and understood.layout.names_pages
    n_refused = min(len(refused), max(most // 3, 1, most - len(planes)))
    shown = planes[: most - n_refused]
    rows = [row_of_plane(plane, listing, None if rule is None else (rule, names_pages)) for plane in shown]
    return rows + [row_of_refusal(one, listing) for one in refused[:n_refused]]


def row_of_plane(plane: PlaneSource, listing: Listing, header: tuple[ZRule, bool] | None = None) -> PreviewRow:
    """A plane as a row of the preview; with a rule, and whether pages are named, also what its header says."""
    reason = ""
    if header is not None:
        rule, names_pages = header
        try:
            facts = inspect(plane.uri, plane.page)
            plane = plane if names_pages else settle(plane, facts, rule)
        except UnreadableImage as problem:
            reason = f"The file {problem}."
    name = below(first_file(plane.uri).removesuffix(MARK), listing.source)
    if is_projection(plane.uri):
        name += f" (maximum of {len(slices_of(plane.uri))} z planes)"
    return PreviewRow(
        name, plane.plate, plane.well.name, plane.site, plane.channel, plane.timepoint, plane.z, plane.page, reason
    )


def row_of_refusal(refused: RefusedFile, listing: Listing) -> PreviewRow:
    """A refused file as a row of the preview, with its place where it is known."""
    name = below(re.sub(r"#[^/#]*$", "", refused.uri) if refused.place else refused.uri, listing.source)
    place = refused.place
    if place is None:
        return PreviewRow(name, reason=refused.reason)
    return PreviewRow(
        *(name, place.plate, place.well.name, place.site, place.channel, place.timepoint, place.z),
        reason=f"The file {refused.reason}.",
    )
