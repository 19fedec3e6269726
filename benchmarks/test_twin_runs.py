"""A twin's run in the three forms that tell a wrong line from rounding."""

from pathlib import Path

import numpy as np
import pytest

from benchmarks.twin_runs import Beginning, losses_from, one_unit_off, realigned_losses
from lstm_ref.core.corpora import load_corpus
from lstm_ref.core.errors import UsageError
from lstm_ref.core.presets import preset


@pytest.fixture
def beginning(tmp_path: Path) -> Beginning:
    """Of 21 steps."""
    path = tmp_path / "text.txt"
    path.write_text("the cat sat on the mat , and the dog ran after the cat .\n" * 10, encoding="utf-8")
    sizes = {"hidden_sizes": (7,), "batch_size": 4, "seq_length": 20, "epochs": 3, "dropout_output": 0.3}
    config = preset("tiny").with_overrides(sizes | {"corpus": str(path), "precision": "float64"})
    return Beginning(config=config, corpus=load_corpus(str(path)))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_every_number_but_zero_moves_by_one_unit_up_or_down(dtype):
    before = {"a": np.linspace(-3, 3, 601, dtype=dtype) + dtype(1e-3), "b": np.zeros(5, dtype)}
    before["a"][::100] = 0
    after = one_unit_off(before)
    np.testing.assert_array_equal(after["b"], before["b"])
    a, moved = before["a"], after["a"]
    assert moved.dtype == dtype
    up, down = moved == np.nextafter(a, dtype(np.inf)), moved == np.nextafter(a, dtype(-np.inf))
    np.testing.assert_array_equal(up | down, a != 0)
    assert min(up.sum(), down.sum()) > 250


@pytest.mark.parametrize("backend", ["numpy", "torch"])
def test_a_moved_run_is_the_same_run_from_almost_the_same_place(backend, beginning):
    losses, moved = (losses_from(beginning, 10, backend, moved=moved) for moved in (False, True))
    assert losses != moved
    np.testing.assert_allclose(moved, losses, rtol=1e-12)


def test_a_realigned_run_is_torchs_of_two_steps_from_each_of_numpys(beginning):
    numpy, torch = realigned_losses(beginning, 6)
    assert numpy == losses_from(beginning, 6, "numpy")
    assert torch[0] == losses_from(beginning, 2, "torch")
    assert [len(losses) for losses in torch] == [2, 2, 2, 2, 2, 1]
    for n, losses in enumerate(torch):
        np.testing.assert_allclose(losses, numpy[n : n + 2], rtol=1e-13)


def test_watched_steps_are_the_runs_own(beginning):
    seen = []
    losses = losses_from(beginning, 4, "numpy", watch=lambda trainer: seen.append(trainer.checkpoint().progress.step))
    assert len(losses) == 4
    assert seen == [1, 2, 3, 4]


def test_more_steps_than_a_run_has_are_refused(beginning):
    with pytest.raises(UsageError, match=r"steps=22: the run has \d+; take fewer, or more epochs"):
        losses_from(beginning, 22, "numpy")
