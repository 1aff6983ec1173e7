"""Where the line is drawn: try a cutoff, and save one with its reason."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from django.db import transaction

from labeling.models import Cutoff, Experiment, ScoreKind, ScoreRun, User
from labeling.problems import BadValue, Conflict
from labeling.services import audit
from labeling.services.rules import Condition, check_conditions, conditions_of
from labeling.services.scores import scores_of

# scikit-learn's "auto": an isolation score of -0.5 is where a point is as easy to isolate as a random one.
# For a probability of being good the same words mean one half.
AUTOMATIC = {ScoreKind.ISOLATION: -0.5, ScoreKind.BLENDED: 0.5}


@dataclass(frozen=True)
class CutoffChoice:
    """A cutoff somebody tries or saves: exactly how it was chosen, and the value that came of it.

    An image is flagged when its score is below the value or any condition flags it.
    """

    value: float
    how: str
    percent: float | None = None
    conditions: tuple[Condition, ...] = ()

    @classmethod
    def of(cls, cutoff: Cutoff) -> CutoffChoice:
        """What was chosen when that cutoff was saved."""
        return cls(cutoff.value, cutoff.how, cutoff.percent, conditions_of(cutoff.conditions))

    def as_query(self) -> dict[str, object]:
        """The entries of an address that mean this choice."""
        score = {
            Cutoff.How.AUTOMATIC: {"automatic": 1},
            Cutoff.How.UNUSED: {"unused": 1},
            Cutoff.How.PERCENT: {"percent": self.percent},
        }.get(Cutoff.How(self.how), {"value": repr(self.value)})
        return {**score, "also": [str(condition) for condition in self.conditions]}


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
    run: ScoreRun,
    *,
    value: object = None,
    percent: object = None,
    automatic: object = None,
    unused: object = None,
    conditions: Sequence[Condition] = (),
) -> CutoffChoice:
    """The cutoff meant by exactly one of a value, a percentage to flag, `automatic`, or `unused` (conditions alone).

    Raises BadValue when none or several are given, or a number or a condition makes no sense.
    """
    is_automatic, is_unused = _is_yes(automatic), _is_yes(unused)
    has_value, has_percent = value not in (None, ""), percent not in (None, "")
    if is_automatic + is_unused + has_value + has_percent != 1:
        raise BadValue("Give exactly one of value, percent or automatic.")
    check_conditions(run, conditions)
    also = tuple(conditions)
    if is_automatic:
        return CutoffChoice(AUTOMATIC[ScoreKind(run.kind)], Cutoff.How.AUTOMATIC, conditions=also)
    if is_unused:
        return CutoffChoice(float(scores_of(run.pk).ascending[0]), Cutoff.How.UNUSED, conditions=also)
    if has_value:
        return CutoffChoice(_number("cutoff", value), Cutoff.How.BY_HAND, conditions=also)
    share = _number("percentage", percent)
    if not 0 <= share <= 100:
        raise BadValue(f"The percentage to flag is {share:g}; it must lie between 0 and 100.")
    return CutoffChoice(scores_of(run.pk).value_flagging(share), Cutoff.How.PERCENT, share, also)


def flagged_rows(run: ScoreRun, choice: CutoffChoice) -> np.ndarray:
    """(N,) True for the images of the run that a choice flags, in the order of the run's vector."""
    scores = scores_of(run.pk)
    flagged = np.zeros(len(scores.ascending), bool)
    flagged[: scores.n_below(choice.value)] = True
    for condition in choice.conditions:
        flagged |= condition.breaks(run.pk)
    return flagged


def preview_cutoff(run: ScoreRun, choice: CutoffChoice) -> CutoffPreview:
    """Counts overall and per plate, without a query once the run is in memory."""
    scores = scores_of(run.pk)
    flagged = flagged_rows(run, choice)
    by_plate = np.bincount(scores.plate_index[flagged], minlength=len(scores.plates)).tolist()
    per_plate = [
        PlateCount(plate_id, barcode, n, total)
        for (plate_id, barcode), n, total in zip(scores.plates, by_plate, scores.n_by_plate(), strict=True)
    ]
    return CutoffPreview(choice, int(flagged.sum()), len(flagged), per_plate)


@transaction.atomic
def save_cutoff(run: ScoreRun, choice: CutoffChoice, *, by: User, reason: str, name: str = "") -> Cutoff:
    """Put a cutoff in force, under a name if it has one.

    Raises BadValue without a reason or when nothing could ever be flagged, Conflict on a run that is not
    the newest.
    """
    reason, name = reason.strip(), name.strip()
    if not reason:
        raise BadValue("Say in a few words why the cutoff is here; the reason is kept with it.")
    if len(name) > 100:
        raise BadValue("The name of a rule has at most 100 characters; shorten it.")
    if choice.how == Cutoff.How.UNUSED and not choice.conditions:
        raise BadValue("Neither the score nor a metric flags anything in this rule; set a cutoff or a condition.")
    check_conditions(run, choice.conditions)
    if ScoreRun.objects.filter(experiment=run.experiment, kind=run.kind, pk__gt=run.pk).exists():
        raise Conflict("The experiment was scored again meanwhile. Reload the page and look at the new scores.")
    before = Cutoff.objects.current(run)
    cutoff = Cutoff.objects.create(
        run=run,
        value=choice.value,
        how=choice.how,
        percent=choice.percent,
        conditions=[condition.as_json() for condition in choice.conditions],
        name=name,
        n_flagged=int(flagged_rows(run, choice).sum()),
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


def named_rules(experiment: Experiment) -> list[Cutoff]:
    """The newest cutoff of each name people gave in this experiment, whichever scores it was saved on."""
    named = Cutoff.objects.filter(run__experiment=experiment).exclude(name="").select_related("by", "run")
    return sorted(named.defer("run__vector").order_by("name", "-id").distinct("name"), key=lambda one: -one.pk)


def _as_json(cutoff: Cutoff) -> dict[str, object]:
    """What the audit keeps; conditions and a name only where there are some."""
    kept = {"value": cutoff.value, "how": cutoff.how, "percent": cutoff.percent, "flagged": cutoff.n_flagged}
    return kept | {key: value for key in ("conditions", "name") if (value := getattr(cutoff, key))}


def _is_yes(value: object) -> bool:
    return str(value).lower() in ("1", "true", "yes", "on")


def _number(name: str, value: object) -> float:
    try:
        number = float(str(value).strip().replace("−", "-"))
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise BadValue(f"The {name} {value!r} is not a number.")
    return number
