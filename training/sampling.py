"""How bad is a draft still? Draw some of its images blindly, look at them, and say what that tells of all."""

from __future__ import annotations

from dataclasses import asdict

import numpy as np
from django.db import transaction
from django.utils import timezone

from labeling.models import Image, QCSet, QCSetImage, SampledImage, SetSample, User, Verdict
from labeling.problems import BadValue, Conflict
from labeling.services import audit
from labeling.services.qc_sets import staleness
from training.learners.remaining import Estimate, estimate_bad, plan_sample

FEWEST, MOST = 10, 1000
# What is looked for in each part; who is unsure counts against the set.
SOUGHT = {SetSample.Part.KEPT: "bad", SetSample.Part.OUT: "good"}


@transaction.atomic
def draw_sample(qc_set: QCSet, *, part: str, n: int, by: User, seed: int) -> SetSample:
    """Draw `n` images of one part of a draft that the score decided, from bands of the score.

    Raises BadValue for another part or number, Conflict on a set that is signed, stale, or drawn from already.
    """
    if part not in SetSample.Part.values:
        raise BadValue(f"{part!r} is no part of a set; draw from kept or out.")
    if not FEWEST <= n <= MOST:
        raise BadValue(f"Draw {FEWEST} to {MOST:,} images; {n:,} were asked for.")
    qc_set = _open_draft(qc_set)
    if why := staleness(qc_set):
        raise Conflict(f"This draft is out of date: {why}. Make a new draft and draw from that.")
    if qc_set.samples.filter(part=part).exists():
        raise Conflict("Images were drawn from this part already. A second draw would let one choose the nicer one.")
    score = "blended_score" if qc_set.model_version_id else "isolation_score"
    decided = population_of(qc_set, part).order_by("image_id").values_list("image_id", score)
    image_ids, scores = zip(*decided, strict=True) if decided else ((), ())
    if not image_ids:
        raise BadValue("The score decided no image of this part; there is nothing to draw from.")
    plan = plan_sample(np.array(scores), n, random_state=seed)
    sample = SetSample.objects.create(
        qc_set=qc_set,
        part=part,
        n=len(plan.rows),
        seed=seed,
        strata_sizes=plan.strata_sizes.tolist(),
        strata_drawn=plan.strata_drawn.tolist(),
        drawn_by=by,
    )
    SampledImage.objects.bulk_create(
        SampledImage(sample=sample, rank=rank, image_id=image_ids[row], stratum=int(stratum))
        for rank, (row, stratum) in enumerate(zip(plan.rows.tolist(), plan.stratum, strict=True))
    )
    audit.record("qc_set.sample_drawn", qc_set, by=by, new={"part": part, "images": sample.n, "seed": seed})
    return sample


@transaction.atomic
def judge_sampled(sample: SetSample, image: Image, verdict: str, *, by: User) -> SampledImage:
    """Say what a drawn image is; empty takes it back. With the last one the result stands, until one is changed.

    Raises BadValue for another word or image, Conflict once the set is no draft.
    """
    if verdict not in ("", Verdict.GOOD, Verdict.BAD, Verdict.UNSURE):
        raise BadValue(f"{verdict!r} is no verdict; use good, bad or unsure.")
    qc_set = _open_draft(sample.qc_set)
    sample = SetSample.objects.get(pk=sample.pk)
    sampled = sample.images.filter(image=image).first()
    if sampled is None:
        raise BadValue(f"{image} was not drawn.")
    sampled.verdict, sampled.by, sampled.at = verdict, by if verdict else None, timezone.now() if verdict else None
    sampled.save(update_fields=["verdict", "by", "at"])
    before, sample.result = sample.result, _result_of(sample)
    sample.save(update_fields=["result"])
    if sample.result != before:
        new = {"part": sample.part, "result": sample.result["sentence"] if sample.result else "not complete"}
        audit.record("qc_set.sample_judged", qc_set, by=by, new=new)
    return sampled


def population_of(qc_set: QCSet, part: str):  # type: ignore[no-untyped-def] # a queryset of decisions
    """The decisions a sample of that part is drawn from: by score, as labels need no second opinion."""
    return qc_set.decisions.filter(kept=part == SetSample.Part.KEPT, decided_by=QCSetImage.DecidedBy.SCORE)


def plans(total: int, part: str) -> list[tuple[int, str]]:
    """(number to draw, what it would tell at best) for a part of so many images."""
    what = SOUGHT[SetSample.Part(part)]
    numbers = [n for n in (30, 60, 100, 300) if n < total] or [total]
    return [(n, estimate_bad([total], [n], [0], what=what).sentence) for n in numbers]


def _result_of(sample: SetSample) -> dict[str, object] | None:
    """The estimate with its interval, None while some were not looked at."""
    rows = list(sample.images.values_list("stratum", "verdict"))
    if any(not verdict for _, verdict in rows):
        return None
    sought = SOUGHT[SetSample.Part(sample.part)]
    found = np.zeros(len(sample.strata_sizes), int)
    for stratum, verdict in rows:
        found[stratum] += verdict in (sought, Verdict.UNSURE)
    estimate: Estimate = estimate_bad(sample.strata_sizes, sample.strata_drawn, found, what=sought)
    return asdict(estimate) | {"n_unsure": sum(verdict == Verdict.UNSURE for _, verdict in rows)}


def _open_draft(qc_set: QCSet) -> QCSet:
    locked = QCSet.objects.select_for_update(of=("self",)).select_related(
        "experiment", "cutoff", "run", "model_version"
    )
    qc_set = locked.get(pk=qc_set.pk)
    if not qc_set.is_draft:
        raise Conflict(f"QC set {qc_set.number} is {qc_set.state}; only a draft is drawn from.")
    return qc_set
