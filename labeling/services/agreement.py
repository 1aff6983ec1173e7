"""Where people agree and where they do not: with each other, and with themselves when an image came twice.

The numbers count what each person said *first* of an image: whoever has seen the other's verdict and thinks again would
make both look better than they are. A verdict that somebody replaced before going on to another image was a slip and
does not count. The disagreements that are listed are about everybody's *newest* word: they are there to be settled.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from django.db import connection

from labeling.models import Experiment, Label, User
from labeling.problems import BadValue
from labeling.statistics.agreement import VERDICTS, Agreement, agreement_of

PAIRS_TOLD = 3  # in one sentence
LARGEST_ID = 2**63 - 1

# What people said of images themselves and did not take back. A copy from an image of this experiment with the same
# content is no second judgement; one from another experiment is all there is of it here.
OWN = """
WITH own AS (
    SELECT label.id, label.image_id, label.by_id, label.verdict, label.repeats_id,
        lead(label.image_id) OVER (PARTITION BY label.by_id ORDER BY label.id) AS following
    FROM labeling_label label LEFT JOIN labeling_label source ON source.id = label.carried_from_id
    WHERE label.experiment_id = %(experiment)s AND label.undoes_id IS NULL
        AND source.experiment_id IS DISTINCT FROM label.experiment_id
        AND NOT EXISTS (SELECT FROM labeling_label undo WHERE undo.undoes_id = label.id)
), last AS (
    SELECT DISTINCT ON (image_id, by_id) id, image_id, by_id, verdict, repeats_id
    FROM own ORDER BY image_id, by_id, id DESC
)
"""
# Two people's words on an image are met by unfolding what was said of it: the planner knows nothing of how many rows
# the first steps give, and a join of them with themselves took minutes for 60,000 labels.
COUNTS = f"""{OWN}, first AS (
    SELECT DISTINCT ON (image_id, by_id) image_id, by_id, verdict
    FROM own WHERE following IS DISTINCT FROM image_id ORDER BY image_id, by_id, id
), again AS (
    SELECT DISTINCT ON (image_id, by_id) by_id, verdict, repeats_id
    FROM own WHERE repeats_id IS NOT NULL ORDER BY image_id, by_id, id DESC
)
SELECT 'person', by_id, by_id, verdict, verdict, count(*) FROM first GROUP BY by_id, verdict
UNION ALL
SELECT 'pair', one.by_id, other.by_id, one.verdict, other.verdict, count(*)
FROM (
    SELECT array_agg(by_id) AS people, array_agg(verdict) AS said FROM first GROUP BY image_id HAVING count(*) > 1
) judged, unnest(people, said) one(by_id, verdict), unnest(people, said) other(by_id, verdict)
WHERE other.by_id > one.by_id GROUP BY one.by_id, other.by_id, one.verdict, other.verdict
UNION ALL
SELECT 'apart', one.by_id, other.by_id, '', '', count(*)
FROM (
    SELECT array_agg(by_id) AS people, array_agg(verdict) AS said FROM last GROUP BY image_id HAVING count(*) > 1
) judged, unnest(people, said) one(by_id, verdict), unnest(people, said) other(by_id, verdict)
WHERE other.by_id > one.by_id AND other.verdict <> one.verdict GROUP BY one.by_id, other.by_id
UNION ALL
SELECT 'pair', again.by_id, again.by_id, earlier.verdict, again.verdict, count(*)
FROM again JOIN labeling_label earlier ON earlier.id = again.repeats_id
GROUP BY again.by_id, earlier.verdict, again.verdict
UNION ALL
SELECT 'apart', last.by_id, last.by_id, '', '', count(*)
FROM last JOIN labeling_label earlier ON earlier.id = last.repeats_id
WHERE earlier.verdict <> last.verdict GROUP BY last.by_id
"""
# Each person's newest word is a voice; somebody whose blind repeat contradicts the first verdict has two. Open is what
# no majority has settled: where not more than half of the voices say what is in force, the newest of them.
DISPUTED = f"""{OWN}, voice AS (
    SELECT id, image_id, by_id, verdict, true AS is_last FROM last
    UNION ALL
    SELECT earlier.id, last.image_id, last.by_id, earlier.verdict, false
    FROM last JOIN labeling_label earlier ON earlier.id = last.repeats_id AND earlier.verdict <> last.verdict
), said_of AS (
    SELECT image_id, max(id) AS id, array_agg(verdict ORDER BY id DESC) AS said
    FROM voice GROUP BY image_id HAVING count(DISTINCT verdict) > 1
), disputed AS (
    SELECT image_id, id, 2 * cardinality(array_positions(said, said[1])) <= cardinality(said) AS is_open
    FROM said_of
    WHERE NOT %(of_people)s OR image_id IN (
        SELECT image_id FROM voice
        WHERE by_id = ANY(%(people)s) AND (is_last OR cardinality(%(people)s::bigint[]) = 1)
        GROUP BY image_id HAVING count(DISTINCT verdict) > 1
    )
)
SELECT total.n, total.n_open, page.image_id, page.id, page.is_open
FROM (SELECT count(*) AS n, count(*) FILTER (WHERE is_open) AS n_open FROM disputed) total
LEFT JOIN (
    SELECT * FROM disputed WHERE (is_open OR %(settled)s) AND id < %(before)s ORDER BY id DESC LIMIT %(limit)s
) page ON true
ORDER BY page.id DESC
"""


@dataclass(frozen=True)
class Labeller:
    """A person, and of how many images they said what first."""

    person: User
    n_good: int
    n_bad: int
    n_unsure: int

    @property
    def n_images(self) -> int:
        return self.n_good + self.n_bad + self.n_unsure


@dataclass(frozen=True)
class Pair:
    """Two people who judged the same images, or one who judged some twice; `n_apart`: their last words still differ."""

    first: User
    second: User
    agreement: Agreement
    n_apart: int = 0

    @property
    def is_same_person(self) -> bool:
        return self.first == self.second

    @property
    def key(self) -> str:
        """How an address names it."""
        return f"{self.first.pk}-{self.second.pk}"

    @property
    def in_short(self) -> str:
        images = _counted(self.agreement.n, "image")
        if self.is_same_person:
            return f"{self.first} judged {images} twice, unaware: {self.agreement}"
        return f"{self.first} and {self.second} judged {images} both: {self.agreement}"


@dataclass(frozen=True)
class AgreementOfPeople:
    """Who labelled how much, and how well they agree: each pair, and each with themselves. Most images first."""

    people: Sequence[Labeller] = ()
    pairs: Sequence[Pair] = ()
    selves: Sequence[Pair] = ()

    @property
    def in_short(self) -> str:
        """One or a few sentences for whoever signs; empty while nobody labelled."""
        if not self.people:
            return ""
        n = len(self.people)
        n_verdicts = sum(one.n_images for one in self.people)
        labelled = f"{_counted(n_verdicts, 'verdict')} of {n} {'people' if n > 1 else 'person'}"
        told = [pair.in_short for pair in [*self.pairs[:PAIRS_TOLD], *self.selves[:PAIRS_TOLD]]]
        if not self.pairs:
            told.insert(0, "no image was judged by two people")
        left = max(len(self.pairs) - PAIRS_TOLD, 0) + max(len(self.selves) - PAIRS_TOLD, 0)
        return "; ".join([labelled, *told, *([f"{_counted(left, 'more pair')}"] if left else [])]) + "."


@dataclass(frozen=True)
class Word:
    """One label on a disputed image, as it is told beside it."""

    label: Label
    is_newest: bool


@dataclass(frozen=True)
class Disagreement:
    """A disputed image: everything that was said of it and stands, the newest first, and whether it is still open."""

    image_id: int
    is_open: bool
    words: Sequence[Word] = field(default_factory=list)


@dataclass(frozen=True)
class DisagreementPage:
    """So many in all and still open; some of them, and the label the next page starts before."""

    n: int
    n_open: int
    shown: Sequence[Disagreement]
    next: int | None


def agreement_of_people(experiment: Experiment) -> AgreementOfPeople:
    """Counted by the database in one query, with another for the names."""
    with connection.cursor() as cursor:
        cursor.execute(COUNTS, {"experiment": experiment.pk})
        rows = cursor.fetchall()
    tables: dict[tuple[int, int], np.ndarray] = defaultdict(lambda: np.zeros((3, 3), int))
    said: dict[int, dict[str, int]] = defaultdict(dict)
    apart: dict[tuple[int, int], int] = {}
    for what, one, other, verdict, other_verdict, n in rows:
        if what == "person":
            said[one][verdict] = n
        elif what == "apart":
            apart[one, other] = n
        else:
            tables[one, other][VERDICTS.index(verdict), VERDICTS.index(other_verdict)] += n
    names = User.objects.in_bulk({pk for row in rows for pk in row[1:3]})
    people = [Labeller(names[pk], *(words.get(verdict, 0) for verdict in VERDICTS)) for pk, words in said.items()]
    pairs = [
        Pair(names[one], names[other], agreement_of(table), apart.get((one, other), 0))
        for (one, other), table in tables.items()
    ]
    pairs.sort(key=lambda pair: (-pair.agreement.n, pair.first.pk, pair.second.pk))
    return AgreementOfPeople(
        sorted(people, key=lambda one: (-one.n_images, one.person.pk)),
        [pair for pair in pairs if not pair.is_same_person],
        [pair for pair in pairs if pair.is_same_person],
    )


def disagreements(
    experiment: Experiment,
    *,
    of: Sequence[int] = (),
    with_settled: bool = False,
    before: int | None = None,
    limit: int = 60,
) -> DisagreementPage:
    """Images people disagree on, the newest word first; two queries for any page.

    `of`: the ids of two people who differ, or of one who contradicted a verdict of theirs unaware; everybody when
    empty. `before`: the label where the page before ended.
    """
    asked = {
        "experiment": experiment.pk,
        "of_people": bool(of),
        "people": sorted(set(of)),
        "settled": with_settled,
        "before": LARGEST_ID if before is None else before,
        "limit": limit + 1,
    }
    with connection.cursor() as cursor:
        cursor.execute(DISPUTED, asked)
        rows = cursor.fetchall()
    n, n_open = rows[0][:2]
    found = [(image_id, label_id, is_open) for _, _, image_id, label_id, is_open in rows if image_id is not None]
    shown = found[:limit]
    words = _words_on([image_id for image_id, _, _ in shown])
    return DisagreementPage(
        n,
        n_open,
        [Disagreement(image_id, is_open, words[image_id]) for image_id, _, is_open in shown],
        shown[-1][1] if shown and len(found) > limit else None,
    )


def people_asked(text: str) -> tuple[int, ...]:
    """The people of `Pair.key`. Raises BadValue where it is none."""
    first, _, second = text.partition("-")
    if not (first.isdecimal() and second.isdecimal() and max(int(first), int(second)) <= LARGEST_ID):
        raise BadValue(f"{text!r} names no two people; choose a pair on the page.")
    return int(first), int(second)


def _counted(n: int, noun: str) -> str:
    return f"{n:,} {noun}" if n == 1 else f"{n:,} {noun}s"


def _words_on(image_ids: Sequence[int]) -> dict[int, list[Word]]:
    """What stands on each image, the newest first."""
    words: dict[int, list[Word]] = defaultdict(list)
    for label in Label.objects.standing().filter(image__in=image_ids).select_related("by").order_by("-id"):
        words[label.image_id].append(Word(label, is_newest=not words[label.image_id]))
    return words
