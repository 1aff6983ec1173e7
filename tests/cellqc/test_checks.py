"""Faults in the settings are told at start-up, with a hint."""

import pytest

from cellqc.checks import check_scheduler, network_can_be_used
from tests.networks import write_network


@pytest.mark.parametrize(
    "address", ["", "tcp://10.0.0.5:8786", "tls://dask.lab.example:8786", "tcp://[::1]:8786", "dask:8786"]
)
def test_an_address_of_a_scheduler_passes(settings, address):
    settings.DASK_SCHEDULER = address
    assert check_scheduler() == []


@pytest.mark.parametrize("address", ["dask", "http://dask:8786", "tcp://dask", "tcp://dask:port", "8786"])
def test_what_is_no_address_is_told_with_a_hint(settings, address):
    settings.DASK_SCHEDULER = address
    (told,) = check_scheduler()
    assert repr(address) in told.msg
    assert "tcp://host:8786" in told.hint


@pytest.fixture
def turned_on(settings):
    settings.EMBEDDINGS, settings.NETWORK = True, ""


def test_a_good_network_and_our_own_are_no_fault(turned_on, settings, tmp_path):
    assert network_can_be_used() == []
    settings.NETWORK = str(write_network(tmp_path / "tiny.onnx"))
    assert network_can_be_used() == []


def test_a_wrong_network_is_an_error_with_a_hint(turned_on, settings, tmp_path):
    settings.NETWORK = str(tmp_path / "nowhere.onnx")
    (fault,) = network_can_be_used()
    assert (fault.id, fault.msg[:16]) == ("cellqc.E002", "There is no file")
    assert "CELLQC_NETWORK" in fault.hint


def test_missing_weights_are_a_warning(turned_on, settings, monkeypatch):
    monkeypatch.setattr("imaging.embeddings.export.NEEDED", ("a_package_nobody_has",))
    assert [fault.id for fault in network_can_be_used()] == ["cellqc.W001"]


def test_turned_off_nothing_is_checked(settings):
    settings.EMBEDDINGS, settings.NETWORK = False, "/nowhere"
    assert network_can_be_used() == []
