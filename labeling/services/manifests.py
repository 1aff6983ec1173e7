"""The canonical text of a QC set: the bytes that are hashed, signed, exported and checked again."""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import json
from collections import defaultdict
from collections.abc import Iterator
from itertools import islice

from labeling.models import ImageFile, QCSet, QCSetImage

COLUMNS = (
    "plate",
    "well",
    "site",
    "image",
    "content_hash",
    "kept",
    "decided_by",
    "reason",
    "verdict",
    "isolation_score",
    "blended_score",
    "role",
    "control_class",
    "files",
    "timepoint",
)
BATCH = 5000


def manifest_csv(qc_set: QCSet) -> bytes:
    """UTF-8 CSV of every decision, rows by plate, well, site and time, lines ending in a line feed.

    The same decisions give the same bytes. `files` is a JSON object from channel to URI; scores have
    the nine digits that tell any two 4-byte floats apart; what is undefined is empty.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for row in manifest_rows(qc_set):
        writer.writerow([row[column] for column in COLUMNS])
    return text.getvalue().encode()


def manifest_rows(qc_set: QCSet) -> Iterator[dict[str, object]]:
    """The rows as they stand in the database now."""
    decisions = iter(
        qc_set.decisions.select_related("image__plate", "image__well", "label")
        .order_by("image__plate__barcode", "image__well__row", "image__well__column", "image__site", "image__timepoint")
        .iterator(chunk_size=BATCH)
    )
    while batch := list(islice(decisions, BATCH)):
        files = _files_of([decision.image_id for decision in batch])
        for decision in batch:
            yield _row(decision, files[decision.image_id])


def stored_csv(qc_set: QCSet) -> bytes:
    """The frozen bytes of a signed set."""
    return gzip.decompress(qc_set.manifest.csv_gzip)


def csv_of(qc_set: QCSet) -> bytes:
    """What an export gives: the signed bytes, or for a draft what would be signed."""
    return stored_csv(qc_set) if qc_set.is_signed else manifest_csv(qc_set)


def packed(text: bytes) -> bytes:
    """gzip without a time stamp, so that the same text packs to the same bytes."""
    return gzip.compress(text, mtime=0)


def sha256_of(text: bytes) -> str:
    return hashlib.sha256(text).hexdigest()


def _row(decision: QCSetImage, files: dict[str, str]) -> dict[str, object]:
    image = decision.image
    return {
        "plate": image.plate.barcode,
        "well": image.well.name,
        "site": image.site,
        "image": image.pk,
        "content_hash": image.content_hash,
        "kept": int(decision.kept),
        "decided_by": decision.decided_by,
        "reason": decision.reason,
        "verdict": decision.label.verdict if decision.label else "",
        "isolation_score": _digits(decision.isolation_score),
        "blended_score": _digits(decision.blended_score),
        "role": image.well.role,
        "control_class": image.well.control_class,
        "files": json.dumps(files, ensure_ascii=False),
        "timepoint": image.timepoint,
    }


def _digits(score: float | None) -> str:
    return "" if score is None else f"{score:.9g}"


def _files_of(image_ids: list[int]) -> dict[int, dict[str, str]]:
    files: dict[int, dict[str, str]] = defaultdict(dict)
    rows = ImageFile.objects.filter(image__in=image_ids).order_by("image", "channel__position")
    for image_id, channel, uri in rows.values_list("image_id", "channel__name", "uri"):
        files[image_id][channel] = uri
    return files
