"""Make experiments, describe their wells, and set how their channels are shown."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence

from django.db import transaction

from imaging.platemap import PlateMap, PlateMapRow
from labeling.models import Channel, Experiment, ImageFile, Job, RefusedFile, User, Well
from labeling.problems import BadValue
from labeling.services import audit
from labeling.services.jobs import start_job

# The usual false colours, by what a channel's name says; grey for a single channel.
COLOURS = {
    r"dna|dapi|hoechst|nucle": "#4c7dff",
    r"(?<![a-z])er(?![a-z])|conca|gfp|fitc|488|endoplasm": "#35d06a",
    r"rna|syto": "#b6e34a",
    r"agp|actin|phalloidin|golgi|rfp|tritc|568": "#ff9a3c",
    r"mito|cy5|640|deep": "#ff4b4b",
}
FALLBACK_COLOURS = ("#4c7dff", "#35d06a", "#ff9a3c", "#ff4b4b", "#b6e34a", "#d97bff")


@transaction.atomic
def create_experiment(name: str, *, by: User) -> Experiment:
    """A new, empty experiment. Raises BadValue for an empty or taken name."""
    name = check_name(name)
    experiment = Experiment.objects.create(name=name, created_by=by)
    audit.record("experiment.created", experiment, by=by, new={"name": name})
    return experiment


def check_name(name: str) -> str:
    """The name a new experiment gets. Raises BadValue when it is empty, too long or taken."""
    name = name.strip()
    if not name:
        raise BadValue("Give the experiment a name.")
    if len(name) > 200:
        raise BadValue("The experiment's name is longer than 200 characters; shorten it.")
    if Experiment.objects.filter(name=name).exists():
        raise BadValue(f"There is an experiment called {name!r} already; choose another name.")
    return name


def add_channels(experiment: Experiment, names: Sequence[str]) -> dict[str, Channel]:
    """The experiment's channels by name, after adding those it does not have yet."""
    channels = {channel.name: channel for channel in experiment.channels.all()}
    new = [name for name in names if name not in channels]
    alone = len(channels) + len(new) == 1
    for position, name in enumerate(new, start=len(channels)):
        colour = "#ffffff" if alone else colour_of(name, position)
        channels[name] = Channel.objects.create(experiment=experiment, position=position, name=name, colour=colour)
    return channels


def channels_of_files(experiment: Experiment, names: Sequence[str]) -> dict[str, Channel]:
    """As `add_channels`, for channels that have files: those that only a table named give way to them.

    CellProfiler's OrigDAPI is the DAPI of the files; kept beside it, every field would lack a channel for ever.
    """
    channels = experiment.channels.all()
    has_files = ImageFile.objects.filter(channel__in=channels).exists()
    if not has_files and not RefusedFile.objects.filter(channel__in=channels).exists():
        channels.delete()
    return add_channels(experiment, names)


def colour_of(name: str, position: int) -> str:
    """The false colour people expect for a channel of that name."""
    for pattern, colour in COLOURS.items():
        if re.search(pattern, name, flags=re.IGNORECASE):
            return colour
    return FALLBACK_COLOURS[position % len(FALLBACK_COLOURS)]


@transaction.atomic
def apply_platemap(
    experiment: Experiment, platemap: PlateMap, *, by: User, reason: str = "", only: Collection[str] = ()
) -> list[str]:
    """Give wells their roles, control classes and treatments. Returns what could not be applied, in words.

    Rows that name no plate go to every plate of the experiment, or to those whose barcodes are in `only`.
    """
    plates = {plate.barcode: plate for plate in experiment.plates.all()}
    wells = {
        (well.plate_id, well.row, well.column): well
        for well in Well.objects.filter(plate__experiment=experiment).select_related("plate")
    }
    errors, changed = list(platemap.errors), []
    errors += [f"Plate map: there is no plate {barcode} in {experiment.name}." for barcode in set(only) - plates.keys()]
    unnamed = [plate for plate in plates.values() if not only or plate.barcode in only]
    for row in platemap.rows:
        if row.plate is not None and row.plate not in plates:
            errors.append(f"Plate map: there is no plate {row.plate} in {experiment.name} (well {row.well.name}).")
            continue
        for plate in [plates[row.plate]] if row.plate is not None else unnamed:
            well = wells.get((plate.pk, row.well.row, row.well.column))
            if well is not None and _describe(well, row):
                changed.append(well)
    Well.objects.bulk_update(changed, ["role", "control_class", "treatment"], batch_size=1000)
    audit.record(
        "platemap.applied",
        experiment,
        by=by,
        new={"rows": len(platemap.rows), "wells_changed": len(changed), "errors": len(errors)}
        | ({"plates": sorted(only)} if only else {}),
        reason=reason,
    )
    return errors


def _describe(well: Well, row: PlateMapRow) -> bool:
    """Set what the plate map says of a well; True when that changed something."""
    before = (well.role, well.control_class, well.treatment)
    well.role, well.control_class, well.treatment = row.role, row.control_class, dict(row.treatment)
    return before != (well.role, well.control_class, well.treatment)


@transaction.atomic
def set_display_ranges(
    experiment: Experiment, ranges: Mapping[str, tuple[float, float]], *, by: User, reason: str = ""
) -> Job | None:
    """Show channels between new pixel values, for the whole experiment, and redraw the thumbnails.

    Returns the job that redraws, or None when nothing was measured yet. Raises BadValue for a range
    that does not ascend or a channel that is not there.
    """
    channels = {channel.name: channel for channel in experiment.channels.all()}
    for name, (low, high) in ranges.items():
        if name not in channels:
            raise BadValue(f"There is no channel {name} in {experiment.name}.")
        if not low < high:
            raise BadValue(f"{name}: the upper value {high:g} must be larger than the lower value {low:g}.")
    old = {name: channels[name].display_range for name in ranges}
    for name, (low, high) in ranges.items():
        channels[name].display_low, channels[name].display_high = low, high
        channels[name].save(update_fields=["display_low", "display_high"])
    is_measured = experiment.metric_sets.exists()
    # One that is waiting will draw with the newest ranges too.
    job = experiment.jobs.filter(kind=Job.Kind.THUMBNAILS, state=Job.State.QUEUED).first()
    if is_measured and job is None:
        job = start_job(Job.Kind.THUMBNAILS, experiment, by=by)
    audit.record("display.changed", experiment, by=by, old=old, new=dict(ranges), reason=reason)
    return job
