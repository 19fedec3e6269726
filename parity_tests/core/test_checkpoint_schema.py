"""Checkpoints that earlier versions wrote: they load, and mean what they meant."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from lstm_ref.core.checkpoint import SEAL, Checkpoint
from parity_tests.core.checkpoints import CONFIG, assert_same_bits, make, refusal

# What the header had, before there were runs on words.
CONFIG_1 = """
    corpus vocabulary vocabulary_order validation_fraction embedding_size hidden_sizes dropout_input dropout_between
    dropout_output epochs batch_size seq_length last_target lr beta1 beta2 eps clip evaluation print_every
    checkpoint_every keep_checkpoints seed backend device precision
"""
PROGRESS_1 = "step evaluated_step loss gradient_norm loss_sum loss_count best_loss best_step seconds"


def as_of_schema_1(path: Path) -> None:
    """Takes away what files had not then."""
    text, tensors = SEAL.read(path)
    header = json.loads(text)
    header["schema"] = 1
    for part, names in (("config", CONFIG_1), ("progress", PROGRESS_1)):
        header[part] = {name: header[part][name] for name in names.split()}
    SEAL.write(path, header, tensors)


def test_a_file_of_schema_1_is_read_as_the_run_that_it_was(tmp_path):
    path = tmp_path / "a.safetensors"
    saved = make()
    saved.save(path)
    as_of_schema_1(path)
    loaded = Checkpoint.load(path)
    assert loaded.config == saved.config
    assert loaded.progress == replace(saved.progress, tokens=139 * CONFIG.batch_size * CONFIG.seq_length)
    for group in ("model", "optimizer", "carry"):
        assert_same_bits(getattr(loaded, group), getattr(saved, group))
    loaded.save(path)
    assert Checkpoint.load(path).progress == loaded.progress


@pytest.mark.parametrize("schema", [1, 2])
@pytest.mark.parametrize("progress", [None, 3, {"step": -1}, {"step": "many"}, {"step": [1]}, {"plateaus": 0.5}])
def test_a_progress_that_cannot_be_is_refused(tmp_path, progress, schema):
    path = tmp_path / "a.safetensors"
    make().save(path)
    text, tensors = SEAL.read(path)
    SEAL.write(path, json.loads(text) | {"schema": schema, "progress": progress}, tensors)
    refusal(path)
