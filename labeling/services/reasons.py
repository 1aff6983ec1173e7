"""What speaks against images, as the models of their runs said when they scored them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from labeling.models import ImageReason, ScoreRun

IN_A_SENTENCE = 2


def reasons_of(runs: Iterable[ScoreRun | None], image_ids: Iterable[int]) -> dict[int, list[ImageReason]]:
    """By image id the reasons against it, the strongest first, by the first of these runs that knows any.

    One query for all of them; images nobody explained are not in it.
    """
    known = list({run.pk: run for run in runs if run is not None}.values())
    if not known:
        return {}
    by_place: dict[tuple[int, int], list[ImageReason]] = {}
    for reason in ImageReason.objects.filter(run__in=known, image__in=list(image_ids)).order_by("rank"):
        by_place.setdefault((reason.run_id, reason.image_id), []).append(reason)
    found: dict[int, list[ImageReason]] = {}
    for run in known:
        for (run_id, image_id), reasons in by_place.items():
            if run_id == run.pk and image_id not in found:
                found[image_id] = reasons
                for reason in reasons:
                    reason.run = run
    return found


def sentences_of(run: ScoreRun | None) -> dict[int, str]:
    """Image id to its reasons in a sentence, for all that a run explains: one query, a tenth of its images."""
    if run is None:
        return {}
    words: dict[int, list[str]] = {}
    for image_id, text in ImageReason.objects.filter(run=run).order_by("image", "rank").values_list("image", "words"):
        words.setdefault(image_id, []).append(text)
    return {image_id: _joined(texts) for image_id, texts in words.items()}


def in_a_sentence(reasons: Sequence[ImageReason]) -> str:
    """The strongest reasons, as they follow a colon; empty without any."""
    return _joined([reason.words for reason in reasons])


def _joined(texts: Sequence[str]) -> str:
    return "; ".join(texts[:IN_A_SENTENCE])
