"""Where thumbnails are kept, and how they get there."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from django.core.files.base import ContentFile
from django.core.files.storage import default_storage

from labeling.models import Channel, Experiment

log = logging.getLogger(__name__)

FOLDER_SIZE = 1000  # images a folder, so that no folder of a file system grows to 200,000 entries


def path_of(experiment_id: int, display_version: int, image_id: int, view: str) -> str:
    """Storage path of a thumbnail. `view` is `composite` or a channel's position.

    The version of the display ranges is in the path: a picture at an address never changes, and
    browsers may keep it for ever.
    """
    folder = image_id // FOLDER_SIZE
    return f"thumbnails/{experiment_id}/v{display_version}/{folder}/{image_id}-{view}.jpg"


def store(
    experiment: Experiment,
    display_version: int,
    image_id: int,
    thumbnails: Mapping[str, bytes],
    channels: list[Channel],
) -> None:
    """Keep the thumbnails of an Image, by channel name and `composite`. Writing again replaces them."""
    views = {channel.name: str(channel.position) for channel in channels}
    for name, jpeg in thumbnails.items():
        path = path_of(experiment.pk, display_version, image_id, views.get(name, name))
        if default_storage.exists(path):
            default_storage.delete(path)
        default_storage.save(path, ContentFile(jpeg))


def remove_older(experiment: Experiment, display_version: int) -> None:
    """Delete the thumbnails of versions before this one. What cannot be deleted is left, and the log says so."""
    try:
        versions, _ = default_storage.listdir(f"thumbnails/{experiment.pk}")
        for version in versions:
            if version.startswith("v") and version[1:].isdecimal() and int(version[1:]) < display_version:
                _remove_folder(f"thumbnails/{experiment.pk}/{version}")
    except Exception:  # each storage has its own errors; the new thumbnails are there all the same
        log.exception("old thumbnails of experiment %s could not be deleted", experiment.pk)


def _remove_folder(path: str) -> None:
    folders, files = default_storage.listdir(path)
    for folder in folders:
        _remove_folder(f"{path}/{folder}")
    for file in files:
        default_storage.delete(f"{path}/{file}")
    default_storage.delete(path)  # a file system keeps empty folders
