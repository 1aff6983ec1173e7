"""Faults in the settings are told at start-up, with a hint."""

import pytest

from cellqc.checks import check_scheduler


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
