"""Take a folder of images into an experiment: what is there, what was refused and why."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from django.db import transaction

from imaging.layouts import Place, PlaneSource
from imaging.layouts import RefusedFile as Refused
from imaging.layouts.reading import Reading
from imaging.reading import PlaneFacts
from imaging.reading.projections import is_projection, slices_of
from imaging.wells import smallest_format
from labeling.models import Channel, Experiment, Image, ImageFile, Job, Plate, RefusedFile, User, Well
from labeling.services import audit
from labeling.services.embedding import after_measuring
from labeling.services.experiments import channels_of_files, check_name, create_experiment
from labeling.services.ingest_look import Looked, look_at_files
from labeling.services.ingest_rows import add_files, add_images, add_wells, change_addresses
from labeling.services.jobs import start_job
from labeling.services.locks import wait_for_turn
from labeling.services.refusals import find_incomplete, resolve_gone, resolve_taken, store_refusals
from labeling.services.sources import check_source, read_source, z_rule

Progress = Callable[[int, int], None]


@dataclass
class IngestReport:
    """What one ingest did, for the person who asked."""

    explanation: str = ""
    n_taken: int = 0
    n_known: int = 0
    n_moved: int = 0
    n_ignored: int = 0
    n_z_left_out: int = 0
    n_other_z: int = 0
    n_new_images: int = 0
    n_resolved: int = 0
    refused: list[tuple[str, str]] = field(default_factory=list)
    missing: list[tuple[str, str]] = field(default_factory=list)
    incomplete: list[tuple[str, str]] = field(default_factory=list)

    @property
    def summary(self) -> str:
        parts = [f"{self.n_taken:,} files taken, {self.n_new_images:,} new fields."]
        if self.n_known:
            parts.append(f"{self.n_known:,} files were there already.")
        if self.n_moved:
            parts.append(f"{self.n_moved:,} files were there under another address; the new one is kept.")
        if self.n_other_z:
            parts.append(
                f"{self.n_other_z:,} planes are there already by another choice of z and stay as they are, because "
                "images never change under their labels; take the folder in as another experiment for the new choice."
            )
        if self.refused:
            parts.append(f"{len(self.refused):,} files could not be taken (see list).")
        if self.missing:
            parts.append(f"{len(self.missing):,} planes were not taken by the microscope or are not there (see list).")
        if self.incomplete:
            parts.append(f"{len(self.incomplete):,} fields lack a channel (see list).")
        if self.n_z_left_out:
            parts.append(f"{self.n_z_left_out:,} further z slices were left out.")
        if self.n_resolved:
            parts.append(f"{self.n_resolved:,} files refused earlier are no longer there or no longer needed.")
        return " ".join(parts)


def ingest_source(
    experiment: Experiment,
    source: str,
    *,
    by: User,
    layout: str | None = None,
    plate: str | None = None,
    z: str | None = None,
    progress: Progress | None = None,
) -> IngestReport:
    """Take the images of a folder. Can be repeated: what is known is left alone, what was mended is taken.

    `layout` is the name of one of ours or a regular expression with named groups; guessed when empty. `z` chooses
    among the z planes of a field: one of `Z_RULES` or a number; the middle when empty. A field that is there by
    another rule stays as it is. Raises BadValue when nothing can be read there, with nothing stored.
    """
    reading = read_source(source, layout=layout, plate=plate, z=z)
    looked = look_at_files(experiment, reading, source, progress)
    return _store(experiment, reading, looked, source, by=by)


def ingest_as(
    name: str,
    source: str,
    *,
    by: User,
    layout: str | None = None,
    plate: str | None = None,
    z: str | None = None,
    progress: Progress | None = None,
) -> tuple[Experiment, IngestReport]:
    """As `ingest_source`, into the experiment of that name, which is made when there is none and images can be read."""
    experiment = Experiment.objects.filter(name=name).first()
    if experiment is None:
        check_name(name)
    reading = read_source(source, layout=layout, plate=plate, z=z)
    looked = look_at_files(experiment, reading, source, progress)
    experiment = experiment or create_experiment(name, by=by)
    return experiment, _store(experiment, reading, looked, source, by=by)


def queue_ingest(
    experiment: Experiment,
    *,
    by: User,
    source: str,
    layout: str | None = None,
    plate: str | None = None,
    z: str | None = None,
) -> Job:
    """Have a folder taken in by the worker, and then measured and scored. BadValue for a place that is not open."""
    check_source(source)
    z_rule(z)
    given = {name: value for name, value in (("layout", layout), ("plate", plate), ("z", z)) if value}
    return start_job(
        Job.Kind.INGEST,
        experiment,
        by=by,
        parameters={"source": source, **given},
        followed_by=[Job.Kind.MEASURE, *after_measuring()],
    )


@transaction.atomic
def _store(experiment: Experiment, reading: Reading, looked: Looked, source: str, *, by: User) -> IngestReport:
    """Write down what was found, with its audit event."""
    report = IngestReport(
        reading.explanation,
        n_known=looked.n_known,
        n_moved=len(looked.moved),
        n_ignored=reading.n_ignored,
        n_z_left_out=reading.n_left_out,
    )
    report.refused = [(refused.uri, refused.reason) for refused in reading.refused]
    # Another ingest of this experiment waits here, so that no field is made twice.
    wait_for_turn("ingest", [experiment.pk])
    refused = [RefusedFile(experiment=experiment, uri=uri, reason=why) for uri, why in report.refused]
    _store_addresses(experiment, looked.moved)
    channels = channels_of_files(experiment, reading.channels)
    stacks = _files_of_stacks(reading.stacks)
    by_plate: dict[str, tuple[list[PlaneSource], list[Refused]]] = defaultdict(lambda: ([], []))
    for plane in looked.new:
        by_plate[plane.plate][0].append(plane)
    for one in reading.missing:
        by_plate[one.place.plate][1].append(one)
    for barcode, (planes, missing) in sorted(by_plate.items()):
        refused += _store_plate(experiment, barcode, planes, missing, channels, looked, stacks, report)
    store_refusals(experiment, refused)
    report.n_resolved = resolve_gone(experiment, reading.listing.source, refused)
    report.incomplete = find_incomplete(experiment, channels)
    audit.record(
        "experiment.ingested",
        experiment,
        by=by,
        new={
            "source": source,
            "layout": reading.layout.name,
            "z": str(reading.rule),
            "files": report.n_taken,
            "known": report.n_known,
            "moved": report.n_moved,
            "fields": report.n_new_images,
            "refused": len(report.refused),
            "missing": len(report.missing),
            **({"there by another choice of z": report.n_other_z} if report.n_other_z else {}),
        },
    )
    return report


def _store_addresses(experiment: Experiment, moved: dict[PlaneSource, ImageFile]) -> None:
    """The files are the same, only elsewhere now: labels, metrics and places stay."""
    for plane, file in moved.items():
        file.uri = plane.uri
    change_addresses(moved.values())
    resolve_taken(experiment, list(moved.values()))


def _store_plate(
    experiment: Experiment,
    barcode: str,
    planes: list[PlaneSource],
    missing: list[Refused],
    channels: dict[str, Channel],
    looked: Looked,
    stacks: dict[tuple[object, ...], set[str]],
    report: IngestReport,
) -> list[RefusedFile]:
    """Take the planes of a plate; returns those that could not be taken, and those that are missing."""
    places: list[PlaneSource | Place] = [*planes, *(one.place for one in missing if one.place is not None)]
    plate = _plate_for(experiment, barcode, places)
    wells = _wells_for(plate, places)
    images, n_new = _images_for(experiment, plate, wells, places)
    report.n_new_images += n_new
    taken = {
        (file.image_id, file.channel_id): (file.uri, file.page) for file in ImageFile.objects.filter(image__plate=plate)
    }
    files, refused = [], []
    for plane in planes:
        image, channel = images[_place(plane)], channels[plane.channel]
        there = taken.get((image.pk, channel.pk))
        if there == (plane.uri, plane.page):  # another ingest took it meanwhile
            report.n_known += 1
            continue
        if there is not None and _files_of(there[0]) <= stacks[_stack(plane)]:
            report.n_other_z += 1
            continue
        reason = looked.refusals.get(plane)
        if reason is None and there is not None:
            reason = f"{image.place} {channel.name} of plate {barcode} is there already, from {there[0]}"
        if reason is not None:
            report.refused.append((plane.uri, reason))
            refused.append(_refused(experiment, image, channel, plane.uri, reason))
            continue
        taken[image.pk, channel.pk] = plane.uri, plane.page
        files.append(_file_of(plane, looked.facts[plane], image, channel))
    add_files(files)
    report.n_taken += len(files)
    resolve_taken(experiment, files)
    for one in missing:
        image, channel = images[_place(one.place)], channels[one.place.channel]
        if (image.pk, channel.pk) not in taken:  # else another folder has it
            report.missing.append((one.uri, one.reason))
            refused.append(_refused(experiment, image, channel, one.uri, one.reason))
    return refused


def _file_of(plane: PlaneSource, fact: PlaneFacts, image: Image, channel: Channel) -> ImageFile:
    return ImageFile(
        image=image,
        channel=channel,
        uri=plane.uri,
        page=plane.page,
        z=plane.z,
        size_bytes=fact.size_bytes,
        width=fact.width,
        height=fact.height,
        bit_depth=fact.bit_depth,
    )


def _refused(experiment: Experiment, image: Image, channel: Channel, uri: str, reason: str) -> RefusedFile:
    return RefusedFile(experiment=experiment, image=image, channel=channel, uri=uri, reason=reason)


def _plate_for(experiment: Experiment, barcode: str, places: list[PlaneSource | Place]) -> Plate:
    """The plate, made or grown to the smallest format that holds all its wells."""
    n_rows, n_columns = smallest_format([place.well for place in places])
    plate, made = Plate.objects.get_or_create(
        experiment=experiment, barcode=barcode, defaults={"n_rows": n_rows, "n_columns": n_columns}
    )
    if not made and (n_rows > plate.n_rows or n_columns > plate.n_columns):
        plate.n_rows, plate.n_columns = max(n_rows, plate.n_rows), max(n_columns, plate.n_columns)
        plate.save(update_fields=["n_rows", "n_columns"])
    return plate


def _wells_for(plate: Plate, places: list[PlaneSource | Place]) -> dict[tuple[int, int], Well]:
    add_wells(plate, sorted({(place.well.row, place.well.column) for place in places}))
    return {(well.row, well.column): well for well in plate.wells.all()}


def _images_for(
    experiment: Experiment, plate: Plate, wells: dict[tuple[int, int], Well], places: list[PlaneSource | Place]
) -> tuple[dict[tuple[int, int, int, int], Image], int]:
    """Images of the plate by place, after adding those that are new; and how many those were."""
    known = _images_by_place(plate)
    new = sorted({_place(place) for place in places} - known.keys())
    add_images(experiment, plate, wells, new)
    return _images_by_place(plate), len(new)


def _images_by_place(plate: Plate) -> dict[tuple[int, int, int, int], Image]:
    return {
        (image.well.row, image.well.column, image.site, image.timepoint): image
        for image in plate.images.select_related("well")
    }


def _place(place: PlaneSource | Place) -> tuple[int, int, int, int]:
    return place.well.row, place.well.column, place.site, place.timepoint


# z planes of one field and channel


def _stack(plane: PlaneSource) -> tuple[object, ...]:
    return plane.plate, *_place(plane), plane.channel


def _files_of_stacks(planes: Iterable[PlaneSource]) -> dict[tuple[object, ...], set[str]]:
    """The files that show each channel of each field, of whatever z."""
    stacks: dict[tuple[object, ...], set[str]] = defaultdict(set)
    for plane in planes:
        stacks[_stack(plane)].add(plane.uri)
    return stacks


def _files_of(uri: str) -> set[str]:
    """The files of an address, which may be that of a projection."""
    return {one for one, _ in slices_of(uri)} if is_projection(uri) else {uri}
