"""More like this: beside one image, those most alike in its experiment."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_GET

from labeling.models import Image
from labeling.roles import Action
from labeling.services.bands import Tile, views_of
from labeling.services.similar import similar_images
from labeling.views.access import requires

STRIP_TILES, PAGE_TILES = 12, 60


@require_GET
@requires(Action.LOOK)
def similar(request: HttpRequest, pk: int) -> HttpResponse:
    """A strip for the drawer, or more of them as a page."""
    image = get_object_or_404(Image.objects.with_place().select_related("experiment"), pk=pk)
    found = similar_images(image, limit=STRIP_TILES if request.htmx else PAGE_TILES)
    context = {
        "experiment": image.experiment,
        "image": image,
        "found": found,
        "tiles": [
            (Tile(one.facts.image, one.facts.isolation_score, one.facts.label, one.facts.flagged), one.similarity)
            for one in found.images
        ],
        "view": views_of(list(image.experiment.channels.all()))[0][0],
        "size": request.user.tile_size,
    }
    template = "labeling/_similar.html" if request.htmx else "labeling/similar.html"
    return render(request, template, context)
