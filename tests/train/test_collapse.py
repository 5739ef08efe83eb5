"""mlagent_train.collapse on scalars as OpenRLHF logs them."""

import pytest

from mlagent_train.collapse import collapse_reason
from mlagent_train.config.schema import Collapse


def scalars(valid, entropy):
    rows = zip(valid, entropy, strict=True)
    return {
        update: {"train/valid": v, "train/entropy_loss": e} for update, (v, e) in enumerate(rows, 1)
    }


LIMITS = Collapse(updates=3, min_valid=0.1, min_entropy=0.01)
FINE = [0.5] * 6


@pytest.mark.parametrize(
    ("valid", "entropy", "reason"),
    [
        (FINE, FINE, ""),
        ([0.5, 0.5, 0.5, 0.0, 0.0, 0.0], FINE, "collapse.min_valid = 0.1 for 3 updates"),
        (FINE, [0.5, 0.5, 0.5, 0.0, 0.001, 0.005], "collapse.min_entropy = 0.01"),
        ([0.0, 0.0, 0.0, 0.0, 0.0, 0.2], FINE, ""),
        ([0.5, 0.5, 0.5, 0.2, 0.0, 0.0], FINE, ""),
    ],
)
def test_a_value_has_to_stay_below_its_floor(valid, entropy, reason):
    found = collapse_reason(scalars(valid, entropy), LIMITS)
    assert reason in found if reason else found == ""


def test_too_few_updates_say_nothing():
    assert collapse_reason(scalars([0.0, 0.0], [0.0, 0.0]), LIMITS) == ""


def test_updates_without_an_actor_step_do_not_count():
    found = scalars([0.0] * 4, FINE[:4])
    del found[2]["train/valid"], found[3]["train/valid"]
    assert collapse_reason(found, LIMITS) == ""


def test_it_is_off_unless_asked_for():
    assert collapse_reason(scalars([0.0] * 9, [0.0] * 9), Collapse()) == ""
