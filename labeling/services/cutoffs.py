"""Where the line is drawn: try a cutoff, and save one with its reason."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from django.db import transaction

from labeling.models import Cutoff, Experiment, ModelVersion, ScoreKind, ScoreRun, User
from labeling.problems import BadValue, Conflict
from labeling.services import audit
from labeling.services.rules import Condition, check_conditions, conditions_of
from labeling.services.scores import scores_of

# scikit-learn's "auto": an isolation score of -0.5 is where a point is as easy to isolate as a random one.
# For a probability of being good the same words mean one half.
AUTOMATIC = {ScoreKind.ISOLATION: -0.5, ScoreKind.BLENDED: 0.5}
# The blended score of the model a person promoted; `blended` alone means the newest model's.
PROMOTED = "promoted"


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
    """The run cutoffs are set on: the newest of `isolation` or `blended`, or the `promoted` model's.

    Raises Conflict while there is none, BadValue for an unknown kind.
    """
    runs = ScoreRun.objects.defer("vector").select_related("model_version")
    if kind == PROMOTED:
        if (run := runs.of_promoted_model(experiment)) is None:
            raise Conflict(f"{experiment.name} has no promoted model. Promote one on the page Models first.")
        return run
    if kind not in ScoreKind.values:
        raise BadValue(f"{kind!r} is no score; use {', '.join(ScoreKind.values)} or {PROMOTED}.")
    if (run := runs.latest_of(experiment, kind)) is None:
        how = "score it" if kind == ScoreKind.ISOLATION else "label some images and retrain"
        raise Conflict(f"{experiment.name} has no {kind} score yet; {how} first.")
    return run


def score_choices(experiment: Experiment) -> list[tuple[str, str, ScoreRun]]:
    """What people may look at and set a cutoff on: (name, title, run), the unsupervised score first."""
    runs = ScoreRun.objects.defer("vector").select_related("model_version")
    isolation, blended = (runs.latest_of(experiment, kind) for kind in (ScoreKind.ISOLATION, ScoreKind.BLENDED))
    promoted = runs.of_promoted_model(experiment)
    choices = [(str(ScoreKind.ISOLATION), "isolation", isolation)] if isolation else []
    if blended:
        is_promoted = ", promoted" if blended == promoted else ""
        title = f"blended, model {blended.model_version.number}{is_promoted}"
        choices.append((str(ScoreKind.BLENDED), title, blended))
    if promoted and promoted != blended:
        choices.append((PROMOTED, f"blended, model {promoted.model_version.number}, promoted", promoted))
    return choices


def cutoff_in_force(experiment: Experiment, isolation_run: ScoreRun | None) -> Cutoff | None:
    """The cutoff saved last, which flags images until another is saved; None while there is none.

    A newer model never moves it: it stays on the scores it was saved for. Only a new scoring of the images
    themselves, which may be others now, ends a cutoff on the scores before.
    """
    cutoff = Cutoff.objects.newest(experiment)
    if cutoff and cutoff.run.kind == ScoreKind.ISOLATION and cutoff.run != isolation_run:
        return None
    return cutoff


def deciding_cutoff(experiment: Experiment) -> Cutoff:
    """The cutoff a QC set is made with. Raises Conflict without one, or when its model is not promoted."""
    cutoff = cutoff_in_force(experiment, current_run(experiment))
    if cutoff is None:
        raise Conflict("No cutoff is saved for these scores yet. Save one in Review first.")
    model = cutoff.run.model_version
    if model and model.state != ModelVersion.State.PROMOTED:
        raise Conflict(
            f"The cutoff {cutoff.value:.4f} lies on the blended scores of model {model.number}, which is "
            f"{model.state}. Promote model {model.number} first, or save a cutoff on other scores."
        )
    return cutoff


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

    Raises BadValue without a reason or when nothing could ever be flagged, Conflict on scores that newer ones
    replaced. The promoted model's scores stay open for cutoffs while newer models come and go.
    """
    reason, name = reason.strip(), name.strip()
    if not reason:
        raise BadValue("Say in a few words why the cutoff is here; the reason is kept with it.")
    if len(name) > 100:
        raise BadValue("The name of a rule has at most 100 characters; shorten it.")
    if choice.how == Cutoff.How.UNUSED and not choice.conditions:
        raise BadValue("Neither the score nor a metric flags anything in this rule; set a cutoff or a condition.")
    check_conditions(run, choice.conditions)
    newer = ScoreRun.objects.filter(experiment=run.experiment, kind=run.kind, pk__gt=run.pk)
    is_promoted = run.model_version is not None and run.model_version.state == ModelVersion.State.PROMOTED
    if not is_promoted and newer.exists():
        raise Conflict("The experiment was scored again meanwhile. Reload the page and look at the new scores.")
    before = Cutoff.objects.current(run)  # of these scores: values of two scores do not compare
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


@transaction.atomic
def carry_cutoff(run: ScoreRun, *, by: User, reason: str) -> Cutoff:
    """Save the value of the newest cutoff on earlier scores of the same kind for these scores, too.

    Raises Conflict when there is none to carry over, BadValue without a reason.
    """
    earlier = earlier_cutoff(run)
    if earlier is None:
        raise Conflict(f"There is no cutoff on earlier {run.kind} scores to carry over. Save one in Review.")
    choice = CutoffChoice(earlier.value, Cutoff.How.BY_HAND, conditions=conditions_of(earlier.conditions))
    return save_cutoff(run, choice, by=by, reason=reason)


def earlier_cutoff(run: ScoreRun) -> Cutoff | None:
    """The newest cutoff on other scores of the same kind, while these have none of their own."""
    if Cutoff.objects.filter(run=run).exists():
        return None
    others = Cutoff.objects.filter(run__experiment=run.experiment_id, run__kind=run.kind).exclude(run=run)
    return others.select_related("by", "run__model_version").defer("run__vector").order_by("-id").first()


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
