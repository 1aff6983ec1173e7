"""One image: larger, by channel, what sets it apart, what people said of it."""

from __future__ import annotations

import mimetypes

from django.core.files.storage import default_storage
from django.http import FileResponse, Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.cache import patch_cache_control
from django.views.decorators.cache import cache_control
from django.views.decorators.http import require_GET

from imaging.measure import COMPOSITE
from imaging.previews import DisplayRange, colour_jpeg, grey_jpeg, shrink, stretch_jpeg
from imaging.reading import UnreadableImage, read_pixels
from labeling.models import Channel, Defect, Image
from labeling.problems import BadValue
from labeling.roles import Action
from labeling.services import thumbnails
from labeling.services.bands import views_of
from labeling.services.metric_sets import current_metric_set
from labeling.services.standing import standings
from labeling.views.access import requires
from labeling.views.labels import what_was_said

A_YEAR = 31_536_000
FULL_PX = 1080  # of the larger view; the original stays where it is


@require_GET
@requires(Action.LOOK)
def image(request: HttpRequest, pk: int) -> HttpResponse:
    """The drawer, or the same as a page."""
    found = get_object_or_404(Image.objects.with_place().select_related("experiment"), pk=pk)
    metric_set = current_metric_set(found.experiment)
    views = views_of(list(found.experiment.channels.all()))
    view = request.GET.get("view", views[0][0])
    if view not in dict(views):
        raise BadValue(f"There is no channel number {view}.")
    context = {
        "experiment": found.experiment,
        "image": found,
        "views": views,
        "view": view,
        "files": found.files.select_related("channel").order_by("channel__position"),
        "metric_set": metric_set,
        "standings": standings(found, metric_set) if metric_set else [],
        "siblings": Image.objects.filter(well=found.well).with_place().order_by("site", "timepoint"),
        **what_was_said(request, found),
        "defects": Defect.choices,
    }
    template = "labeling/_image.html" if request.htmx else "labeling/image.html"
    return render(request, template, context)


@require_GET
@requires(Action.LOOK)
def thumbnail(request: HttpRequest, pk: int, display_version: int, view: str) -> HttpResponse:
    """A thumbnail, for ever the same at its address; an older one leads to that of now."""
    found = get_object_or_404(Image.objects.select_related("experiment").only("experiment__display_version"), pk=pk)
    path = thumbnails.path_of(found.experiment_id, display_version, pk, view)
    try:
        response = FileResponse(default_storage.open(path), content_type=mimetypes.types_map[".jpg"])
    except (FileNotFoundError, ValueError):
        now = found.experiment.display_version
        if display_version < now:  # redrawn since the page was opened
            return redirect("thumbnail", pk, now, view)
        raise Http404(f"Image {pk} has no thumbnail {view} yet.") from None
    patch_cache_control(response, private=True, immutable=True, max_age=A_YEAR)
    return response


@require_GET
@requires(Action.LOOK)
@cache_control(private=True, immutable=True, max_age=A_YEAR)
def own_thumbnail(request: HttpRequest, pk: int, display_version: int, view: str) -> HttpResponse:
    """The thumbnail stretched to its own range, for faint images."""
    found = get_object_or_404(Image.objects.only("experiment_id"), pk=pk)
    path = thumbnails.path_of(found.experiment_id, display_version, pk, view)
    try:
        with default_storage.open(path) as file:
            return HttpResponse(stretch_jpeg(file.read()), content_type=mimetypes.types_map[".jpg"])
    except (FileNotFoundError, ValueError):
        raise Http404(f"Image {pk} has no thumbnail {view} yet.") from None


@require_GET
@requires(Action.LOOK)
@cache_control(private=True, max_age=3600)
def full(request: HttpRequest, pk: int, display_version: int, view: str) -> HttpResponse:
    """The image from its original pixels, at most 1,080 px wide, in the experiment's display range."""
    found = get_object_or_404(Image.objects.select_related("experiment"), pk=pk)
    files = found.files.select_related("channel").order_by("channel__position")
    chosen = [file for file in files if view in (COMPOSITE, str(file.channel.position))]
    if not chosen or any(file.channel.display_range is None for file in chosen):
        raise Http404(f"Image {pk} cannot be shown as {view}.")
    try:
        planes = [shrink(read_pixels(file.uri, file.page), FULL_PX) for file in chosen]
    except UnreadableImage as reason:
        raise Http404(f"Image {pk}: {reason}") from None
    channels = [file.channel for file in chosen]
    return HttpResponse(_jpeg_of(planes, channels), content_type="image/jpeg")


def _jpeg_of(planes: list, channels: list[Channel]) -> bytes:
    ranges = [DisplayRange(*channel.display_range) for channel in channels]
    if len(planes) == 1:
        return grey_jpeg(planes[0], ranges[0])
    return colour_jpeg(planes, ranges, [channel.colour for channel in channels])
