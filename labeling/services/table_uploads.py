"""Tables that were sent by a browser: kept in the storage, where a worker on another computer finds them."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

from django.core.files.storage import default_storage
from django.core.files.uploadedfile import UploadedFile
from django.utils.text import get_valid_filename

from labeling.models import Experiment
from labeling.problems import BadValue, Conflict

LARGEST = 4 * 2**30  # bytes; 200,000 rows of 200 columns have 0.8 GB


def keep_upload(experiment: Experiment, file: UploadedFile) -> str:
    """Keep a table; returns its path in the storage. The same bytes are kept once, under their SHA-256."""
    if file.size > LARGEST:
        raise BadValue("The table is larger than 4 GB; put it where the server can read it and give its path.")
    digest = hashlib.sha256()
    for chunk in file.chunks():
        digest.update(chunk)
    name = get_valid_filename(file.name.rsplit("/", 1)[-1])[-80:]
    path = f"tables/{experiment.pk}/{digest.hexdigest()}/{name}"
    if not default_storage.exists(path):
        file.seek(0)
        default_storage.save(path, file)
    return path


def name_of(path: str) -> str:
    """What the person called the table."""
    return path.rsplit("/", 1)[-1]


@contextmanager
def opened_upload(path: str) -> Iterator[str]:
    """The path of a local file with the table, a copy where the storage is elsewhere."""
    if not default_storage.exists(path):
        raise Conflict("The uploaded table is no longer there; send it again.")
    try:
        yield default_storage.path(path)
    except NotImplementedError:
        with default_storage.open(path) as kept, tempfile.NamedTemporaryFile(suffix=".table") as copy:
            shutil.copyfileobj(kept, copy)
            copy.flush()
            yield copy.name
