"""Who labelled how many, how well people agree, and the images they do not agree on."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_GET

from labeling.models import Experiment
from labeling.problems import BadValue
from labeling.roles import Action
from labeling.services.agreement import LARGEST_ID, agreement_of_people, disagreements, people_asked
from labeling.services.placeholders import describe_tiles
from labeling.statistics.agreement import ENOUGH
from labeling.views.access import requires
from labeling.views.asked import tile_frame
from labeling.views.labels import tiles_of

PAGE = 60


@require_GET
@requires(Action.LOOK)
def agreement(request: HttpRequest, pk: int) -> HttpResponse:
    """The page; for htmx only the next disagreements."""
    experiment = get_object_or_404(Experiment, pk=pk)
    people, with_settled = request.GET.get("people", ""), request.GET.get("show") == "all"
    page = disagreements(
        experiment,
        of=people_asked(people) if people else (),
        with_settled=with_settled,
        before=_position(request.GET.get("before", "")),
        limit=PAGE,
    )
    tiles = tiles_of(experiment, [one.image_id for one in page.shown])
    described = describe_tiles([tiles[one.image_id] for one in page.shown], experiment)
    context = tile_frame(request, experiment) | {
        "place": "queue",
        "page": page,
        "people": people,
        "with_settled": with_settled,
        "disputed": list(zip(described, page.shown, strict=True)),
    }
    if request.htmx:
        return render(request, "labeling/_disagreements.html", context)
    return render(
        request,
        "labeling/agreement.html",
        context | {"counted": agreement_of_people(experiment), "enough": ENOUGH},
    )


def _position(text: str) -> int | None:
    if not text:
        return None
    if not text.isdecimal() or int(text) > LARGEST_ID:
        raise BadValue("This page of disagreements does not exist; open Agreement again.")
    return int(text)
