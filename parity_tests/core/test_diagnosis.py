"""What the gap between training and validation loss is said to mean."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lstm_ref.core.diagnosis import diagnosis


@pytest.mark.row("C43", "C44")
@given(train=st.floats(0.05, 12), gap=st.floats(-0.9, 3))
def test_the_diagnosis_follows_the_gap_between_training_and_validation_loss(train, gap):
    val = train * (1 + gap)
    verdict, text = diagnosis(train, val)
    gap = (val - train) / train
    expected = "overfitting" if gap > 0.10 else "underfitting" if gap < 0.02 else "balanced"
    assert verdict == expected
    assert text.startswith(f"train {train:.4f}, validation {val:.4f}, gap {gap:+.1%}: {verdict}")


@pytest.mark.row("C43", "C44")
@pytest.mark.parametrize(
    ("train", "val", "verdict", "advice"),
    [
        (1.0, 1.1001, "overfitting", ["more dropout", "smaller network"]),
        (1.0, 1.0999, "balanced", []),
        (1.0, 1.0201, "balanced", []),
        (1.0, 1.0199, "underfitting", ["more layers", "larger hidden_sizes"]),
        (2.9, 2.8639, "underfitting", ["more layers", "larger hidden_sizes"]),
    ],
)
def test_the_diagnosis_says_what_the_notebook_advises(train, val, verdict, advice):
    arrived, text = diagnosis(train, val)
    assert arrived == verdict
    assert all(piece in text for piece in advice)
    assert ("try" in text) == bool(advice)


@pytest.mark.row("C43")
def test_a_text_without_surprise_has_a_diagnosis_too():
    """One symbol: both losses are 0."""
    assert diagnosis(0.0, 0.0)[0] != "overfitting"
    assert diagnosis(0.0, 0.5)[0] == "overfitting"
