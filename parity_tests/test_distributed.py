"""A model shared by two or three processes is the model of one: every number of parity_tests.distributed_steps."""

import sys
from pathlib import Path

import numpy as np
import pytest

from lstm_ref.core.draws import Draws
from lstm_ref.core.errors import ConfigError, UsageError
from lstm_ref.core.group import VARIABLES, Joins, Ranks
from lstm_ref.core.language_model import load_backend
from lstm_ref.core.masks import dropout_masks, masks_of_rows
from parity_tests.distributed_steps import CASES, SETTINGS, STEPS, WORDS, numbers
from parity_tests.ranks import run_ranks

# Of the largest number of an array, or of 1e-3. Sums over rows are in another order, through eight steps of Adam.
BOUNDS = {"float64": 1e-12, "float32": 1e-5}


@pytest.fixture(scope="module")
def alone() -> dict[str, np.ndarray]:
    return numbers(load_backend("torch"))


@pytest.fixture(scope="module", params=[2, 3])
def together(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, np.ndarray]]:
    """Of every rank."""
    folder: Path = tmp_path_factory.mktemp("ranks")
    program = [sys.executable, "-m", "parity_tests.distributed_steps"]
    done = run_ranks([[*program, f"{rank}.npz"] for rank in range(request.param)], cwd=folder)
    assert [child.returncode for child in done] == [0] * request.param, "".join(child.stderr for child in done)
    return [dict(np.load(folder / f"{rank}.npz")) for rank in range(request.param)]


def test_every_number_is_that_of_one_process_to_rounding(alone, together):
    """Losses and norms of each step, gradients, parameters, optimizer, carried state, evaluation, logits, samples."""
    assert together[0].keys() == alone.keys()
    for name, expected in alone.items():
        bound = BOUNDS[CASES[name.split("/")[0]][2]] * max(1e-3, np.abs(expected).max())
        arrived = together[0][name]
        assert (arrived.shape, arrived.dtype) == (expected.shape, expected.dtype), name
        np.testing.assert_allclose(arrived, expected, rtol=0, atol=bound, err_msg=name)


def test_every_rank_has_the_same_bits(together):
    """So all of them take the same decisions, and their parameters never part."""
    for other in together[1:]:
        assert {name: value.tobytes() for name, value in other.items()} == {
            name: value.tobytes() for name, value in together[0].items()
        }


def test_the_steps_compared_are_worth_comparing(alone):
    """Clipping is at work, losses move, penalties and averages are there."""
    for case, (config, optimizer, _) in CASES.items():
        assert sum(alone[f"{case}/norm {step}"] > SETTINGS.clip for step in range(STEPS)) >= 2
        assert len({float(alone[f"{case}/loss {step}"]) for step in range(STEPS)}) == STEPS
        assert (alone[f"{case}/penalty"] > 0) == (config.ar_alpha > 0)
        if optimizer.optimizer == "nt-asgd":
            average, p = alone[f"{case}/optimizer average.decoder.bias"], alone[f"{case}/decoder.bias"]
            assert not np.array_equal(average, p)


def test_a_rank_drops_what_one_process_drops_in_its_rows():
    masks = dropout_masks(WORDS, Draws(1), 4, 6)
    parts = [masks_of_rows(masks, rows) for rows in (slice(0, 2), slice(2, 6))]
    assert len(masks) == 6  # of every kind
    for where, mask in masks.items():
        whole = where.startswith(("embedding", "weight_hh"))
        joined = parts[1][where] if whole else np.concatenate([part[where] for part in parts], axis=1)
        np.testing.assert_array_equal(joined, mask, err_msg=where)
        assert whole or parts[0][where].shape[1] == 2


def test_ranks_come_from_torchruns_variables_and_missing_ones_are_named():
    environment = dict.fromkeys(VARIABLES, "1") | {"RANK": "2", "WORLD_SIZE": "3"}
    assert Ranks.from_environment(environment) == Ranks(2, 3)
    for name in VARIABLES:
        with pytest.raises(UsageError, match=f"--distributed without {name}, .*torchrun --standalone"):
            Ranks.from_environment({other: value for other, value in environment.items() if other != name})


def test_rows_that_cannot_be_shared_equally_are_refused_with_both_numbers():
    Ranks(0, 3).check_rows(9)
    with pytest.raises(ConfigError, match=r"batch_size=10 .* 3 processes"):
        Ranks(0, 3).check_rows(10)


def test_only_the_torch_backend_joins():
    assert isinstance(load_backend("torch"), Joins)
    assert not isinstance(load_backend("numpy"), Joins)
