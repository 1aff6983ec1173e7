"""Whoever edits the database past the app is found out, in a sentence that names the record."""

from __future__ import annotations

import gzip

import pytest
from django.core.management import call_command

from labeling.models import AuditEvent, QCSet
from labeling.services.manifests import packed, sha256_of, stored_csv
from labeling.services.qc_sets import approve_qc_set, draft_qc_set, seal_of, withdraw_qc_set
from labeling.services.verification import faults
from tests.conftest import PASSWORD
from tests.factories import make_scored_experiment, save_cutoff_at
from tests.labeling.conftest import MEANING

THE_SET = "Plate 0412 QC set 1"


@pytest.fixture
def other(scientist):
    """A signed set of another experiment."""
    experiment = make_scored_experiment(scientist, name="Other", plates=("9",))
    save_cutoff_at(experiment, -0.5, by=scientist)
    qc_set = draft_qc_set(experiment, by=scientist)
    approve_qc_set(qc_set, by=scientist, password=PASSWORD, meaning=MEANING)
    qc_set.refresh_from_db()
    return qc_set


def test_records_as_they_were_written_have_no_fault(signed, other):
    assert list(faults()) == []


def test_superseded_and_withdrawn_sets_have_no_fault(signed, experiment, scientist):
    second = draft_qc_set(experiment, by=scientist)
    approve_qc_set(second, by=scientist, password=PASSWORD, meaning=MEANING)
    withdraw_qc_set(second, by=scientist, reason="wrong plate map")
    assert list(faults()) == []


def test_a_change_of_roles_or_barcodes_after_signing_is_no_fault(signed, experiment):
    experiment.plates.update(barcode="renamed")
    experiment.images.first().well.__class__.objects.update(role="control")
    assert list(faults()) == []


@pytest.mark.parametrize(
    "change",
    ["kept = NOT kept", "reason = 'because'", "isolation_score = isolation_score + 1e-7", "blended_score = 0.5"],
)
def test_an_edited_decision_is_found(signed, tamper, change):
    image = signed.decisions.first().image
    tamper(f"UPDATE labeling_qcsetimage SET {change} WHERE image_id = %s", image.pk)
    assert list(faults()) == [f"{THE_SET}: the decision on 0412 A01 site 1 was altered."]


def test_a_decision_turned_over_to_another_judge_is_found(signed, tamper):
    tamper(
        "UPDATE labeling_qcsetimage SET decided_by = 'error', kept = false WHERE image_id IN"
        " (SELECT max(image_id) FROM labeling_qcsetimage)"
    )
    assert list(faults()) == [f"{THE_SET}: the decision on 0412 B03 site 2 was altered."]


def test_a_missing_decision_is_found(signed, tamper):
    tamper("DELETE FROM labeling_qcsetimage WHERE image_id = %s", signed.decisions.first().image_id)
    assert list(faults()) == [f"{THE_SET}: the decision on 0412 A01 site 1 is missing."]


def test_a_decision_added_is_found(signed, other, tamper):
    stranger = other.decisions.first().image
    tamper(
        "INSERT INTO labeling_qcsetimage (qc_set_id, image_id, kept, decided_by, reason)"
        " VALUES (%s, %s, true, 'score', 'smuggled in')",
        signed.pk,
        stranger.pk,
    )
    assert list(faults()) == [f"{THE_SET}: the decision on 9 A01 site 1 was altered."]


def test_an_edited_manifest_is_found(signed, tamper):
    forged = stored_csv(signed).replace(b",0,score,", b",1,score,", 1)
    tamper("UPDATE labeling_manifest SET csv_gzip = %s", packed(forged))
    found = list(faults())
    assert found[0] == f"{THE_SET}: the manifest is not the one that was signed."
    assert f"{THE_SET}: the signature of Grace Plate does not fit the set." in found


def test_a_manifest_edited_with_every_checksum_of_the_set_made_anew_is_found(signed, tamper):
    forged = stored_csv(signed).replace(b",0,score,", b",1,score,", 1)
    sha256 = sha256_of(forged)
    tamper("UPDATE labeling_manifest SET csv_gzip = %s, sha256 = %s", packed(forged), sha256)
    tamper("UPDATE labeling_qcset SET manifest_sha256 = %s", sha256)
    signature = signed.signatures.get()
    seal = seal_of(
        username="grace", printed_name="Grace Plate", manifest_sha256=sha256, meaning=MEANING, at=signature.at
    )
    tamper("UPDATE labeling_signature SET manifest_sha256 = %s, seal = %s", sha256, seal)
    assert f"{THE_SET}: the audit tells of another manifest." in list(faults())


@pytest.mark.parametrize("content", [b"", b"not gzip", packed(b"plate,well\n")[:-9], gzip.compress(b"x", mtime=0)[:12]])
def test_a_manifest_that_cannot_be_read_is_a_fault_and_no_crash(signed, tamper, content):
    tamper("UPDATE labeling_manifest SET csv_gzip = %s", content)
    assert next(faults()).startswith(f"{THE_SET}: the manifest is ")


def test_a_manifest_of_another_shape_is_a_fault_and_no_crash(signed, tamper):
    tamper("UPDATE labeling_manifest SET csv_gzip = %s", packed(b"a,b\n1,2\n"))
    assert next(faults()) == f"{THE_SET}: the manifest is not the one that was signed."


def test_a_missing_manifest_is_found(signed, other, tamper):
    tamper("DELETE FROM labeling_manifest WHERE qc_set_id = %s", signed.pk)
    assert list(faults()) == [f"{THE_SET}: the manifest is missing or cannot be read."]


@pytest.mark.parametrize(
    "change",
    ["meaning = 'I did not look'", "printed_name = 'Rosa Well'", "at = at + interval '1 day'", "by_id = by_id + 1"],
)
def test_an_edited_signature_is_found(signed, second_scientist, tamper, change):
    tamper("UPDATE labeling_signature SET " + change.replace("by_id + 1", str(second_scientist.pk)))
    assert len(list(faults())) == 1
    assert "does not fit the set" in next(faults())


def test_a_missing_signature_is_found(signed, tamper):
    tamper("DELETE FROM labeling_signature")
    assert list(faults()) == [f"{THE_SET}: the signature is missing."]


COPY = (
    "INSERT INTO labeling_signature (qc_set_id, by_id, printed_name, meaning, at, manifest_sha256, seal)"
    " SELECT %s, by_id, printed_name, meaning, at, {sha256}, seal FROM labeling_signature WHERE qc_set_id = %s"
)


@pytest.mark.parametrize("adjusted", [False, True])
def test_a_signature_copied_to_another_set_is_found(signed, other, tamper, adjusted):
    sha256 = f"'{other.manifest_sha256}'" if adjusted else "manifest_sha256"
    tamper("DELETE FROM labeling_signature WHERE qc_set_id = %s", other.pk)
    tamper(COPY.format(sha256=sha256), other.pk, signed.pk)
    assert list(faults()) == ["Other QC set 1: the signature of Grace Plate does not fit the set."]


def test_a_signed_set_turned_back_into_a_draft_is_found(signed, tamper):
    tamper("UPDATE labeling_qcset SET state = 'draft', manifest_sha256 = ''")
    assert next(faults()) == f"{THE_SET}: the manifest is not the one that was signed."


def test_a_signed_set_taken_out_whole_is_found(signed, tamper):
    for table in ("signature", "manifest", "qcsetimage", "qcset"):
        tamper(f"DELETE FROM labeling_{table}")
    assert list(faults()) == [f"{THE_SET}: the set is missing."]


def test_an_approval_taken_out_of_the_audit_is_found_twice(signed, tamper):
    tamper("DELETE FROM labeling_auditevent WHERE action = 'qc_set.approved'")
    assert f"{THE_SET}: the audit tells of another manifest." in list(faults())


def test_an_approval_emptied_in_the_audit_is_a_fault_and_no_crash(signed, tamper):
    tamper("UPDATE labeling_auditevent SET new = NULL WHERE action = 'qc_set.approved'")
    found = list(faults())
    assert "was altered" in found[0]
    assert f"{THE_SET}: the audit tells of another manifest." in found


# --- the command ----------------------------------------------------------------------------------------


def test_the_command_says_how_much_it_checked(signed, capsys):
    call_command("verify_audit")
    assert capsys.readouterr().out == f"{AuditEvent.objects.count()} audit events and 1 signed sets are as written.\n"


def test_the_command_exits_1_with_the_first_fault(signed, tamper, capsys):
    tamper("UPDATE labeling_auditevent SET reason = 'x' WHERE sequence = 1")
    with pytest.raises(SystemExit) as exit_:
        call_command("verify_audit")
    assert exit_.value.code == 1
    assert capsys.readouterr().err.startswith("Audit event 1 ")


def test_the_command_is_content_before_anything_was_signed(db, capsys):
    call_command("verify_audit")
    assert capsys.readouterr().out == "0 audit events and 0 signed sets are as written.\n"
    assert not QCSet.objects.exists()
