"""What `lstm train --help` says of presets and fields."""

import re

import pytest

from lstm_ref.core.config import FIELDS, RunConfig
from lstm_ref.core.group import START
from lstm_ref.core.presets import PRESETS
from parity_tests.conftest import RunLstm


def help_of_train(run_lstm: RunLstm) -> str:
    """In one line, without frames."""
    frame = str.maketrans("│╭╰─╮╯", "      ")
    return " ".join(run_lstm("train", "--help").stdout.translate(frame).split())


def explained_fields(text: str) -> dict[str, tuple[str, str]]:
    """Field -> its default and what is said of it."""
    return {name: (default, words) for name, default, words in re.findall(r"• (\w+) \((.*?)\): ([^•]*)", text)}


@pytest.mark.row("C42")
def test_train_help_explains_the_notebooks_hyperparameters_under_their_field_names(run_lstm: RunLstm):
    explained = explained_fields(help_of_train(run_lstm))
    words = {
        "hidden_sizes": "units of each layer",
        "dropout_between": "between layers",
        "batch_size": "rows of text that are read side by side",
        "seq_length": "longer context",
        "lr": "step size",
    }
    assert all(words[name] in explained[name][1] for name in words)
    assert "add dropout if the validation loss stays behind the training loss" in explained["hidden_sizes"][1]


@pytest.mark.row("C42")
def test_train_help_explains_every_field_with_its_default(run_lstm: RunLstm):
    text = help_of_train(run_lstm)
    explained, options = explained_fields(text), {"seed", "backend", "device", "precision"}
    assert explained.keys() | options == set(FIELDS)
    for name, (default, words) in explained.items():
        assert RunConfig.from_dict({name: default}) == RunConfig(), name
        assert len(words.split()) > 1, name
    for name in options:
        assert re.search(rf"--{name} [A-Z]+ \w+", text), name


def test_train_help_names_every_preset(run_lstm: RunLstm):
    text = help_of_train(run_lstm)
    assert all(re.search(rf"\b{name} \(", text) for name in PRESETS)


def test_train_help_says_how_to_start_several_processes(run_lstm: RunLstm):
    text = help_of_train(run_lstm)
    assert "--distributed" in text
    assert START in text
