"""Check that the records are as they were written."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator

from django.db.models import Q

from labeling.models import AuditEvent, Manifest, ModelVersion, QCSet, Signature
from labeling.services import audit
from labeling.services.manifests import manifest_rows, sha256_of, stored_rows, stored_sha256
from labeling.services.qc_sets import seal_of

PLACE = ("plate", "well", "site")
DECISION = ("kept", "decided_by", "reason", "isolation_score", "blended_score")


def faults() -> Iterator[str]:
    """A sentence for every record that was altered: the audit chain, each signed set, each model."""
    yield from audit.faults_in_chain()
    # What the audit calls approved counts too: a set turned back into a draft must not escape.
    approved = AuditEvent.objects.filter(action="qc_set.approved", object_type="qcset")
    for event in approved.exclude(object_id__in=QCSet.objects.values("pk")):
        yield f"{event.object_name}: the set is missing."
    signed = QCSet.objects.filter(~Q(manifest_sha256="") | Q(pk__in=approved.values("object_id")))
    for qc_set in signed.select_related("experiment").order_by("id"):
        yield from faults_of(qc_set)
    yield from faulty_models()


def faulty_models() -> Iterator[str]:
    """Models whose weights, or what is said of them, are not those that were trained."""
    trained = {
        event.object_id: event
        for event in AuditEvent.objects.filter(
            action__in=("model.trained", "model.started"), object_type="modelversion"
        )
    }
    for model in ModelVersion.objects.select_related("experiment").order_by("id"):
        event = trained.pop(model.pk, None)
        if event is None or (event.new or {}).get("weights_sha256") != model.weights_sha256:
            yield f"{model}: the audit tells of other weights."
        try:
            with model.weights.open("rb") as file:
                sha256 = sha256_of(file.read())
        except (OSError, ValueError):  # ValueError: no file is named
            yield f"{model}: the weights are missing or cannot be read."
            continue
        if sha256 != model.weights_sha256:
            yield f"{model}: the weights are not those that were trained."
    for event in trained.values():
        yield f"{event.object_name}: the model is missing."


def faults_of(qc_set: QCSet) -> Iterator[str]:
    """What does not fit between a signed set's manifest, decisions, signatures and audit."""
    try:
        sha256 = stored_sha256(qc_set)
    except (Manifest.DoesNotExist, gzip.BadGzipFile, zlib.error, EOFError):
        yield f"{qc_set}: the manifest is missing or cannot be read."
        return
    if not sha256 == qc_set.manifest_sha256 == qc_set.manifest.sha256:
        yield f"{qc_set}: the manifest is not the one that was signed."
    signatures = list(qc_set.signatures.select_related("by"))
    if not signatures:
        yield f"{qc_set}: the signature is missing."
    for signature in signatures:
        if signature.manifest_sha256 != sha256 or signature.seal != _seal(signature):
            yield f"{qc_set}: the signature of {signature.printed_name} does not fit the set."
    approval = AuditEvent.objects.filter(action="qc_set.approved", object_type="qcset", object_id=qc_set.pk).first()
    if approval is None or (approval.new or {}).get("manifest_sha256") != sha256:
        yield f"{qc_set}: the audit tells of another manifest."
    if sha256 == qc_set.manifest_sha256:  # else there is nothing to compare with
        yield from _altered_decisions(qc_set)


def _altered_decisions(qc_set: QCSet) -> Iterator[str]:
    # Without the files, which make most of a row: all rows are in memory at once.
    signed = {row["image"]: [row[name] for name in (*PLACE, *DECISION)] for row in stored_rows(qc_set)}
    for row in manifest_rows(qc_set):
        was = signed.pop(str(row["image"]), None)
        if was is None or was[len(PLACE) :] != [str(row[name]) for name in DECISION]:
            yield f"{qc_set}: the decision on {row['plate']} {row['well']} site {row['site']} was altered."
    for plate, well, site, *_ in signed.values():
        yield f"{qc_set}: the decision on {plate} {well} site {site} is missing."


def _seal(signature: Signature) -> str:
    return seal_of(
        username=signature.by.username,
        printed_name=signature.printed_name,
        manifest_sha256=signature.manifest_sha256,
        meaning=signature.meaning,
        at=signature.at,
    )
