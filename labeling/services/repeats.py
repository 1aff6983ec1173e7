"""Blind repeats: the Queue shows people some images again without their first verdict, to learn how steady it is.

Which image comes again, and after which label, follows from the labels there are and a seed: a page that is loaded
again shows the same, and nothing needs to be stored before the answer is.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from django.db.models import Exists, OuterRef, QuerySet

from labeling.models import Experiment, Image, Label, User, Verdict
from labeling.services.locks import wait_for_turn

# Labels of one's own in the experiment before the first repeat and between two, and up to eight more by the draw:
# from the first on one image in 25 comes twice.
FIRST_AFTER, BETWEEN, SPREAD = 25, 20, 9
# So many own labels lie at least between a verdict and its repeat.
LONG_AGO = 20
# A repeat is known so many labels ahead, which is what one page of the Queue shows.
AHEAD = 20
# Enough to choose among; somebody who labelled 10,000 at once does not make the Queue wait.
MOST_CHOSEN_FROM, MOST_COUNTED = 500, 2000
SEED = 4


@dataclass(frozen=True)
class Repeat:
    """The verdict that is asked for again, and how many other images come before it on the page."""

    earlier: Label
    place: int


def next_repeat(experiment: Experiment, person: User) -> Repeat | None:
    """The image this person is to judge again within the next 20, if there is one: at most three queries.

    It is one whose last word is this person's good or bad, and never one that already came again.
    """
    repeats = list(_repeats_of(experiment, person).order_by("pk").values_list("pk", "image"))
    n = len({image for _, image in repeats})
    after = (BETWEEN if n else FIRST_AFTER) + _draw(experiment, person, n) % SPREAD
    last = repeats[-1][0] if repeats else 0
    given = _given_by(experiment, person)
    since = list(given.filter(pk__gt=last).order_by("pk").values_list("pk", flat=True)[:MOST_COUNTED])
    place = after - len(since)
    if place >= AHEAD:
        return None
    # Fixed by the time it is due: labels that come in while a page is open change nothing.
    newest = since[after - LONG_AGO - 1] if after > LONG_AGO else last
    pool = given.filter(pk__lte=newest, verdict__in=(Verdict.GOOD, Verdict.BAD)).order_by("-pk")
    later = Label.objects.standing().filter(image=OuterRef("image"), pk__gt=OuterRef("pk"))
    candidates = (
        Label.objects.standing()
        .filter(~Exists(later), pk__in=pool.values("pk")[:MOST_CHOSEN_FROM], image__state=Image.State.READY)
        .exclude(image__in=[image for _, image in repeats])
    )
    earlier = min(candidates, key=lambda label: _draw(experiment, person, n, label.pk), default=None)
    # One that was passed over comes up among the next few.
    return Repeat(earlier, place if place >= 0 else place % SPREAD) if earlier else None


def is_to_repeat(image: Image, person: User) -> bool:
    """Whether the Queue asks this person for the image again, so that its verdict must not be seen there."""
    repeat = next_repeat(image.experiment, person)
    return repeat is not None and repeat.earlier.image_id == image.pk


def repeated_by_label(image: Image, *, by: User) -> Label | None:
    """The earlier label that a label of the Queue's page repeats, if it does; in the transaction that stores it.

    Whoever corrects such an answer at once repeats the same label: it was as blind.
    """
    wait_for_turn("repeat", [by.pk])  # two tabs would otherwise both answer
    repeat = next_repeat(image.experiment, by)
    given = _given_by(image.experiment, by)
    if repeat and repeat.earlier.image_id == image.pk:
        since = given.filter(pk__gt=repeat.earlier.pk).order_by("pk").values("pk")[:LONG_AGO]
        return repeat.earlier if since.count() == LONG_AGO else None
    answer = Label.objects.standing().filter(image=image).select_related("repeats").order_by("-pk").first()
    if answer is None or answer.repeats is None or answer.by_id != by.pk:
        return None
    return answer.repeats if given.filter(pk__gt=answer.pk)[:AHEAD].count() < AHEAD else None


def _given_by(experiment: Experiment, person: User) -> QuerySet[Label]:
    """This person's labels in the experiment, without copies of other images' labels, undoings and repeats."""
    return Label.objects.filter(
        experiment=experiment, by=person, undoes__isnull=True, carried_from__isnull=True, repeats__isnull=True
    )


def _repeats_of(experiment: Experiment, person: User) -> QuerySet[Label]:
    return Label.objects.standing().filter(experiment=experiment, by=person, repeats__isnull=False)


def _draw(experiment: Experiment, person: User, *of: int) -> int:
    """A large number that looks drawn and is always the same for the same experiment, person and rest."""
    text = " ".join(map(str, (SEED, experiment.pk, person.pk, *of)))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8])
