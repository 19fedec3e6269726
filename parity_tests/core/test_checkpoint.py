"""The checkpoint file: what goes in comes out bit by bit, and nothing else ever comes out of it.

A file that is damaged, foreign, too new or unfit ends in CheckpointError with one line: never in a loaded checkpoint,
never in another exception, and never in code that the file brought along.
"""

import errno
import json
import os
from dataclasses import asdict, replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from safetensors import safe_open

from lstm_ref.core import checkpoint as checkpoint_module
from lstm_ref.core import sealed
from lstm_ref.core.checkpoint import SEAL, Checkpoint, Progress
from lstm_ref.core.config import RunConfig
from lstm_ref.core.errors import CheckpointError
from lstm_ref.core.params import check_parameters
from lstm_ref.core.trainer import model_of
from lstm_ref.core.vocab import Vocabulary
from parity_tests.core.checkpoints import CONFIG, VOCABULARY, assert_same_bits, make, refusal


@pytest.fixture
def path(tmp_path) -> Path:
    return tmp_path / "a.safetensors"


losses = st.none() | st.floats(allow_nan=False)
counts = st.integers(0, 2**40)
progresses = st.builds(
    Progress,
    step=counts,
    evaluated_step=counts,
    loss=losses,
    loss_sum=st.floats(allow_nan=False),
    loss_count=counts,
    best_loss=losses,
    best_step=counts,
    tokens=counts,
    seconds=st.floats(0, allow_infinity=False),
    interval_seconds=st.floats(0, allow_infinity=False),
    epoch_seconds=st.floats(0, allow_infinity=False),
    plateaus=counts,
    validations=st.lists(st.floats(0, allow_infinity=False), max_size=4).map(tuple),
)


@pytest.mark.row("BC17")
@given(
    data=st.data(),
    dtype=st.sampled_from(["float32", "float64"]),
    progress=progresses,
    text=st.text(st.characters(), min_size=1),
    versions=st.dictionaries(st.text(), st.text(), max_size=3),
)
def test_a_checkpoint_comes_back_bit_by_bit(tmp_path_factory, data, dtype, progress, text, versions):
    saved = replace(make(vocabulary=Vocabulary.build(text), dtype=dtype), progress=progress, versions=versions)
    bias = saved.model["decoder.bias"]
    saved.model["decoder.bias"] = data.draw(hnp.arrays(dtype, bias.shape))  # NaN, -0.0 and subnormal numbers too
    path = tmp_path_factory.mktemp("round-trip") / "a.safetensors"
    saved.save(path)
    loaded = Checkpoint.load(path)
    assert (loaded.config, loaded.vocabulary, loaded.progress) == (saved.config, saved.vocabulary, progress)
    assert (loaded.corpus_sha256, loaded.versions) == (saved.corpus_sha256, versions)
    for group in ("model", "optimizer", "carry"):
        assert_same_bits(getattr(loaded, group), getattr(saved, group))


def test_arrays_that_are_not_contiguous_come_back_too(path):
    saved = make()
    saved.model["decoder.weight"] = np.asfortranarray(saved.model["decoder.weight"])
    saved.carry["h_l0"] = np.repeat(saved.carry["h_l0"], 2, axis=1)[:, ::2]
    saved.save(path)
    assert_same_bits(Checkpoint.load(path).model, saved.model)
    assert_same_bits(Checkpoint.load(path).carry, saved.carry)


@pytest.mark.row("C59")
def test_a_model_rebuilt_from_its_checkpoint_gives_identical_logits(path):
    saved = make()
    saved.save(path)
    inputs = np.array([[0, 3], [6, 1], [2, 2]])
    before, after = model_of(saved), model_of(Checkpoint.load(path))
    logits, _ = before.logits(inputs, before.zero_state(2))
    assert logits.shape == (3, 2, 7)
    assert np.abs(logits).max() > 0.01
    np.testing.assert_array_equal(after.logits(inputs, after.zero_state(2))[0], logits, strict=True)


@pytest.mark.row("C47", "C62")
def test_seed_form_has_the_four_keys_of_the_original_notebooks_file(path):
    config = RunConfig(hidden_sizes=(4, 4))
    saved = make(config)
    saved.save(path)
    form = Checkpoint.load(path).seed_form()
    assert list(form) == ["n_hidden", "n_layers", "state_dict", "tokens"]
    assert (form["n_hidden"], form["n_layers"], form["tokens"]) == (4, 2, VOCABULARY.tokens)
    assert make(RunConfig(hidden_sizes=(4, 3))).seed_form()["n_hidden"] == 4
    V, H = len(VOCABULARY), 4
    assert {name: value.shape for name, value in form["state_dict"].items()} == {
        "lstm.weight_ih_l0": (4 * H, V),
        "lstm.weight_hh_l0": (4 * H, H),
        "lstm.bias_ih_l0": (4 * H,),
        "lstm.bias_hh_l0": (4 * H,),
        "lstm.weight_ih_l1": (4 * H, H),
        "lstm.weight_hh_l1": (4 * H, H),
        "lstm.bias_ih_l1": (4 * H,),
        "lstm.bias_hh_l1": (4 * H,),
        "fc.weight": (V, H),
        "fc.bias": (V,),
    }
    ours = {name.replace("fc.", "decoder."): value for name, value in form["state_dict"].items()}
    assert_same_bits(ours, saved.model)
    check_parameters(config.language_model(V), ours)


@pytest.mark.row("BC17", "C47")
def test_the_file_tells_any_safetensors_reader_what_a_run_needs_to_go_on(path):
    saved = make()
    saved.save(path)
    with safe_open(path, framework="numpy") as file:
        header = json.loads(file.metadata()[SEAL.key])
        names = set(file.keys())
    assert header["schema"] == 2
    assert header["config"] == saved.config.to_dict()  # the dropout rates and the seed of all draws among it
    assert header["vocabulary"] == {"kind": "char", "tokens": "".join(VOCABULARY.tokens)}
    assert header["corpus_sha256"] == saved.corpus_sha256
    assert header["progress"] == json.loads(json.dumps(asdict(saved.progress)))
    assert header["versions"] == saved.versions
    assert names == (
        {f"model.{name}" for name in saved.model}
        | {f"optimizer.exp_avg.{name}" for name in saved.model}
        | {f"optimizer.exp_avg_sq.{name}" for name in saved.model}
        | {"optimizer.step", "carry.h_l0", "carry.h_l1", "carry.c_l0", "carry.c_l1"}
    )


def test_a_run_begins_with_nothing_done():
    done = asdict(Progress())
    assert {name for name in done if done[name] is None} == {"loss", "gradient_norm", "best_loss"}
    assert not any(done.values())


def test_a_checkpoint_cannot_be_changed_and_neither_it_nor_its_progress_takes_unknown_fields():
    saved = make()
    with pytest.raises(AttributeError):
        saved.model = {}
    with pytest.raises(AttributeError):
        saved.progress.stepp = 1
    assert not hasattr(saved, "__dict__")


@pytest.mark.row("C48")
@pytest.mark.parametrize("name", ["rnn_1_epoch.net", "best", "\u4e16 .bin"])
def test_a_checkpoint_may_have_any_name(tmp_path, name):
    make().save(tmp_path / name)
    assert Checkpoint.load(tmp_path / name).progress == make().progress
    assert os.listdir(tmp_path) == [name]


@pytest.mark.parametrize("schema", [0, 3])
def test_a_file_of_another_schema_is_refused(path, monkeypatch, schema):
    with monkeypatch.context() as other:
        other.setattr(checkpoint_module, "SCHEMA", schema)
        make().save(path)
    assert refusal(path).endswith(f"its schema is {schema}, this version reads 1 to 2; update lstm-parity")


@pytest.mark.row("C59")
@pytest.mark.parametrize("group", ["model", "optimizer", "carry"])
def test_a_file_without_one_of_its_tensors_is_refused(path, group):
    for missing in getattr(make(), group):
        tensors = {name: value for name, value in getattr(make(), group).items() if name != missing}
        replace(make(), **{group: tensors}).save(path)
        refusal(path)


@pytest.mark.row("C59")
@pytest.mark.parametrize("group", ["model", "optimizer", "carry"])
def test_a_file_with_a_tensor_of_another_shape_is_refused(path, group):
    for name, value in getattr(make(), group).items():
        tensors = getattr(make(), group) | {name: np.ones((*value.shape, 2), value.dtype)}
        replace(make(), **{group: tensors}).save(path)
        refusal(path)


@pytest.mark.parametrize("count", [0, 2])
def test_a_file_with_another_number_of_steps_than_one_is_refused(path, count):
    saved = make()
    replace(saved, optimizer=saved.optimizer | {"step": np.ones(count, np.int64)}).save(path)
    assert f"step has shape ({count},), expected ()" in refusal(path)


@pytest.mark.row("C59")
def test_a_file_with_an_unknown_parameter_is_refused(path):
    saved = make()
    replace(saved, model=saved.model | {"fc.bias": np.ones(7, np.float32)}).save(path)
    assert "unknown parameters: fc.bias" in refusal(path)


def test_a_file_whose_parts_do_not_fit_each_other_is_refused(path):
    replace(make(), vocabulary=Vocabulary.build("ab")).save(path)
    assert "embedding.weight has shape (7, 5), expected (2, 5)" in refusal(path)
    replace(make(), config=replace(CONFIG, hidden_sizes=(3, 4))).save(path)
    assert "lstm.weight_ih_l0 has shape (16, 5), expected (12, 5)" in refusal(path)


@pytest.mark.parametrize(
    "wrong", [{"step": "139"}, {"step": None}, {"step": -1}, {"step": 1.5}, {"loss": "2.75"}, {"seconds": [1]}], ids=str
)
def test_a_file_whose_progress_cannot_be_is_refused(path, monkeypatch, wrong):
    """The sum is right: such a file was made by hand, or by another program."""
    with monkeypatch.context() as forged:
        forged.setattr(sealed, "json", SimpleNamespace(dumps=lambda values, **_: header_with(values, wrong)))
        make().save(path)
    refusal(path)


def test_the_first_field_of_the_progress_that_cannot_be_is_named(path, monkeypatch):
    wrong = {"step": -1, "loss": "2.75"}
    with monkeypatch.context() as forged:
        forged.setattr(sealed, "json", SimpleNamespace(dumps=lambda values, **_: header_with(values, wrong)))
        make().save(path)
    assert refusal(path).endswith("does not fit itself: progress.step: Input should be greater than or equal to 0")


def header_with(values: dict[str, object], progress: dict[str, object]) -> str:
    return json.dumps(values | {"progress": values["progress"] | progress})


@pytest.mark.parametrize("header", ["null", "3", "[]", "{}", '{"schema":1}', "{", "[" * 100_000], ids=lambda h: h[:9])
def test_a_file_whose_header_is_anything_else_is_refused(path, monkeypatch, header):
    """The sum is right here too."""
    with monkeypatch.context() as forged:
        forged.setattr(sealed, "json", SimpleNamespace(dumps=lambda *_, **__: header))
        make().save(path)
    refusal(path)


@pytest.mark.parametrize("call", ["os.fsync", "pathlib.Path.replace", "pathlib.Path.open"])
def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(path, monkeypatch, call):
    make().save(path)
    before = path.read_bytes()

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as disk:
        disk.setattr(call, full)
        with pytest.raises(CheckpointError, match=f"cannot write .*{path.name}: No space left on device; the file bef"):
            replace(make(), corpus_sha256="0").save(path)
    assert os.listdir(path.parent) == [path.name]
    assert path.read_bytes() == before
    assert Checkpoint.load(path).corpus_sha256 == make().corpus_sha256


def test_saving_where_there_is_no_folder_is_refused(tmp_path):
    with pytest.raises(CheckpointError, match=r"cannot write .*a\.safetensors: No such file or directory"):
        make().save(tmp_path / "nowhere" / "a.safetensors")
