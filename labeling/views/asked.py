"""What an address of Review or the gallery asks for: which scores, which rule, along which axis, how tiles look."""

from __future__ import annotations

from django.http import HttpRequest, QueryDict
from django.shortcuts import get_object_or_404
from django.utils.http import urlencode

from labeling.models import Cutoff, Defect, Experiment, ScoreKind, ScoreRun, User, Well
from labeling.problems import BadValue
from labeling.services.bands import Axis, views_of
from labeling.services.cutoffs import (
    AUTOMATIC,
    PROMOTED,
    CutoffChoice,
    choose_cutoff,
    cutoff_in_force,
    score_choices,
)
from labeling.services.rules import Condition
from labeling.services.run_tables import RAW, check_metric

WAYS = ("value", "percent", "automatic", "unused")
SCORE = "score:"  # before the name of a score, where the axis may also be a metric
TILE_SIZES = (96, 144, 224)


def run_asked(asked: QueryDict, experiment: Experiment) -> ScoreRun | None:
    """The run of the score asked for; without a word the one the cutoff in force lies on, else the isolation run."""
    runs = {name: run for name, _, run in score_choices(experiment)}
    name = score_asked(asked)
    if not name:
        isolation = runs.get(ScoreKind.ISOLATION)
        cutoff = cutoff_in_force(experiment, isolation)
        return next((run for run in runs.values() if cutoff and run == cutoff.run), isolation)
    if name not in {*ScoreKind.values, PROMOTED}:
        raise BadValue(f"{name!r} is no score; use {', '.join(ScoreKind.values)} or {PROMOTED}.")
    if name not in runs and name != ScoreKind.ISOLATION:
        raise BadValue(f"{experiment.name} has no {name} score yet.")
    return runs.get(name)


def score_asked(asked: QueryDict) -> str | None:
    """The name of the score an address asks for, if it does."""
    axis = asked.get("axis", "")
    return axis.removeprefix(SCORE) if axis.startswith(SCORE) else asked.get("score")


def choice_asked(asked: QueryDict, run: ScoreRun, saved: CutoffChoice | None) -> CutoffChoice:
    """The rule asked for, all of it in the address; else the saved one, else the automatic cutoff.

    `low` and `high` are what a form without scripts says of the metric on the axis.
    """
    base = saved or CutoffChoice(AUTOMATIC[ScoreKind(run.kind)], Cutoff.How.AUTOMATIC)
    given = {name: asked.get(name) for name in WAYS}
    is_given = any(given.values())
    if not is_given and not {"also", "low", "high"} & set(asked):
        return base
    conditions = [Condition.parse(text) for text in asked.getlist("also") if text]
    if axis := axis_asked(asked):
        conditions = _with_limits(conditions, axis, asked)
    if not is_given:
        given = base.as_query()
        given.pop("also")
    return choose_cutoff(run, **given, conditions=conditions)


def axis_asked(asked: QueryDict) -> tuple[str, str] | None:
    """(unit, column) of the metric on the axis; None is the score."""
    column = asked.get("axis", "")
    return (asked.get("unit") or RAW, column) if column and not column.startswith(SCORE) else None


def axis_of(run: ScoreRun, asked: QueryDict, choice: CutoffChoice) -> Axis:
    """The axis asked for, with the limits the rule has on it."""
    axis = axis_asked(asked)
    if axis is None:
        return Axis(run)
    unit, column = axis
    check_metric(run, column, unit)
    of_axis = (one for one in choice.conditions if (one.unit, one.column) == axis)
    return Axis(run, next(of_axis, Condition(column, unit, None, None)))


def well_asked(experiment: Experiment, text: str) -> Well:
    """The well of that id, with its plate."""
    if not text.isdecimal() or int(text) >= 2**63:
        raise BadValue(f"There is no well {text!r}.")
    return get_object_or_404(Well.objects.select_related("plate"), pk=text, plate__experiment=experiment)


def tile_frame(request: HttpRequest, experiment: Experiment) -> dict[str, object]:
    """What every tile needs to be drawn: as asked for, else as the person last had it."""
    person: User = request.user
    views = views_of(list(experiment.channels.all()))
    view = request.GET.get("view") or (person.tile_view if person.tile_view in dict(views) else views[0][0])
    if view not in dict(views):
        raise BadValue(f"There is no channel number {view}.")
    size = str(request.GET.get("size", person.tile_size))
    if size not in {str(known) for known in TILE_SIZES}:
        raise BadValue(f"Tiles are {', '.join(map(str, TILE_SIZES))} pixels wide.")
    contrast = request.GET.get("contrast", person.tile_contrast)
    if contrast not in User.Contrast.values:
        raise BadValue(f"{contrast!r} is no contrast; use {' or '.join(User.Contrast.values)}.")
    looks = {"view": view, "size": int(size), "contrast": contrast}
    _remember(person, {f"tile_{name}": value for name, value in looks.items() if name in request.GET})
    return {
        "experiment": experiment,
        "views": views,
        "view": view,
        "size": int(size),
        "sizes": TILE_SIZES,
        "contrast": contrast,
        "contrasts": User.Contrast.choices,
        "defects": Defect.choices,
    }


def query_of(choice: CutoffChoice, **more: object) -> str:
    """The query string that means a choice."""
    return urlencode(
        {name: value for name, value in (choice.as_query() | more).items() if value not in (None, "", [])}, doseq=True
    )


def _with_limits(conditions: list[Condition], axis: tuple[str, str], asked: QueryDict) -> list[Condition]:
    """The conditions with the limits that were typed for the metric on the axis; empty ones take it out."""
    if not {"low", "high"} & set(asked):
        return conditions
    unit, column = axis
    others = [one for one in conditions if (one.unit, one.column) != axis]
    if not asked.get("low") and not asked.get("high"):
        return others
    return [*others, Condition.of(column=column, unit=unit, low=asked.get("low"), high=asked.get("high"))]


def _remember(person: User, looks: dict[str, object]) -> None:
    changed = [name for name, value in looks.items() if getattr(person, name) != value]
    for name in changed:
        setattr(person, name, looks[name])
    if changed:
        person.save(update_fields=changed)
