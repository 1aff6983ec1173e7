"""Files whose numbers were brought to 16 bits by different factors: not to be compared, and never in silence."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from django.db.models import Count, QuerySet

from imaging.reading.values import scale_of
from labeling.models import Channel, Experiment, ImageFile

AS_IT_IS = "taken as they are"


def warn_of_scaling(channels: Sequence[Channel]) -> list[str]:
    """Keep a warning on each channel whose measured files differ in scale, take away one that is over; returns all."""
    for channel in channels:
        warning = _warning_for(channel)
        if warning != channel.warning:
            channel.warning = warning
            channel.save(update_fields=["warning"])
    return [channel.warning for channel in channels if channel.warning]


def scales_of(channel: Channel) -> Counter[str]:
    """How many measured files of a channel have each scale."""
    counts = ImageFile.objects.filter(channel=channel).exclude(sha256="").order_by().values_list("scaling")
    scales: Counter[str] = Counter()
    for scaling, n_files in counts.annotate(n_files=Count("pk")):
        scales[scale_of(scaling) or AS_IT_IS] += n_files
    return scales


def oddly_scaled(experiment: Experiment) -> QuerySet[ImageFile]:
    """The files of channels that have a warning, whose scale is not the one most files of the channel have."""
    odd = ImageFile.objects.none()
    for channel in experiment.channels.exclude(warning=""):
        usual = scales_of(channel).most_common(1)[0][0]
        files = ImageFile.objects.filter(channel=channel).exclude(sha256="")
        scalings = files.order_by().values_list("scaling", flat=True).distinct()
        odd |= files.filter(scaling__in=[one for one in scalings if (scale_of(one) or AS_IT_IS) != usual])
    return odd.select_related("channel", "image__plate", "image__well").order_by("channel__position", "image_id")


def _warning_for(channel: Channel) -> str:
    scales = scales_of(channel)
    if len(scales) < 2:
        return ""
    listed = "; ".join(f"{n_files:,} {scale}" for scale, n_files in scales.most_common())
    return (
        f"Files of {channel.name} were brought to 16 bits in different ways ({listed}), so their numbers must not be "
        "compared. Export all files of the channel in one way, and take them in as another experiment."
    )
