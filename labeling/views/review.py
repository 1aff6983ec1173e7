"""The heart: move the cutoff and see at once which images fall out."""

from __future__ import annotations

from dataclasses import dataclass

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.cache import cache_control
from django.views.decorators.http import require_GET, require_POST

from labeling.models import Cutoff, Defect, Experiment, ScoreKind, ScoreRun
from labeling.problems import BadValue, Conflict
from labeling.roles import Action
from labeling.services.bands import Position, read_band, rules_for, views_of
from labeling.services.cutoffs import (
    AUTOMATIC,
    CutoffChoice,
    choose_cutoff,
    current_run,
    preview_cutoff,
    save_cutoff,
)
from labeling.services.placeholders import describe_bands
from labeling.services.scores import scores_of
from labeling.views.access import requires

HISTOGRAM_BINS = 160
BAND_TILES = 24
PAGE_TILES = 60
TILE_SIZES = (96, 144, 224)


@dataclass(frozen=True)
class Bar:
    """One bar of the histogram, in the units of its drawing: 1,000 wide, 100 high."""

    x: float
    y: float
    width: float
    height: float
    count: int
    low: float
    high: float


@require_GET
@requires(Action.LOOK)
def review(request: HttpRequest, pk: int) -> HttpResponse:
    """The page, or for htmx only its bands; with `band` one whole band, page after page."""
    experiment = get_object_or_404(Experiment, pk=pk)
    run = ScoreRun.objects.defer("vector").latest_of(experiment)
    if run is None:
        return render(request, "labeling/review_empty.html", {"experiment": experiment})
    saved = Cutoff.objects.current(run)
    choice = _choice(request, run, saved)
    context = _frame(request, experiment) | _bands(request, run, choice, saved)
    context["bands"] = describe_bands(context["bands"], experiment)
    if request.htmx:
        return render(request, "labeling/_bands.html", context)
    context |= _explorer(run, choice)
    return render(request, "labeling/review.html", context)


@require_POST
@requires(Action.SET_CUTOFF)
def save(request: HttpRequest, pk: int) -> HttpResponse:
    """Put the cutoff in force, with its reason."""
    experiment = get_object_or_404(Experiment, pk=pk)
    run = current_run(experiment, request.POST.get("score", ScoreKind.ISOLATION))
    if request.POST.get("run") != str(run.pk):
        raise Conflict("The experiment was scored again meanwhile. Look at the new scores and save again.")
    given = {name: request.POST.get(name) for name in ("value", "percent", "automatic")}
    cutoff = save_cutoff(run, choose_cutoff(run, **given), by=request.user, reason=request.POST.get("reason", ""))
    messages.success(request, f"Cutoff {cutoff.value:.4f} is saved: {cutoff.n_flagged:,} of {run.n_images:,} flagged.")
    return redirect(reverse("review", args=[pk]))


@require_GET
@requires(Action.LOOK)
@cache_control(private=True, immutable=True, max_age=31_536_000)
def vector(request: HttpRequest, run_id: int) -> HttpResponse:
    """All scores of a run, ascending float32, then each one's plate as uint16: what the browser counts with."""
    run = get_object_or_404(ScoreRun.objects.only("vector"), pk=run_id)
    return HttpResponse(bytes(run.vector), content_type="application/octet-stream")


def _choice(request: HttpRequest, run: ScoreRun, saved: Cutoff | None) -> CutoffChoice:
    """The cutoff asked for, else the saved one, else the automatic one."""
    given = {name: request.GET.get(name) for name in ("value", "percent", "automatic")}
    if any(given.values()):
        return choose_cutoff(run, **given)
    if saved:
        return CutoffChoice(saved.value, saved.how, saved.percent)
    return CutoffChoice(AUTOMATIC[ScoreKind(run.kind)], Cutoff.How.AUTOMATIC)


def _frame(request: HttpRequest, experiment: Experiment) -> dict[str, object]:
    """What every tile needs to be drawn."""
    views = views_of(list(experiment.channels.all()))
    view = request.GET.get("view", views[0][0])
    if view not in dict(views):
        raise BadValue(f"There is no channel number {view}.")
    size = request.GET.get("size", request.user.tile_size)
    if str(size) not in {str(known) for known in TILE_SIZES}:
        raise BadValue(f"Tiles are {', '.join(map(str, TILE_SIZES))} pixels wide.")
    if int(size) != request.user.tile_size:
        request.user.tile_size = int(size)
        request.user.save(update_fields=["tile_size"])
    return {
        "experiment": experiment,
        "views": views,
        "view": view,
        "size": int(size),
        "sizes": TILE_SIZES,
        "defects": Defect.choices,
    }


def _bands(request: HttpRequest, run: ScoreRun, choice: CutoffChoice, saved: Cutoff | None) -> dict[str, object]:
    rules = rules_for(run, choice.value, saved.value if saved else None)
    name, limit, after = request.GET.get("band"), BAND_TILES, None
    if name:
        if name not in rules:
            raise BadValue(f"There is no band called {name!r} for this cutoff.")
        rules, limit = {name: rules[name]}, PAGE_TILES
        after = Position.parse(request.GET["after"]) if request.GET.get("after") else None
    return {
        "run": run,
        "choice": choice,
        "saved": saved,
        "preview": preview_cutoff(run, choice),
        "place": "review",
        "bands": [read_band(run, rule, choice.value, limit=limit, after=after) for rule in rules.values()],
        "band": name,
    }


def _explorer(run: ScoreRun, choice: CutoffChoice) -> dict[str, object]:
    """The histogram and the slider's span, for the whole page only."""
    scores = scores_of(run.pk)
    counts, edges = scores.histogram(HISTOGRAM_BINS)
    low, high = float(edges[0]), float(edges[-1])
    tallest = max(int(counts.max()), 1)
    width = 1000 / HISTOGRAM_BINS
    bars = [
        # Heights grow with the square root, so that a bar of three bad images is still seen beside 3,000.
        Bar(n * width, 100 - 100 * (count / tallest) ** 0.5, width, 100 * (count / tallest) ** 0.5, count, a, b)
        for n, (count, a, b) in enumerate(zip(counts.tolist(), edges[:-1].tolist(), edges[1:].tolist(), strict=True))
        if count
    ]
    return {
        "bars": bars,
        "low": low,
        "high": high,
        "line_x": 1000 * min(max((choice.value - low) / ((high - low) or 1), 0), 1),
        "automatic": AUTOMATIC[ScoreKind(run.kind)],
        "history": Cutoff.objects.filter(run=run).select_related("by")[:10],
    }
