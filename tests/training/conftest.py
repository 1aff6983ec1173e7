"""Learning that costs a test no time: a quick classifier, rough intervals, and nothing that starts by itself."""

import pytest


@pytest.fixture
def quick_learning(settings, monkeypatch):
    settings.RETRAIN_AFTER, settings.CLASSIFIER = 0, "logistic"
    monkeypatch.setattr("training.learners.evaluation.N_BOOTSTRAPS", 20)
