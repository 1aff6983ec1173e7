"""Where the line is drawn: try a cutoff, and save one with its reason."""

from __future__ import annotations

import math
from dataclasses import dataclass

from django.db import transaction

from labeling.models import Cutoff, Experiment, ScoreKind, ScoreRun, User
from labeling.problems import BadValue, Conflict
from labeling.services import audit
from labeling.services.scores import scores_of

# scikit-learn's "auto": an isolation score of -0.5 is where a point is as easy to isolate as a random one.
# For a probability of being good the same words mean one half.
AUTOMATIC = {ScoreKind.ISOLATION: -0.5, ScoreKind.BLENDED: 0.5}


@dataclass(frozen=True)
class CutoffChoice:
    """A cutoff somebody tries or saves: exactly how it was chosen, and the value that came of it."""

    value: float
    how: str
    percent: float | None = None


@dataclass(frozen=True)
class PlateCount:
    plate_id: int
    barcode: str
    flagged: int
    total: int

    @property
    def share(self) -> float:
        return self.flagged / self.total if self.total else 0.0


@dataclass(frozen=True)
class CutoffPreview:
    """What a cutoff would do."""

    choice: CutoffChoice
    flagged: int
    total: int
    per_plate: list[PlateCount]

    @property
    def kept(self) -> int:
        return self.total - self.flagged

    @property
    def share(self) -> float:
        return self.flagged / self.total if self.total else 0.0


def current_run(experiment: Experiment, kind: str = ScoreKind.ISOLATION) -> ScoreRun:
    """The run cutoffs are set on. Raises Conflict before the first scoring, BadValue for an unknown kind."""
    if kind not in ScoreKind.values:
        raise BadValue(f"{kind!r} is no score; use {' or '.join(ScoreKind.values)}.")
    run = ScoreRun.objects.defer("vector").latest_of(experiment, kind)
    if run is None:
        raise Conflict(f"{experiment.name} has no {kind} score yet; score it first.")
    return run


def choose_cutoff(
    run: ScoreRun, *, value: object = None, percent: object = None, automatic: object = None
) -> CutoffChoice:
    """The cutoff meant by exactly one of a value, a percentage to flag, or `automatic`.

    Raises BadValue when none or several are given, or a number makes no sense.
    """
    is_automatic = str(automatic).lower() in ("1", "true", "yes", "on")
    has_value, has_percent = value not in (None, ""), percent not in (None, "")
    if is_automatic + has_value + has_percent != 1:
        raise BadValue("Give exactly one of value, percent or automatic.")
    if is_automatic:
        return CutoffChoice(AUTOMATIC[ScoreKind(run.kind)], Cutoff.How.AUTOMATIC)
    if has_value:
        return CutoffChoice(_number("cutoff", value), Cutoff.How.BY_HAND)
    share = _number("percentage", percent)
    if not 0 <= share <= 100:
        raise BadValue(f"The percentage to flag is {share:g}; it must lie between 0 and 100.")
    return CutoffChoice(scores_of(run.pk).value_flagging(share), Cutoff.How.PERCENT, share)


def preview_cutoff(run: ScoreRun, choice: CutoffChoice) -> CutoffPreview:
    """Counts overall and per plate, without a query once the run is in memory."""
    scores = scores_of(run.pk)
    per_plate = [
        PlateCount(plate_id, barcode, flagged, total)
        for (plate_id, barcode), flagged, total in zip(
            scores.plates, scores.n_below_by_plate(choice.value), scores.n_by_plate(), strict=True
        )
    ]
    return CutoffPreview(choice, scores.n_below(choice.value), len(scores.ascending), per_plate)


@transaction.atomic
def save_cutoff(run: ScoreRun, choice: CutoffChoice, *, by: User, reason: str) -> Cutoff:
    """Put a cutoff in force. Raises BadValue without a reason, Conflict on a run that is not the newest."""
    reason = reason.strip()
    if not reason:
        raise BadValue("Say in a few words why the cutoff is here; the reason is kept with it.")
    if ScoreRun.objects.filter(experiment=run.experiment, kind=run.kind, pk__gt=run.pk).exists():
        raise Conflict("The experiment was scored again meanwhile. Reload the page and look at the new scores.")
    before = Cutoff.objects.current(run)
    cutoff = Cutoff.objects.create(
        run=run,
        value=choice.value,
        how=choice.how,
        percent=choice.percent,
        n_flagged=scores_of(run.pk).n_below(choice.value),
        reason=reason,
        by=by,
    )
    audit.record(
        "cutoff.saved",
        run,
        by=by,
        old=_as_json(before) if before else None,
        new=_as_json(cutoff),
        reason=reason,
    )
    return cutoff


def _as_json(cutoff: Cutoff) -> dict[str, object]:
    return {"value": cutoff.value, "how": cutoff.how, "percent": cutoff.percent, "flagged": cutoff.n_flagged}


def _number(name: str, value: object) -> float:
    try:
        number = float(str(value).strip().replace("−", "-"))
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise BadValue(f"The {name} {value!r} is not a number.")
    return number
