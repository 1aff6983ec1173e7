"""How numbers and times are written in the pages."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from django import template
from django.urls import reverse

from labeling.models import Cutoff, Defect, Image, Job
from labeling.services.cutoffs import CutoffChoice
from labeling.services.jobs import rate_per_s, seconds_left
from labeling.services.labels_at_once import MOST_AT_ONCE
from labeling.services.rules import conditions_of

register = template.Library()
THIN_SPACE, MINUS = "\u202f", "\u2212"


@register.filter
def counted(number: int | None) -> str:
    """A count with thin spaces between thousands."""
    return "" if number is None else f"{number:,}".replace(",", THIN_SPACE)


@register.filter
def score(value: float | None, digits: int = 3) -> str:
    """A score with a true minus sign; a dash where there is none."""
    return "–" if value is None else f"{value:.{digits}f}".replace("-", MINUS)


@register.filter
def significant(value: float | None) -> str:
    """Four significant digits, as for a metric."""
    return "–" if value is None or value != value else f"{value:.4g}".replace("-", MINUS)


@register.filter
def percent(share: float | None) -> str:
    return "–" if share is None else f"{100 * share:.1f} %"


@register.filter
def along(share: float, width: int) -> str:
    """Where a share of 0 to 1 lies on a line of that many units, in a drawing with a margin of 8."""
    return f"{8 + width * share:.1f}"


@register.filter
def utc(moment: datetime | None) -> str:
    """A moment as 2026-03-04 15:06 UTC."""
    return "" if moment is None else f"{moment.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


@register.filter
def file_name(uri: str) -> str:
    return uri.rsplit("/", 1)[-1]


@register.filter
def in_words(action: str) -> str:
    """An action of the audit as people say it: `qc_set.approved` is "QC set approved"."""
    return action.replace("qc_set", "QC set").replace(".", " ").replace("_", " ")


@register.filter
def as_text(value: Any) -> str:
    """A JSON value of the audit as short text: `state: draft, kept: 12`."""
    if value is None:
        return ""
    if isinstance(value, dict):
        return ", ".join(f"{name}: {_plain(entry)}" for name, entry in value.items() if entry not in ("", None, []))
    return _plain(value)


@register.filter
def pace(job: Job) -> str:
    """Rate and time left of a running job, in words; empty while it is too early to say."""
    rate, left = rate_per_s(job), seconds_left(job)
    if rate is None or left is None:
        return ""
    return f"{rate:,.1f} a second, {_duration(left)} left"


@register.simple_tag
def thumbnail_url(image: Image, display_version: int, view: str, contrast: str = "common") -> str:
    name = "own_thumbnail" if contrast == "own" else "thumbnail"
    return reverse(name, args=[image.pk, display_version, view])


@register.simple_tag
def defect_choices() -> list[tuple[str, str]]:
    """(value, title) of each defect, in the order of the keys."""
    return Defect.choices


@register.simple_tag
def most_at_once() -> int:
    """How many images may be labelled in one step."""
    return MOST_AT_ONCE


@register.simple_tag(takes_context=True)
def rule_words(context: dict[str, Any], cutoff: Cutoff) -> str:
    """A cutoff with its conditions: `−0.5000 (by hand) or saturated > 1 % in DNA`."""
    by_score = [] if cutoff.how == Cutoff.How.UNUSED else [f"{score(cutoff.value, 4)} ({cutoff.how})"]
    channels = [channel.name for channel in context["experiment"].channels.all()] if cutoff.conditions else []
    conditions = [condition.in_words(channels) for condition in conditions_of(cutoff.conditions)]
    return " or ".join([*by_score, *conditions])


@register.simple_tag(takes_context=True)
def rule_query(context: dict[str, Any], choice: CutoffChoice, **changes: Any) -> str:
    """The query string of this page with that rule in it, so that pages that follow show the same."""
    score_part = dict.fromkeys(("value", "percent", "automatic", "unused", "low", "high", "reason", "name"))
    rule = choice.as_query()
    return query(context, **{**score_part, **rule, "also": rule["also"] or [""], **changes})


@register.simple_tag(takes_context=True)
def query(context: dict[str, Any], **changes: Any) -> str:
    """The query string of this page with some entries changed; None takes one out."""
    parameters = context["request"].GET.copy()
    for name, value in changes.items():
        parameters.pop(name, None)
        if isinstance(value, list):
            parameters.setlist(name, value)
        elif value is not None:
            parameters[name] = value
    return f"?{parameters.urlencode()}"


def _plain(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.6g}".replace("-", MINUS)
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"
