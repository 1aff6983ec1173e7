"""Full resolution: zoom, pan, contrast on the real values, and the next image by key."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.views.decorators.cache import cache_control
from django.views.decorators.http import require_GET

from labeling.models import Defect, Image, ImageFile, ScoreRun
from labeling.problems import BadValue
from labeling.roles import Action
from labeling.services.bands import views_of
from labeling.services.metric_sets import current_metric_set
from labeling.services.standing import standings
from labeling.services.viewing import Beside, beside_by_score, beside_on_plate, neighbour_grid, pixel_values
from labeling.views.access import requires
from labeling.views.labels import what_was_said

ORDERS = {"score": "by score", "place": "by place"}


@require_GET
@requires(Action.LOOK)
def viewer(request: HttpRequest, pk: int) -> HttpResponse:
    image = get_object_or_404(Image.objects.with_place().select_related("experiment"), pk=pk)
    experiment, metric_set = image.experiment, current_metric_set(image.experiment)
    order, beside = _beside(request, image)
    context = {
        "experiment": experiment,
        "image": image,
        "view": views_of(list(experiment.channels.all()))[0][0],
        "size": 96,
        "channels": _channels(image),
        "standings": standings(image, metric_set) if metric_set else [],
        "siblings": Image.objects.filter(well=image.well).with_place().order_by("site", "timepoint"),
        "neighbours": neighbour_grid(image),
        **what_was_said(request, image),
        "defects": Defect.choices,
        "order": order,
        "orders": ORDERS,
        "beside": beside,
    }
    return render(request, "labeling/viewer.html", context)


@require_GET
@requires(Action.LOOK)
@cache_control(private=True, max_age=3600)
def pixels(request: HttpRequest, pk: int, position: int) -> HttpResponse:
    """Pixel values of one channel as little-endian uint16, row by row; the size stands in the headers."""
    file = get_object_or_404(ImageFile, image=pk, channel__position=position)
    asked = request.GET.get("size")
    if asked and not (asked.isdecimal() and len(asked) < 9):
        raise BadValue(f"The size {asked!r} is no number of pixels.")
    values = pixel_values(file, int(asked) if asked else None)
    response = HttpResponse(values.tobytes(), content_type="application/octet-stream")
    response["X-Height"], response["X-Width"] = values.shape
    return response


def _beside(request: HttpRequest, image: Image) -> tuple[str, Beside]:
    """The order somebody walks in (by score where there are scores) and the images on both sides."""
    run = ScoreRun.objects.defer("vector").latest_of(image.experiment)
    order = request.GET.get("order") or ("score" if run else "place")
    if order not in ORDERS:
        raise BadValue(f"Images are walked {' or '.join(ORDERS.values())}.")
    if order == "score" and run is not None:
        return order, beside_by_score(image, run)
    return order, beside_on_plate(image)


def _channels(image: Image) -> list[dict[str, object]]:
    """What the script needs to draw each channel."""
    files = image.files.select_related("channel").order_by("channel__position")
    return [
        {
            "name": file.channel.name,
            "colour": file.channel.colour,
            "low": file.channel.display_low if file.channel.display_low is not None else 0,
            "high": file.channel.display_high if file.channel.display_high is not None else 2**file.bit_depth - 1,
            "most": file.channel.camera_ceiling or 2**file.bit_depth - 1,
            "width": file.width,
            "height": file.height,
            "pixels": reverse("pixels", args=[image.pk, file.channel.position]),
        }
        for file in files
    ]
