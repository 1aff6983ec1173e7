"""What decides on an image, and why in words: QC sets, pages and the API say the same."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from labeling.models import Image, Label, QCSetImage, User, Verdict


@dataclass(frozen=True)
class Decision:
    """In, out or not decided yet (None), by what, and why."""

    kept: bool | None
    decided_by: str | None
    reason: str


def decide(
    image: Image,
    score: float | None,
    label: Label | None,
    names: Mapping[int, str],
    cutoff: float | None,
    broken_conditions: str = "",
    because: str = "",
) -> Decision:
    """A label beats the score, unsure follows it, broken images are out.

    `names` are printed names by user id; `broken_conditions` what the rule says of the image's metrics, in words;
    `because` what speaks against the image by the scores that decide, which is told where they flag it.
    """
    if image.state != Image.State.READY:
        return Decision(False, QCSetImage.DecidedBy.ERROR, image.problem)
    if label and label.verdict in (Verdict.GOOD, Verdict.BAD):
        defects = f" ({', '.join(label.defects)})" if label.defects else ""
        reason = f"labelled {label.verdict}{defects} by {names[label.by_id]}"
        return Decision(label.verdict == Verdict.GOOD, QCSetImage.DecidedBy.LABEL, reason)
    unsure = ", labelled unsure" if label else ""
    if score is None:
        return Decision(None, None, f"not scored yet{unsure}")
    if cutoff is None:
        return Decision(None, None, f"score {score:.4f}, no cutoff is saved yet{unsure}")
    if score >= cutoff and broken_conditions:
        return Decision(False, QCSetImage.DecidedBy.SCORE, f"{broken_conditions}{unsure}")
    kept = score >= cutoff
    side = "not below" if kept else "below"
    also = f", {broken_conditions}" if broken_conditions else ""
    why = f": {because}" if because and not kept else ""
    reason = f"score {score:.4f} is {side} the cutoff {cutoff:.4f}{also}{unsure}{why}"
    return Decision(kept, QCSetImage.DecidedBy.SCORE, reason)


def printed_names() -> dict[int, str]:
    """Everybody's name by id: a lab's people are few, its labels are many."""
    return {user.pk: user.printed_name for user in User.objects.all()}
