"""What a job is told of the settings that it runs under."""

from __future__ import annotations

from tradenas.train.loop import Training
from tradenas.trials.retrain import plain


def test_what_is_not_asked_for_makes_no_other_job():
    assert "bf16" not in plain(Training())
    assert plain(Training(bf16=True))["bf16"]
    assert Training(**plain(Training(lr=0.5))) == Training(lr=0.5)
