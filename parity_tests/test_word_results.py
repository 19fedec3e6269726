"""The committed measurements of the word presets say what the README claims."""

import json
from pathlib import Path

import pytest

RESULTS = Path(__file__).parent.parent / "benchmarks" / "results"
pytestmark = pytest.mark.skipif(not RESULTS.exists(), reason="installed without the checkout")


def newest(name: str) -> dict:
    """The latest result of that name."""
    return json.loads(max(RESULTS.glob(f"????-??-??-{name}.json")).read_text(encoding="utf-8"))


@pytest.mark.parametrize("preset", ["word-seed", "awd-wikitext2"])
@pytest.mark.parametrize("twin", ["NumpyLM", "TorchLM"])
def test_a_training_step_takes_at_most_four_fifths_of_the_memory_of_plain_cross_entropy(preset, twin):
    peaks = newest("memory")["presets"][preset]
    assert peaks[twin]["losses"] == pytest.approx(peaks["torch, plain cross-entropy"]["losses"], abs=1e-4)
    assert peaks[twin]["peak"] <= 0.8 * peaks["torch, plain cross-entropy"]["peak"]
