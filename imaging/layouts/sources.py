"""From a source to planes: which layout it is, and what it holds."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from imaging.layouts.imagexpress import IMAGEXPRESS
from imaging.layouts.listing import below, check_images, describe_files, index_files, scan_source
from imaging.layouts.loaddata import LOADDATA
from imaging.layouts.model import (
    Layout,
    LayoutGuess,
    Listing,
    Names,
    Place,
    PlaneSource,
    RefusedFile,
    SourceError,
    Understood,
    counted,
    file_name,
    first_of,
    natural_key,
    nothing_more,
    printable,
)
from imaging.layouts.names import clean_name, custom_layout, read_names
from imaging.layouts.ometiff import OMETIFF
from imaging.layouts.omezarr import OMEZARR
from imaging.layouts.opera import OPERA
from imaging.layouts.patterns import ARRAYSCAN, PLAIN, SBS, WELL_PLATE_CHANNEL_SITE
from imaging.layouts.yokogawa import YOKOGAWA
from imaging.reading.zarrs import MARK

# In the order in which a tie is broken: a form that is harder to meet by chance comes first, and a microscope's own
# before a table that a person made of it.
LAYOUTS: dict[str, Layout] = {
    layout.name: layout
    for layout in (
        *(IMAGEXPRESS, OPERA, YOKOGAWA, OMEZARR, OMETIFF),
        *(ARRAYSCAN, WELL_PLATE_CHANNEL_SITE, SBS, PLAIN, LOADDATA),
    )
}
NOTES_SHOWN = 5


def guess_layout(uris: Sequence[str], listing: Listing | None = None) -> LayoutGuess:
    """The layout that understands most of the files; between equals the first in `LAYOUTS`.

    With the listing, index files and Zarr plates count too; without it, names only.
    """
    total = len(uris) + (len(listing.zarrs) if listing is not None else 0)
    counts = {name: count_of(layout, uris, listing) for name, layout in LAYOUTS.items()}
    best = max(counts, key=lambda name: counts[name])  # max keeps the first of equals
    if counts[best] == 0:
        example = f" The first is {file_name(uris[0])}." if uris else ""
        known = "; ".join(layout.example for layout in LAYOUTS.values())
        explanation = f"No known layout fits the names of {counted(total, 'file')}.{example} Known are: {known}."
        return LayoutGuess(None, 0, total, explanation)
    layout = LAYOUTS[best]
    return LayoutGuess(layout, counts[best], total, explain_guess(layout, counts, total, listing))


def count_of(layout: Layout, uris: Sequence[str], listing: Listing | None) -> int:
    """How many files of a source a layout understands."""
    if layout.count is not None:
        return layout.count(listing) if listing is not None else 0
    return sum(1 for uri in uris if understands(layout, uri))


def understands(layout: Layout, uri: str) -> bool:
    """Whether the file's name follows the layout and is to be measured."""
    return layout.find(uri) is not None and not layout.skips(uri)


def explain_guess(layout: Layout, counts: dict[str, int], total: int, listing: Listing | None) -> str:
    """Why this layout, and what else was possible, in a sentence or three."""
    indexes = index_files(listing, layout.index) if listing is not None and layout.index is not None else []
    share = f"{counts[layout.name]:,} of {counted(total, 'file')}"
    if layout is LOADDATA:
        where = f"names {share}" if total else "names images elsewhere"
        return f"A {layout.title} ({file_name(indexes[0])}) {where}."
    if layout is OMEZARR:
        return f"{counted(counts[layout.name], 'folder')} of {total:,} found are OME-Zarr plates."
    sentences = [f"{share} are named like {layout.title}, such as {layout.example}."]
    if indexes:
        sentences.append(f"{file_name(indexes[0])} says more of them.")
    others = [LAYOUTS[name].title for name, count in counts.items() if count and name != layout.name]
    if others:
        sentences.append(f"Also possible: {first_of(others)}.")
    return " ".join(sentences)


def read_layout(
    source: str,
    *,
    layout: str | Layout | None = None,
    plate: str | None = None,
    may_read: Callable[[str], bool] = nothing_more,
) -> Understood:
    """List a source and read every name and index: planes, refusals with reasons, and the number of files ignored.

    `layout` is a Layout, a name in `LAYOUTS` or a regular expression for `custom_layout` (ValueError when it
    is neither); guessed when None. `plate` is the barcode of all files; SourceError when the file names say
    they are of several plates. `may_read` says of a file outside the source, which a LoadData table names, whether
    it may be taken: without it none is. Other errors as `list_source`.
    """
    return read_listing(listing_for(source, layout, may_read), layout=layout, plate=plate)


def listing_for(source: str, layout: str | Layout | None, may_read: Callable[[str], bool]) -> Listing:
    """The files of a source. SourceError when it holds neither images nor a table that names some."""
    listing = replace(scan_source(source), may_read=may_read)
    table_may_do = layout is None or layout in ("loaddata", LOADDATA)
    if not (table_may_do and LOADDATA.count is not None and LOADDATA.count(listing)):
        check_images(listing)
    return listing


def read_listing(listing: Listing, *, layout: str | Layout | None = None, plate: str | None = None) -> Understood:
    """As `read_layout`, for files that were listed before."""
    guess = None if layout is not None else guess_layout(listing.images, listing)
    chosen = named_layout(layout) if guess is None else guess.layout
    if chosen is None:
        assert guess is not None
        refused = [
            RefusedFile(printable(uri), f"{printable(file_name(uri))} follows no known layout.")
            for uri in [*listing.images, *listing.zarrs]
        ]
        return Understood(None, [], refused, len(listing.ignored), guess.explanation, guess=guess)
    barcode = clean_name(plate or "")
    read = chosen.read_source or (lambda files, given: read_names(chosen, files, given))
    names = read(listing, barcode or None)
    if barcode and len(names.plates_in_names) > 1:
        plates = first_of(sorted(names.plates_in_names, key=natural_key))
        raise SourceError(
            f"You named one plate ({barcode}), but the file names are of {len(names.plates_in_names)} plates "
            f"({plates}). Leave the plate empty, or choose the folder of one plate."
        )
    if chosen.numbers_lone_z:
        names = without_lone_z(names)
    planes, duplicates = without_duplicates(names.planes, listing.source)
    missing = not_taken_after_all(names.refused, planes)
    others = [] if chosen is OMEZARR else zarrs_left_out(listing)
    refused = [*missing, *duplicates, *others]
    ignored = [*listing.ignored, *names.skipped]
    places = [one.place for one in refused if one.place is not None]
    channels = sorted(
        {p.channel for p in planes} | {place.channel for place in places},
        key=lambda c: (names.channel_numbers.get(c, 0), natural_key(c)),
    )
    order = {channel: index for index, channel in enumerate(channels)}
    planes.sort(key=lambda plane: order[plane.channel])
    explanation = explain(chosen, planes, refused, ignored, channels, names.notes)
    return Understood(chosen, planes, refused, len(ignored), explanation, channels, guess)


def named_layout(layout: str | Layout | None) -> Layout:
    """The layout itself, the one of that name, or that of a regular expression; ValueError otherwise."""
    if isinstance(layout, Layout):
        return layout
    if layout is not None and "(" in layout:
        return custom_layout(layout)
    if layout not in LAYOUTS:
        raise ValueError(f"There is no layout {layout!r}; there are: {', '.join(LAYOUTS)}.")
    return LAYOUTS[layout]


def without_lone_z(names: Names) -> Names:
    """No z where a plate's channel has only one: the microscope took one plane and numbered it."""
    seen: dict[tuple[str, str], set[int | None]] = {}
    places = [refused.place for refused in names.refused if refused.place is not None]
    for plane in names.planes:
        seen.setdefault((plane.plate, plane.channel), set()).add(plane.z)
    for place in places:
        seen.setdefault((place.plate, place.channel), set()).add(place.z)

    def z_of(one: PlaneSource | Place) -> int | None:
        return one.z if len(seen[one.plate, one.channel] - {None}) > 1 else None

    planes = [replace(plane, z=z_of(plane)) for plane in names.planes]
    refused = [
        replace(one, place=replace(one.place, z=z_of(one.place))) if one.place is not None else one
        for one in names.refused
    ]
    return names._replace(planes=planes, refused=refused)


def without_duplicates(planes: list[PlaneSource], source: str) -> tuple[list[PlaneSource], list[RefusedFile]]:
    """The planes with one file for each place and one place for each file; the later ones are refused."""
    first: dict[tuple[object, ...], PlaneSource] = {}
    taken: dict[tuple[str, int], PlaneSource] = {}
    refused: list[RefusedFile] = []
    for plane in planes:
        place = (plane.plate, plane.well, plane.site, plane.channel, plane.timepoint, plane.z)
        there = taken.get((plane.uri, plane.page))
        if there == plane:
            continue  # two tables say the same
        if there is not None:
            refused.append(RefusedFile(plane.uri, twice_reason(plane, there)))
            continue
        kept = first.setdefault(place, plane)
        if kept is plane:
            taken[plane.uri, plane.page] = plane
        else:
            refused.append(RefusedFile(plane.uri, duplicate_reason(plane, kept, source)))
    return list(first.values()), refused


def duplicate_reason(plane: PlaneSource, kept: PlaneSource, source: str) -> str:
    """Why the later of two files for one place is refused, naming the first."""
    name, earlier = (below(one.uri.removesuffix(MARK), source) for one in (plane, kept))
    return f"{file_name(name)}: {earlier} is already the image of {describe_place(plane)}; remove one of the two."


def twice_reason(plane: PlaneSource, there: PlaneSource) -> str:
    """Why a file that is named for two places is taken for the first alone."""
    return (
        f"{file_name(plane.uri)} is named for {describe_place(plane)}, but also for {describe_place(there)}; "
        "the first is taken."
    )


def describe_place(plane: PlaneSource) -> str:
    """Such as "plate P, well B02, site 1, channel w1"."""
    return f"plate {plane.plate}, well {plane.well.name}, site {plane.site}, channel {plane.channel}"


def not_taken_after_all(refused: list[RefusedFile], planes: list[PlaneSource]) -> list[RefusedFile]:
    """The refusals without those of a plane that is there: the microscope failed, and tried again."""
    there = {(p.plate, p.well, p.site, p.channel, p.timepoint, p.z) for p in planes}
    return [
        one
        for one in refused
        if one.place is None
        or (one.place.plate, one.place.well, one.place.site, one.place.channel, one.place.timepoint, one.place.z)
        not in there
    ]


def zarrs_left_out(listing: Listing) -> list[RefusedFile]:
    """Zarr folders of a source that is read as something else."""
    return [
        RefusedFile(
            printable(uri), f"{printable(file_name(uri))} is Zarr; choose the layout {OMEZARR.title} to take it."
        )
        for uri in listing.zarrs
    ]


def explain(
    layout: Layout,
    planes: list[PlaneSource],
    refused: list[RefusedFile],
    ignored: list[str],
    channels: list[str],
    notes: Sequence[str] = (),
) -> str:
    """What was understood, in a few sentences."""
    plates = {plane.plate for plane in planes}
    wells = {(plane.plate, plane.well) for plane in planes}
    what = "image plane" if layout.names_pages else "image file"
    sentences = [
        f"Read as {layout.title}: {counted(len(planes), what)} of {counted(len(plates), 'plate')}, "
        f"{counted(len(wells), 'well')}, {counted(len(channels), 'channel')}"
        + (f" ({', '.join(channels)})." if channels else ".")
    ]
    n_missing = sum(one.place is not None for one in refused)
    if len(refused) > n_missing:
        sentences.append(f"{counted(len(refused) - n_missing, 'image file')} refused.")
    if n_missing:
        sentences.append(f"{counted(n_missing, 'image plane')} missing, such as: the file {example_of(refused)}.")
    if ignored:
        sentences.append(f"Ignored: {describe_files(ignored)}.")
    sentences += notes[:NOTES_SHOWN]
    if len(notes) > NOTES_SHOWN:
        sentences.append(f"{counted(len(notes) - NOTES_SHOWN, 'further note')}.")
    return " ".join(sentences)


def example_of(refused: list[RefusedFile]) -> str:
    """The reason of the first missing plane."""
    return next(one.reason for one in refused if one.place is not None)
