"""Faults of the settings of training, told at start-up."""

from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error

from training.learners.classifiers import CLASSIFIERS


def check_classifier_setting(app_configs: Any, **options: Any) -> list[CheckMessage]:
    """CELLQC_CLASSIFIER must name a classifier there is."""
    if settings.CLASSIFIER in CLASSIFIERS:
        return []
    return [
        Error(
            f"CELLQC_CLASSIFIER={settings.CLASSIFIER!r} is no classifier.",
            hint=f"Use {', '.join(CLASSIFIERS)}.",
            id="training.E001",
        )
    ]
