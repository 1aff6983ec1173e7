"""The canonical text of a QC set: the bytes that are hashed, signed, exported and checked again."""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import json
from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from imaging.wells import WellPosition
from labeling.models import ImageFile, QCSet
from labeling.services.image_facts import in_batches

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
# What a row is made of; not whole objects, of which 200,000 take 20 s.
FACTS = (
    "image_id",
    "image__plate__barcode",
    "image__well__row",
    "image__well__column",
    "image__well__role",
    "image__well__control_class",
    "image__site",
    "image__timepoint",
    "image__content_hash",
    "kept",
    "decided_by",
    "reason",
    "label__verdict",
    "isolation_score",
    "blended_score",
)
PLATE_ORDER = ("plate__barcode", "well__row", "well__column", "site", "timepoint")
BATCH = 5000
PIECE_BYTES = 2**20


class Frozen(NamedTuple):
    """A manifest as it is kept: packed, with the SHA-256 of its text."""

    csv_gzip: bytes
    sha256: str


def manifest_csv(qc_set: QCSet) -> bytes:
    """UTF-8 CSV of every decision, rows by plate, well, site and time, lines ending in a line feed.

    The same decisions give the same bytes. `files` is a JSON object from channel to URI; scores have
    the nine digits that tell any two 4-byte floats apart; what is undefined is empty.
    """
    return b"".join(manifest_pieces(qc_set))


def manifest_pieces(qc_set: QCSet) -> Iterator[bytes]:
    """The same, some thousand rows at a time: of 200,000 images the whole has 150 MB."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for rows in in_batches(manifest_rows(qc_set), BATCH):
        writer.writerows([row[column] for column in COLUMNS] for row in rows)
        yield text.getvalue().encode()
        text.seek(0)
        text.truncate()
    yield text.getvalue().encode()  # the header, where there is no row


def freeze(qc_set: QCSet) -> Frozen:
    """The manifest packed while it is written; only the packed text is ever whole in memory."""
    sha256, file = hashlib.sha256(), io.BytesIO()
    with _gzip_writer(file) as packing:
        for piece in manifest_pieces(qc_set):
            sha256.update(piece)
            packing.write(piece)
    return Frozen(file.getvalue(), sha256.hexdigest())


def manifest_rows(qc_set: QCSet) -> Iterator[dict[str, object]]:
    """The rows as they stand in the database now."""
    decisions = (
        qc_set.decisions.order_by(*(f"image__{name}" for name in PLATE_ORDER)).values(*FACTS).iterator(chunk_size=BATCH)
    )
    for batch in in_batches(decisions, BATCH):
        files = _files_of([decision["image_id"] for decision in batch])
        for decision in batch:
            yield _row(decision, files[decision["image_id"]])


def stored_pieces(qc_set: QCSet) -> Iterator[bytes]:
    """The frozen bytes of a signed set, a megabyte at a time."""
    with gzip.open(io.BytesIO(qc_set.manifest.csv_gzip)) as unpacking:
        while piece := unpacking.read(PIECE_BYTES):
            yield piece


def stored_csv(qc_set: QCSet) -> bytes:
    """The frozen bytes of a signed set."""
    return gzip.decompress(qc_set.manifest.csv_gzip)


def stored_rows(qc_set: QCSet) -> Iterator[dict[str, str]]:
    """The rows of a signed set, one at a time."""
    with gzip.open(io.BytesIO(qc_set.manifest.csv_gzip), "rt", encoding="utf-8", newline="") as lines:
        yield from csv.DictReader(lines)


def stored_sha256(qc_set: QCSet) -> str:
    """SHA-256 of the frozen bytes as they are now."""
    sha256 = hashlib.sha256()
    for piece in stored_pieces(qc_set):
        sha256.update(piece)
    return sha256.hexdigest()


def csv_of(qc_set: QCSet) -> bytes:
    """What an export gives: the signed bytes, or for a draft what would be signed."""
    return stored_csv(qc_set) if qc_set.is_signed else manifest_csv(qc_set)


def packed(text: bytes) -> bytes:
    """gzip without a time stamp, so that the same text packs to the same bytes."""
    file = io.BytesIO()
    with _gzip_writer(file) as packing:
        packing.write(text)
    return file.getvalue()


def sha256_of(text: bytes) -> str:
    return hashlib.sha256(text).hexdigest()


def _gzip_writer(file: io.BytesIO) -> gzip.GzipFile:
    # Level 9 takes three times as long for a hundredth of the size.
    return gzip.GzipFile(filename="", mode="wb", compresslevel=6, fileobj=file, mtime=0)


def _row(decision: Mapping[str, Any], files: dict[str, str]) -> dict[str, object]:
    return {
        "plate": decision["image__plate__barcode"],
        "well": WellPosition(decision["image__well__row"], decision["image__well__column"]).name,
        "site": decision["image__site"],
        "image": decision["image_id"],
        "content_hash": decision["image__content_hash"],
        "kept": int(decision["kept"]),
        "decided_by": decision["decided_by"],
        "reason": decision["reason"],
        "verdict": decision["label__verdict"] or "",
        "isolation_score": _digits(decision["isolation_score"]),
        "blended_score": _digits(decision["blended_score"]),
        "role": decision["image__well__role"],
        "control_class": decision["image__well__control_class"],
        "files": json.dumps(files, ensure_ascii=False),
        "timepoint": decision["image__timepoint"],
    }


def _digits(score: float | None) -> str:
    return "" if score is None else f"{score:.9g}"


def _files_of(image_ids: list[int]) -> dict[int, dict[str, str]]:
    files: dict[int, dict[str, str]] = defaultdict(dict)
    rows = ImageFile.objects.filter(image__in=image_ids).order_by("image", "channel__position")
    for image_id, channel, uri in rows.values_list("image_id", "channel__name", "uri"):
        files[image_id][channel] = uri
    return files
