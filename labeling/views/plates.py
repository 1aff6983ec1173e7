"""All plates of an experiment side by side, what is odd about them, and the fields of a well or a class."""

from __future__ import annotations

from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_GET

from imaging.wells import WellPosition, row_letters
from labeling.models import Experiment, Image, Score, Well
from labeling.roles import Action
from labeling.services.bands import Tile, views_of
from labeling.services.image_facts import Basis, basis_of
from labeling.services.image_filters import ImageFilter, WellClass
from labeling.services.metric_sets import current_metric_set
from labeling.services.plate_map import CONTROL_CLASS, PlateMap, class_in, losses_by_cutoff, map_of
from labeling.services.well_colours import colour_wells, colourings_of
from labeling.views.access import requires
from labeling.views.asked import well_asked
from labeling.views.labels import tiles_of

MOST_FIELDS = 120


@require_GET
@requires(Action.LOOK)
def plates(request: HttpRequest, pk: int) -> HttpResponse:
    """The page; for htmx only the fields of the well that was clicked."""
    experiment = get_object_or_404(Experiment, pk=pk)
    basis = basis_of(experiment)
    if request.htmx:
        return render(request, "labeling/_well_fields.html", _fields(request, experiment, basis, None))
    plate_map = map_of(experiment, losses_by_cutoff(experiment, basis))
    metric_set = current_metric_set(experiment)
    key = request.GET.get("colour", "flagged")
    channels = [channel.name for channel in experiment.channels.all()]
    context = {
        "place": "plates",
        "plate_map": plate_map,
        "colouring": colour_wells(key, plate_map, experiment, basis.run, metric_set),
        "colourings": colourings_of(plate_map, basis.run, metric_set, channels),
        "patterns": plate_map.patterns(),
        "losing": plate_map.losing_classes(),
        "basis": basis,
        **_fields(request, experiment, basis, plate_map),
    }
    return render(request, "labeling/plates.html", context)


def _fields(
    request: HttpRequest, experiment: Experiment, basis: Basis, plate_map: PlateMap | None
) -> dict[str, object]:
    """The fields of one well (`well`), or of all wells of a class (`field` and `value`), the worst first."""
    title, wells, well, elsewhere = "", [], None, []
    if request.GET.get("well"):
        well = well_asked(experiment, request.GET["well"])
        title, wells = f"Plate {well.plate.barcode}, well {well.name}", [well.pk]
        elsewhere = _galleries_of(well)
    elif request.GET.get("field") and plate_map is not None:
        name, value = request.GET["field"], request.GET.get("value", "")
        title, wells = f"{name} {value}", [well.pk for well in plate_map.wells if well.class_in(name) == value]
        elsewhere = [(f"all {title}", ImageFilter(treatment=(WellClass(name, value),)))]
    return {
        "experiment": experiment,
        "marked": set(wells),
        "fields_title": title,
        "elsewhere": [(words, urlencode(wanted.as_query(), doseq=True)) for words, wanted in elsewhere],
        "well": well,
        "n_fields": Image.objects.filter(well__in=wells).count() if wells else 0,
        "tiles": _worst_tiles(experiment, wells, basis) if wells else [],
        "view": views_of(list(experiment.channels.all()))[0][0],
        "size": request.user.tile_size,
    }


def _galleries_of(well: Well) -> list[tuple[str, ImageFilter]]:
    """What of a well one may want to see all of, in words."""
    plate = (well.plate.barcode,)
    classes = {CONTROL_CLASS: well.control_class} | well.treatment
    held = [(name, value) for name in classes if (value := class_in(name, well.control_class, well.treatment))]
    return [
        ("this well", ImageFilter(plate=plate, well=(WellPosition(well.row, well.column),))),
        (f"row {row_letters(well.row)}", ImageFilter(plate=plate, row=(well.row,))),
        (f"column {well.column}", ImageFilter(plate=plate, column=(well.column,))),
        *((f"all {name} {value}", ImageFilter(treatment=(WellClass(name, value),))) for name, value in held),
    ]


def _worst_tiles(experiment: Experiment, wells: list[int], basis: Basis) -> list[Tile]:
    """At most so many tiles, the worst score first and fields without a score last."""
    scored = Score.objects.filter(run=basis.run, well__in=wells).order_by("score", "image")
    ids = list(scored.values_list("image_id", flat=True)[:MOST_FIELDS])
    others = Image.objects.filter(well__in=wells).exclude(pk__in=ids).in_plate_order().values_list("pk", flat=True)
    ids += others[: MOST_FIELDS - len(ids)]
    tiles = tiles_of(experiment, ids)
    return [tiles[pk] for pk in ids]
