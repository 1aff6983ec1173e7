import csv
import hashlib
import io

import pyarrow.parquet
import pytest

from labeling.models import AuditEvent, ImageFile, QCSet
from labeling.services.labels import NewLabel, label_images
from labeling.services.qc_sets import draft_qc_set, withdraw_qc_set
from tests.conftest import PASSWORD
from tests.factories import save_cutoff_at
from tests.labeling.api.conftest import walk

MEANING = "I reviewed this set and approve it for training"


def sign(client, qc_set, password=PASSWORD, meaning=MEANING):
    body = {"password": password, "meaning": meaning}
    return client.post(f"/api/v1/qc-sets/{qc_set.pk}/sign/", body, format="json")


def export(client, qc_set, kind="csv"):
    return client.get(f"/api/v1/qc-sets/{qc_set.pk}/export/?format={kind}")


def rows_of(response):
    return list(csv.DictReader(io.StringIO(b"".join(response.streaming_content).decode())))


def test_a_draft_is_made_from_the_cutoff_in_force(as_scientist, address, experiment, scientist):
    save_cutoff_at(experiment, -0.55, by=scientist)
    response = as_scientist.post(f"{address}/qc-sets/")
    assert response.status_code == 201
    shown = response.json()
    assert (shown["state"], shown["number"], shown["cutoff"], shown["score"]) == ("draft", 1, -0.55, "isolation")
    assert shown["n_kept"] + shown["n_out"] == 12
    assert (shown["stale"], shown["signatures"], shown["created_by"]) == ("", [], "grace")


def test_there_is_no_draft_without_a_cutoff(as_scientist, address):
    response = as_scientist.post(f"{address}/qc-sets/")
    assert response.status_code == 409
    assert "No cutoff is saved" in response.json()["detail"]


def test_signing_freezes_the_set(as_scientist, draft):
    response = sign(as_scientist, draft)
    assert response.status_code == 200
    shown = response.json()
    draft.refresh_from_db()
    assert draft.state == "approved"
    assert (shown["by"], shown["printed_name"], shown["meaning"]) == ("grace", "Grace Plate", MEANING)
    assert shown["manifest_sha256"] == draft.manifest_sha256
    assert shown["at"].endswith("Z")
    assert as_scientist.get(f"/api/v1/qc-sets/{draft.pk}/").json()["signatures"] == [shown]


def test_a_wrong_password_signs_nothing_and_is_recorded(as_scientist, draft, scientist):
    response = sign(as_scientist, draft, password="guess")
    assert response.status_code == 403
    assert response.json()["detail"] == "The password is not right. Nothing was signed."
    draft.refresh_from_db()
    assert draft.state == "draft"
    event = AuditEvent.objects.get(action="signature.refused")
    assert (event.actor, event.origin) == (scientist, "API")


def test_five_wrong_passwords_lock_signing(as_scientist, draft):
    for _ in range(5):
        sign(as_scientist, draft, password="guess")
    response = sign(as_scientist, draft)
    assert response.status_code == 403
    assert "locked" in response.json()["detail"]


def test_a_stale_draft_is_not_signed(as_scientist, draft, experiment, scientist):
    label_images([NewLabel(experiment.images.first().pk, "bad")], by=scientist)
    assert "1 label was given" in as_scientist.get(f"/api/v1/qc-sets/{draft.pk}/").json()["stale"]
    response = sign(as_scientist, draft)
    assert response.status_code == 409
    assert "out of date" in response.json()["detail"]


@pytest.mark.parametrize("body", [{}, {"password": PASSWORD}, {"password": PASSWORD, "meaning": " "}])
def test_a_signature_needs_password_and_meaning(as_scientist, draft, body):
    response = as_scientist.post(f"/api/v1/qc-sets/{draft.pk}/sign/", body, format="json")
    assert response.status_code == 400


def test_a_set_is_signed_once(as_scientist, signed):
    assert sign(as_scientist, signed).status_code == 409


def test_withdrawing_needs_a_reason_and_keeps_it(as_admin, signed):
    address = f"/api/v1/qc-sets/{signed.pk}/withdraw/"
    assert as_admin.post(address, {}, format="json").status_code == 400
    response = as_admin.post(address, {"reason": "wrong plate map"}, format="json")
    assert response.status_code == 200
    shown = response.json()
    assert (shown["state"], shown["withdrawal_reason"], shown["withdrawn_by"]) == (
        "withdrawn",
        "wrong plate map",
        "alan",
    )
    assert as_admin.post(address, {"reason": "again"}, format="json").status_code == 409


def test_only_a_draft_is_discarded(as_scientist, draft):
    address = f"/api/v1/qc-sets/{draft.pk}/discard/"
    response = as_scientist.post(address)
    assert (response.status_code, response.json()["state"]) == (200, "discarded")
    assert as_scientist.post(address).status_code == 409


def test_the_list_takes_as_many_queries_for_many_sets(
    as_data_scientist, address, experiment, scientist, signed, django_assert_num_queries
):
    for _ in range(3):
        draft_qc_set(experiment, by=scientist)
    as_data_scientist.get(f"{address}/qc-sets/")
    # experiment, channels; sets, signatures, who signed
    with django_assert_num_queries(5):
        page = as_data_scientist.get(f"{address}/qc-sets/").json()
    assert [shown["number"] for shown in page["results"]] == [4, 3, 2, 1]
    assert len(walk(as_data_scientist, f"{address}/qc-sets/?page_size=1")) == 4


def test_the_exported_csv_is_what_was_signed(as_data_scientist, signed, data_scientist):
    response = export(as_data_scientist, signed)
    content = b"".join(response.streaming_content)
    signature = signed.signatures.get()
    assert hashlib.sha256(content).hexdigest() == signature.manifest_sha256
    assert response["X-Manifest-SHA256"] == signature.manifest_sha256
    assert response["Content-Disposition"] == 'attachment; filename="plate-0412-qc-set-1-approved.csv"'
    assert response["Content-Type"].startswith("text/csv")
    event = AuditEvent.objects.get(action="qc_set.exported")
    assert (event.actor, event.new["format"]) == (data_scientist, "csv")
    assert event.new["manifest_sha256"] == signature.manifest_sha256


def test_parquet_holds_the_same_with_types(as_data_scientist, signed):
    rows = rows_of(export(as_data_scientist, signed))
    response = export(as_data_scientist, signed, "parquet")
    table = pyarrow.parquet.read_table(io.BytesIO(b"".join(response.streaming_content)))
    assert table.column_names == list(rows[0])
    assert table.schema.metadata[b"manifest_sha256"].decode() == signed.manifest_sha256
    types = {field.name: str(field.type) for field in table.schema}
    assert (types["kept"], types["image"], types["isolation_score"]) == ("int8", "int64", "float")
    for typed, row in zip(table.to_pylist(), rows, strict=True):
        assert (typed["image"], typed["kept"]) == (int(row["image"]), int(row["kept"]))
        assert typed["isolation_score"] == pytest.approx(float(row["isolation_score"]), rel=1e-7)
        assert typed["blended_score"] is None
        assert typed["reason"] == row["reason"]
        assert typed["files"] == row["files"]


def test_loaddata_lists_the_files_of_the_kept_images(as_data_scientist, signed):
    kept = [row for row in rows_of(export(as_data_scientist, signed)) if row["kept"] == "1"]
    rows = rows_of(export(as_data_scientist, signed, "loaddata"))
    assert list(rows[0]) == [
        "Image_FileName_DNA",
        "Image_PathName_DNA",
        "Image_FileName_ER",
        "Image_PathName_ER",
        "Metadata_Plate",
        "Metadata_Well",
        "Metadata_Site",
        "Metadata_Timepoint",
    ]
    assert 0 < len(rows) == len(kept) == signed.n_kept < 12
    first = kept[0]
    assert rows[0]["Image_FileName_ER"] == f"{first['well']}_{first['site']}_ER.tif"
    assert rows[0]["Image_PathName_ER"] == "/images/Plate 0412/0412"
    assert (rows[0]["Metadata_Plate"], rows[0]["Metadata_Well"]) == ("0412", first["well"])


def test_loaddata_names_frames_where_a_file_has_several(as_data_scientist, signed):
    ImageFile.objects.filter(channel__name="ER").update(page=1)
    rows = rows_of(export(as_data_scientist, signed, "loaddata"))
    assert {(row["Image_Frame_DNA"], row["Image_Frame_ER"]) for row in rows} == {("0", "1")}


def test_a_draft_is_not_exported(as_data_scientist, draft):
    response = export(as_data_scientist, draft)
    assert response.status_code == 409
    assert response.json()["detail"] == "QC set 1 is draft; only a signed set is exported."
    assert not AuditEvent.objects.filter(action="qc_set.exported").exists()


def test_an_unknown_format_is_refused(as_data_scientist, signed):
    response = export(as_data_scientist, signed, "pdf")
    assert response.status_code == 400
    assert "use csv, parquet or loaddata" in response.json()["detail"]


def test_the_file_name_says_that_a_set_no_longer_stands(as_data_scientist, signed, scientist, admin, experiment):
    withdraw_qc_set(signed, by=admin, reason="wrong plate map")
    assert "qc-set-1-withdrawn.csv" in export(as_data_scientist, signed)["Content-Disposition"]
    assert QCSet.objects.get(pk=signed.pk).state == "withdrawn"
