"""The heart: move the cutoff and see at once which images fall out."""

from __future__ import annotations

import json

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.cache import cache_control
from django.views.decorators.http import require_GET, require_POST

from imaging.metrics.foreign import meaning_of
from labeling.models import Cutoff, Experiment, ScoreKind, ScoreRun
from labeling.problems import BadValue, Conflict
from labeling.roles import Action
from labeling.services.bands import Axis, Position, read_bands, rules_for
from labeling.services.cutoffs import (
    AUTOMATIC,
    CutoffChoice,
    choose_cutoff,
    current_run,
    flagged_rows,
    named_rules,
    preview_cutoff,
    save_cutoff,
    score_choices,
)
from labeling.services.histograms import Scale, bars_of
from labeling.services.placeholders import describe_bands
from labeling.services.rules import Condition
from labeling.services.run_tables import RAW, Z, check_metric, metric_choices, metric_values, title_of
from labeling.services.scores import scores_of
from labeling.templatetags.lab import score as shown_score
from labeling.templatetags.lab import utc
from labeling.views.access import requires
from labeling.views.asked import WAYS, axis_of, choice_asked, query_of, run_asked, score_asked, tile_frame

BAND_TILES = 24
PAGE_TILES = 60
LISTED_CUTOFFS = 50
A_YEAR = 31_536_000


@require_GET
@requires(Action.LOOK)
def review(request: HttpRequest, pk: int) -> HttpResponse:
    """The page, or for htmx only its bands; with `band` one whole band, page after page."""
    experiment = get_object_or_404(Experiment.objects.prefetch_related("channels"), pk=pk)
    run = run_asked(request.GET, experiment)
    if run is None:
        return render(request, "labeling/review_empty.html", {"experiment": experiment, "place": "review"})
    saved = Cutoff.objects.current(run)
    was = CutoffChoice.of(saved) if saved else None
    choice = choice_asked(request.GET, run, was)
    axis = axis_of(run, request.GET, choice)
    context = tile_frame(request, experiment) | _bands(request, run, choice, was, axis) | {"saved": saved}
    context["bands"] = describe_bands(context["bands"], experiment)
    if request.htmx:
        return render(request, "labeling/_bands.html", context)
    context |= _explorer(experiment, run, choice, was, axis) | _saved_rules(experiment, run)
    context["prefilled_reason"] = request.GET.get("reason", "")
    return render(request, "labeling/review.html", context)


@require_POST
@requires(Action.SET_CUTOFF)
def save(request: HttpRequest, pk: int) -> HttpResponse:
    """Put the cutoff in force, with its reason."""
    experiment = get_object_or_404(Experiment, pk=pk)
    run = current_run(experiment, request.POST.get("score", ScoreKind.ISOLATION))
    if request.POST.get("run") != str(run.pk):
        raise Conflict("The experiment was scored again meanwhile. Look at the new scores and save again.")
    given = {name: request.POST.get(name) for name in WAYS}
    conditions = [Condition.parse(text) for text in request.POST.getlist("also") if text]
    cutoff = save_cutoff(
        run,
        choose_cutoff(run, **given, conditions=conditions),
        by=request.user,
        reason=request.POST.get("reason", ""),
        name=request.POST.get("name", ""),
    )
    what = f"Rule {cutoff.name!r}" if cutoff.name else f"Cutoff {cutoff.value:.4f}"
    messages.success(request, f"{what} is saved: {cutoff.n_flagged:,} of {run.n_images:,} flagged.")
    return redirect(reverse("review", args=[pk]))  # which shows the cutoff in force


@require_GET
@requires(Action.LOOK)
@cache_control(private=True, immutable=True, max_age=A_YEAR)
def vector(request: HttpRequest, run_id: int) -> HttpResponse:
    """All scores of a run, ascending float32, then each one's plate as uint16: what the browser counts with."""
    run = get_object_or_404(ScoreRun.objects.only("vector"), pk=run_id)
    return HttpResponse(bytes(run.vector), content_type="application/octet-stream")


@require_GET
@requires(Action.LOOK)
@cache_control(private=True, immutable=True, max_age=A_YEAR)
def metric_vector(request: HttpRequest, run_id: int) -> HttpResponse:
    """One metric of every image, float32 in the order of the scores; NaN where undefined."""
    run = get_object_or_404(ScoreRun.objects.defer("vector").select_related("experiment"), pk=run_id)
    column, unit = request.GET.get("column", ""), request.GET.get("unit", RAW)
    check_metric(run, column, unit)
    values = metric_values(run.pk, column, unit).astype("<f4")
    return HttpResponse(values.tobytes(), content_type="application/octet-stream")


def _bands(
    request: HttpRequest, run: ScoreRun, choice: CutoffChoice, was: CutoffChoice | None, axis: Axis
) -> dict[str, object]:
    rules = everything = rules_for(run, choice, was, axis)
    name, limit, after = request.GET.get("band"), BAND_TILES, None
    if name:
        # Addresses from before rules had several conditions: then only one strip could hold what changes.
        known = name if name != "changes" else "out" if "out" in rules else "back"
        if known not in rules:
            raise BadValue(f"There is no band called {name!r} for this cutoff.")
        rules, limit = {known: rules[known]}, PAGE_TILES
        after = Position.parse(request.GET["after"]) if request.GET.get("after") else None
    flagged = flagged_rows(run, choice)
    changed = {f"n_{one}": len(everything[one].rows) if one in everything else 0 for one in ("out", "back")}
    return changed | {
        "run": run,
        "choice": choice,
        "choice_query": query_of(choice, score=score_asked(request.GET)),
        "preview": preview_cutoff(run, choice),
        "place": "review",
        "axis": axis,
        "bands": read_bands(axis, list(rules.values()), flagged, limit=limit, after=after),
        "band": name,
    }


def _explorer(
    experiment: Experiment, run: ScoreRun, choice: CutoffChoice, was: CutoffChoice | None, axis: Axis
) -> dict[str, object]:
    """The histogram, its axis, and what the script needs to count by itself; for the whole page only."""
    channels = [channel.name for channel in experiment.channels.all()]
    condition = axis.condition
    values = scores_of(run.pk).ascending if axis.metric is None else axis.metric
    scale = Scale.even(values) if condition is None else Scale.stretched(values)
    if condition is None:
        lines = [("cutoff", choice.value)]
    else:
        lines = [
            ("low", scale.low if condition.low is None else condition.low),
            ("high", scale.high if condition.high is None else condition.high),
        ]
    places = {name: float(scale.at(value)) for name, value in lines}
    metric = None if condition is None else meaning_of(condition.column, tuple(channels))
    return {
        "bars": bars_of(values, scale),
        "scale": scale,
        "condition": condition,
        "places": places,
        "right_of_high": 1000 - places.get("high", 0),
        "automatic": AUTOMATIC[ScoreKind(run.kind)],
        "scores": (choices := score_choices(experiment)),
        "score_name": next((name for name, _, one in choices if one == run), run.kind),
        "metrics": metric_choices(experiment, run),
        "metric": metric[0] if metric else None,
        "metric_channel": metric[1] if metric else "",
        "metric_title": title_of(condition.column, channels) if condition else "",
        "unit": condition.unit if condition else RAW,
        "units": [(RAW, "As measured"), (Z, "Robust z")],
        "n_undefined": 0 if axis.metric is None else int((axis.metric != axis.metric).sum()),
        "on_axis": condition and (condition.unit, condition.column),
        "chips": _chips(choice, channels),
        "also_texts": [str(one) for one in choice.conditions],
        "rule_json": json.dumps(_for_script(run, choice, was, axis, scale, channels)),
    }


def _for_script(
    run: ScoreRun,
    choice: CutoffChoice,
    was: CutoffChoice | None,
    axis: Axis,
    scale: Scale,
    channels: list[str],
) -> dict[str, object]:
    """The rule as the script moves it, and where the numbers are that it counts with."""
    return {
        "scores": reverse("score_vector", args=[run.pk]),
        "metrics": reverse("metric_vector", args=[run.pk]),
        "automatic": AUTOMATIC[ScoreKind(run.kind)],
        "scale": {"low": scale.low, "high": scale.high, "centre": scale.centre, "spread": scale.spread},
        "axis": axis.condition and {"column": axis.condition.column, "unit": axis.condition.unit},
        "axisWords": axis.condition and _axis_words(axis.condition, channels),
        "rule": _rule_json(choice, channels),
        "saved": was and _rule_json(was, channels),
    }


def _rule_json(choice: CutoffChoice, channels: list[str]) -> dict[str, object]:
    return {
        "value": choice.value,
        "how": choice.how,
        "percent": choice.percent,
        "conditions": [one.as_json() | {"words": one.in_words(channels)} for one in choice.conditions],
    }


def _chips(choice: CutoffChoice, channels: list[str]) -> list[dict[str, object]]:
    """The conditions of a rule, each in words, as it stands in an address, and the rule without it."""
    return [
        {
            "words": one.in_words(channels),
            "text": str(one),
            "unit": one.unit,
            "column": one.column,
            "without": [str(other) for other in choice.conditions if other != one] or [""],
        }
        for one in choice.conditions
    ]


def _axis_words(condition: Condition, channels: list[str]) -> dict[str, str]:
    """How the script writes the condition on the axis: `saturated`, ` %`, `DNA`."""
    metric, channel = meaning_of(condition.column, tuple(channels))
    unit = " robust SD" if condition.unit == Z else " %" if metric.unit == "%" else ""
    return {"title": title_of(condition.column, channels), "unit": unit, "channel": channel}


def _saved_rules(experiment: Experiment, run: ScoreRun) -> dict[str, object]:
    """Cutoffs of these scores, and rules that have a name; each with the address that brings it back."""
    channels = [channel.name for channel in experiment.channels.all()]
    history = Cutoff.objects.filter(run=run).select_related("by")[:LISTED_CUTOFFS]
    return {
        "history": [_row(cutoff, run, channels) for cutoff in history],
        "named": [_row(cutoff, run, channels) for cutoff in named_rules(experiment)],
    }


def _row(cutoff: Cutoff, run: ScoreRun, channels: list[str]) -> dict[str, object]:
    choice = CutoffChoice.of(cutoff)
    what = f"“{cutoff.name}”" if cutoff.name else f"the cutoff {shown_score(cutoff.value, 4)}"
    reason = f"back to {what} of {cutoff.by}, {utc(cutoff.at)}"
    kind = run.kind if cutoff.run_id == run.pk else cutoff.run.kind  # a named rule may be of other scores
    return {
        "cutoff": cutoff,
        "conditions": [condition.in_words(channels) for condition in choice.conditions],
        "back": query_of(choice, score=kind, reason=reason, name=cutoff.name),
    }
