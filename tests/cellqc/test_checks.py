"""Faults of the settings are told at start-up."""

import pytest

from cellqc.checks import network_can_be_used
from tests.networks import write_network


@pytest.fixture(autouse=True)
def _turned_on(settings):
    settings.EMBEDDINGS, settings.NETWORK = True, ""


def test_a_good_network_and_our_own_are_no_fault(settings, tmp_path):
    assert network_can_be_used() == []
    settings.NETWORK = str(write_network(tmp_path / "tiny.onnx"))
    assert network_can_be_used() == []


def test_a_wrong_network_is_an_error_with_a_hint(settings, tmp_path):
    settings.NETWORK = str(tmp_path / "nowhere.onnx")
    (fault,) = network_can_be_used()
    assert (fault.id, fault.msg[:16]) == ("cellqc.E001", "There is no file")
    assert "CELLQC_NETWORK" in fault.hint


def test_missing_weights_are_a_warning(settings, monkeypatch):
    monkeypatch.setattr("imaging.embeddings.export.NEEDED", ("a_package_nobody_has",))
    assert [fault.id for fault in network_can_be_used()] == ["cellqc.W001"]


def test_turned_off_nothing_is_checked(settings):
    settings.EMBEDDINGS, settings.NETWORK = False, "/nowhere"
    assert network_can_be_used() == []
