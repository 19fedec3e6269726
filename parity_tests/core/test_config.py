"""Configs: the original notebook's numbers, where a value comes from, and what is refused."""

import dataclasses
import itertools
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lstm_ref.core.config import (
    CHANGEABLE,
    FIELDS,
    MAX_SIZE,
    LanguageModelConfig,
    OptimizerConfig,
    RunConfig,
    read_config_file,
)
from lstm_ref.core.errors import ConfigError
from lstm_ref.core.presets import PRESETS, preset, resolve
from lstm_ref.core.words import AS_IT_IS

sizes = st.integers(1, MAX_SIZE)
rates = st.floats(0, 1, exclude_max=True)
not_negative = st.floats(0, allow_infinity=False)
positives = st.floats(0, exclude_min=True, allow_infinity=False)
names = st.text("abcdefghijklmnopqrstuvwxyz0123456789_-/. ", min_size=1, max_size=20)

WORDS = {"article_order": "shuffled", "window_lengths": "mixture", "reset_at_article": True}  # not by full windows
PREPARED = {  # words only
    "min_count": sizes,
    "normalize": st.booleans(),
    "lower": st.booleans(),
    "blank_lines": st.booleans(),
}
VALUES = {
    "corpus": names,
    "vocabulary": st.sampled_from(["char", "byte", "word"]),
    "vocabulary_order": st.sampled_from(["sorted", "seen"]),
    **{field: st.just(getattr(RunConfig(), field)) for field in PREPARED},
    "validation_fraction": st.floats(0, 1, exclude_min=True, exclude_max=True),
    "article_order": st.sampled_from(["fixed", "shuffled"]),
    "embedding_size": sizes,
    "hidden_sizes": st.lists(sizes, min_size=1, max_size=16).map(tuple),
    "tied": st.just(False),
    **dict.fromkeys(["dropout_embedding", "dropout_input", "dropout_between", "dropout_output", "weight_drop"], rates),
    "dropout_locked": st.booleans(),
    "ar_alpha": not_negative,
    "tar_beta": not_negative,
    **dict.fromkeys(["epochs", "batch_size", "seq_length", "nonmonotone"], sizes),
    "window_lengths": st.sampled_from(["fixed", "mixture"]),
    "last_target": st.just("next"),
    "reset_at_article": st.booleans(),
    "optimizer": st.sampled_from(["adam", "adamw", "sgd", "nt-asgd"]),
    "lr": positives,
    "lr_by_length": st.booleans(),
    "schedule": st.sampled_from(["constant", "plateau", "one-cycle"]),
    "beta1": rates,
    "beta2": rates,
    "eps": positives,
    "weight_decay": not_negative,
    "clip": positives,
    "evaluation": st.sampled_from(["full", "windows"]),
    "validation_batch_size": st.integers(0, MAX_SIZE),
    "validate": st.sampled_from(["lines", "epochs"]),
    **dict.fromkeys(["print_every", "checkpoint_every", "keep_checkpoints"], sizes),
    "seed": st.integers(0, 2**64 - 1),
    "backend": names,
    "device": st.sampled_from(["cpu", "cuda"]),
    "precision": st.sampled_from(["float32", "float64", "bf16"]),
}


def tied(config: RunConfig) -> RunConfig:
    hidden_sizes = (*config.hidden_sizes[:-1], config.embedding_size)
    return dataclasses.replace(config, tied=True, hidden_sizes=hidden_sizes)


def wrapped(config: RunConfig) -> RunConfig:
    plain = {field: getattr(RunConfig(), field) for field in WORDS}
    return dataclasses.replace(config, vocabulary="byte", last_target="wrap", **plain)


free_configs = st.builds(RunConfig, **VALUES)
prepared = st.builds(RunConfig, **VALUES | {"vocabulary": st.just("word")} | PREPARED)
configs = free_configs | free_configs.map(tied) | free_configs.map(wrapped) | prepared

# One value that cannot be for every field, and what the error shows of it.
BAD_VALUES = {
    "corpus": ("", "''"),
    "vocabulary": ("syllable", "'syllable'"),
    "vocabulary_order": ("random", "'random'"),
    "min_count": (0, "0"),
    "normalize": ("perhaps", "'perhaps'"),
    "lower": (2, "2"),
    "blank_lines": (None, "None"),
    "validation_fraction": (1, "1"),
    "article_order": ("sorted", "'sorted'"),
    "embedding_size": (-1, "-1"),
    "hidden_sizes": ("64,many", "'many'"),
    "tied": ("perhaps", "'perhaps'"),
    "dropout_embedding": (1.5, "1.5"),
    "dropout_input": (-0.1, "-0.1"),
    "dropout_between": (1.0, "1.0"),
    "dropout_output": ("half", "'half'"),
    "dropout_locked": (2, "2"),
    "weight_drop": (1, "1"),
    "ar_alpha": (-2, "-2"),
    "tar_beta": ("nan", "'nan'"),
    "epochs": (0, "0"),
    "batch_size": (MAX_SIZE + 1, "1048577"),
    "seq_length": (2.5, "2.5"),
    "window_lengths": ("normal", "'normal'"),
    "last_target": ("skip", "'skip'"),
    "reset_at_article": (None, "None"),
    "optimizer": ("asgd", "'asgd'"),
    "lr": (0, "0"),
    "lr_by_length": ("half", "'half'"),
    "schedule": ("cosine", "'cosine'"),
    "beta1": (1, "1"),
    "beta2": ([0.9], "[0.9]"),
    "eps": ("inf", "'inf'"),
    "weight_decay": (-1e-6, "-1e-06"),
    "nonmonotone": (0, "0"),
    "clip": (float("nan"), "nan"),
    "evaluation": ("none", "'none'"),
    "validation_batch_size": (-1, "-1"),
    "validate": ("never", "'never'"),
    "print_every": (None, "None"),
    "checkpoint_every": ("", "''"),
    "keep_checkpoints": (-2, "-2"),
    "seed": (2**64, "18446744073709551616"),
    "backend": (3, "3"),
    "device": ("tpu\nand more", r"'tpu\nand more'"),
    "precision": ("fp8", "'fp8'"),
}


@pytest.mark.row("C18", "C27")
def test_the_defaults_are_the_original_notebooks():
    config = RunConfig()
    assert (config.hidden_sizes, config.dropout_between, config.dropout_output) == ((256, 256), 0.5, 0.5)
    assert (config.epochs, config.batch_size, config.seq_length) == (10, 10, 50)
    assert (config.lr, config.clip, config.validation_fraction, config.print_every) == (0.001, 5, 0.1, 10)
    assert config.embedding_size == 0  # its input is one-hot
    model = LanguageModelConfig(vocab_size=83)
    assert (model.hidden_sizes, model.dropout_between, model.dropout_output) == ((256, 256), 0.5, 0.5)
    assert model == config.language_model(83)


@pytest.mark.row("C38", "C39")
def test_char_anna_is_the_notebooks_training_run():
    config = preset("char-anna")
    assert (config.corpus, config.hidden_sizes) == ("anna", (512, 512))
    assert (config.batch_size, config.seq_length, config.lr, config.print_every) == (128, 100, 0.001, 10)
    assert (config.dropout_between, config.dropout_output, config.clip) == (0.5, 0.5, 5)
    assert config.epochs == 20  # the run behind its second sample
    assert resolve("char-anna", flags={"epochs": "1"}) == dataclasses.replace(config, epochs=1)


@pytest.mark.row("W45")
def test_word_seed_is_the_word_seeds_training_run():
    config = preset("word-seed")
    assert (config.corpus, config.vocabulary, config.vocabulary_order) == ("wikitext-2", "word", "sorted")
    assert (config.embedding_size, config.hidden_sizes, config.tied) == (400, (200, 200, 200), False)
    assert (config.dropout_input, config.dropout_between, config.dropout_output) == (0.2, 0.3, 0.2)
    assert (config.batch_size, config.epochs, config.clip, config.print_every) == (20, 40, 0.25, 20)
    assert (config.optimizer, config.lr, config.schedule, config.validate) == ("adam", 0.0001, "plateau", "epochs")
    assert (config.article_order, config.window_lengths, config.seq_length) == ("shuffled", "mixture", 70)


@pytest.mark.row("W60")
def test_awd_wikitext2_is_the_authors_training_run():
    """`main.py --epochs 750 --data data/wikitext-2 --dropouth 0.2`, and its defaults."""
    config = preset("awd-wikitext2")
    assert (config.corpus, config.vocabulary, config.article_order) == ("wikitext-2", "word", "fixed")
    assert (config.embedding_size, config.hidden_sizes, config.tied) == (400, (1150, 1150, 400), True)
    assert (config.dropout_embedding, config.dropout_input, config.dropout_between) == (0.1, 0.65, 0.2)
    assert (config.dropout_output, config.dropout_locked, config.weight_drop) == (0.4, True, 0.5)
    assert (config.ar_alpha, config.tar_beta, config.weight_decay, config.clip) == (2, 1, 1.2e-6, 0.25)
    assert (config.optimizer, config.lr, config.nonmonotone, config.lr_by_length) == ("nt-asgd", 30, 5, True)
    assert (config.batch_size, config.seq_length, config.window_lengths) == (80, 70, "mixture")
    assert (config.epochs, config.validation_batch_size, config.validate) == (750, 10, "epochs")


def test_tiny_needs_no_download_and_little_time():
    config = preset("tiny")
    assert config.corpus == "pydoc"
    assert (config.hidden_sizes, config.batch_size, config.seq_length, config.lr) == ((128,), 32, 50, 0.004)


@pytest.mark.row("BC12")
def test_the_learning_rate_has_one_owner():
    owners = [cls for cls in (RunConfig, LanguageModelConfig, OptimizerConfig) if "lr" in cls.__dataclass_fields__]
    assert owners == [RunConfig]


@given(config=configs)
def test_the_model_and_the_optimizer_take_their_values_from_the_run(config):
    model = config.language_model(vocab_size=7)
    assert model.vocab_size == 7
    for name in set(LanguageModelConfig.__dataclass_fields__) - {"vocab_size"}:
        assert getattr(model, name) == getattr(config, name)
    for name in OptimizerConfig.__dataclass_fields__:
        assert getattr(config.update, name) == getattr(config, name)


def test_every_layer_takes_the_one_below_as_its_input():
    embedded = LanguageModelConfig(vocab_size=7, embedding_size=5, hidden_sizes=(4, 3, 6))
    assert embedded.input_sizes == (5, 4, 3)
    assert dataclasses.replace(embedded, embedding_size=0).input_sizes == (7, 4, 3)


def test_whether_fields_go_together_is_asked_of_all_sources_together(tmp_path):
    (tmp_path / "run.toml").write_text("tied = true", encoding="utf-8")
    flags = {"embedding_size": 32, "hidden_sizes": "64,32"}
    config = resolve(
        "tiny", file=tmp_path / "run.toml", environ={"LSTM_LOWER": "true"}, flags=flags | {"vocabulary": "word"}
    )
    assert (config.tied, config.lower) == (True, True)
    with pytest.raises(ConfigError, match='lower=true, blank_lines=true with vocabulary="char"'):
        resolve("tiny", environ={"LSTM_LOWER": "true"}, flags={})
    with pytest.raises(ConfigError, match=r"tied=true with embedding_size=0 and hidden_sizes=\[128\]"):
        resolve("tiny", file=tmp_path / "run.toml", flags={})


@pytest.mark.parametrize("sources", [*itertools.product([False, True], repeat=3)])
@pytest.mark.parametrize(
    ("field", "default", "of_preset", "in_file", "in_environment", "in_flag"),
    [
        ("lr", 0.001, 0.004, 0.005, 0.006, 0.007),
        ("hidden_sizes", (256, 256), (128,), (5, 4), (6, 3, 2), (7,)),
        ("precision", "float32", "float32", "float64", "bf16", "float32"),
    ],
)
def test_the_strongest_source_wins(tmp_path, sources, field, default, of_preset, in_file, in_environment, in_flag):
    file, environ, flags = None, {"LSTM_DATA": "/elsewhere", "HOME": "/home"}, {}
    expected = of_preset
    if sources[0]:
        file = tmp_path / "run.json"
        file.write_text(json.dumps({field: in_file}), encoding="utf-8")
        expected = in_file
    if sources[1]:
        sizes_text = ",".join(map(str, in_environment)) if isinstance(in_environment, tuple) else str(in_environment)
        environ[f"LSTM_{field.upper()}"] = sizes_text
        expected = in_environment
    if sources[2]:
        flags[field] = in_flag
        expected = in_flag
    config = resolve("tiny", file=file, environ=environ, flags=flags)
    assert config == dataclasses.replace(preset("tiny"), **{field: expected})
    assert getattr(RunConfig(), field) == default


@pytest.mark.parametrize("source", ["flag", "environment", "file"])
def test_an_error_names_the_source_of_the_bad_value(tmp_path, source):
    file = tmp_path / "run.toml"
    file.write_text("clip = 0\n" if source == "file" else "clip = 4\n", encoding="utf-8")
    environ = {"LSTM_CLIP": "0"} if source == "environment" else {}
    flags = {"clip": "0"} if source == "flag" else {}
    shown = {"flag": "--set", "environment": r"environment \(LSTM_<FIELD>\)", "file": r".*run\.toml"}[source]
    with pytest.raises(ConfigError, match=rf"^{shown}: clip='?0'?: expected greater than 0$"):
        resolve("tiny", file=file, environ=environ, flags=flags)


def test_the_table_of_bad_values_has_every_field():
    assert set(BAD_VALUES) == set(FIELDS)


@pytest.mark.parametrize("field", BAD_VALUES)
def test_a_bad_value_is_one_line_that_names_field_and_value(field):
    value, shown = BAD_VALUES[field]
    with pytest.raises(ConfigError) as caught:
        RunConfig().with_overrides({field: value}, source="somewhere")
    message = str(caught.value)
    assert message.startswith(f"somewhere: {field}={shown}: expected ")
    assert message.isprintable()


@pytest.mark.parametrize("hidden_sizes", ["", ",", "4,,3", [], "1," * 16 + "1", "4.5", {"a": 1}, [[4]], 0])
def test_hidden_sizes_that_cannot_be_are_refused(hidden_sizes):
    with pytest.raises(ConfigError, match="hidden_sizes="):
        RunConfig.from_dict({"hidden_sizes": hidden_sizes})


@pytest.mark.parametrize("hidden_sizes", ["5, 4", "5,4", [5, 4], (5, 4), ["5", 4.0]])
def test_hidden_sizes_are_read_from_text_and_lists(hidden_sizes):
    assert RunConfig.from_dict({"hidden_sizes": hidden_sizes}).hidden_sizes == (5, 4)
    assert RunConfig.from_dict({"hidden_sizes": 5}).hidden_sizes == (5,)


def test_dropout_on_a_one_hot_input_is_refused():
    for name in ("dropout_input", "dropout_embedding"):
        with pytest.raises(
            ConfigError, match=rf"{name}=0\.25.*: dropout on an embedding needs one: set embedding_size"
        ):
            RunConfig.from_dict({name: 0.25})
        assert getattr(RunConfig.from_dict({name: 0.25, "embedding_size": 5}), name) == 0.25


@pytest.mark.parametrize(("embedding_size", "hidden_sizes"), [(4, (4, 5)), (0, (4,))])
def test_tying_a_decoder_of_another_size_is_refused(embedding_size, hidden_sizes):
    with pytest.raises(ConfigError, match=r"tied=true with embedding_size=.* make them equal"):
        RunConfig.from_dict({"tied": True, "embedding_size": embedding_size, "hidden_sizes": hidden_sizes})
    assert RunConfig(tied=True, embedding_size=4, hidden_sizes=(5, 4)).tied


@pytest.mark.parametrize("change", [{"vocabulary": "word"}, *({name: value} for name, value in WORDS.items())])
def test_the_character_seeds_wrapped_target_is_refused_where_rows_are_wholly_read(change):
    with pytest.raises(ConfigError, match=r'last_target="wrap" is for full windows .* take "next"'):
        RunConfig.from_dict({"last_target": "wrap"} | change)


@pytest.mark.parametrize("vocabulary", ["char", "byte"])
@pytest.mark.parametrize("change", [{"min_count": 2}, {"normalize": True}, {"lower": True}, {"blank_lines": False}])
def test_what_is_done_to_words_is_refused_where_there_are_none(vocabulary, change):
    ((name, value),) = change.items()
    with pytest.raises(ConfigError) as caught:
        RunConfig.from_dict({"vocabulary": vocabulary} | change)
    assert f"{name}={json.dumps(value)}" in str(caught.value)
    assert f'vocabulary="{vocabulary}": only words are prepared' in str(caught.value)
    assert str(caught.value).isprintable()
    assert getattr(RunConfig.from_dict({"vocabulary": "word"} | change), name) == value


def test_no_preset_does_anything_to_its_words():
    assert {(config.min_count, config.preparation) for config in PRESETS.values()} == {(1, AS_IT_IS)}


@pytest.mark.parametrize(("typo", "meant"), [("hidden_size", "hidden_sizes"), ("batchsize", "batch_size"), ("n", None)])
def test_an_unknown_field_lists_the_fields_and_suggests_one(typo, meant):
    with pytest.raises(ConfigError) as caught:
        RunConfig().with_overrides({typo: 3})
    suggestion = f" (did you mean {meant!r}?)" if meant else ""
    assert str(caught.value) == f"--set: unknown field {typo!r}{suggestion}; fields: {', '.join(FIELDS)}"


def test_an_unknown_preset_lists_the_presets_and_suggests_one():
    with pytest.raises(ConfigError, match=r"unknown preset 'char-ana' \(did you mean 'char-anna'\?\); presets: tiny, "):
        resolve("char-ana", flags={})


@given(config=configs)
def test_a_config_survives_its_dict_and_json(config):
    values = json.loads(json.dumps(config.to_dict()))
    assert tuple(values) == FIELDS
    assert RunConfig.from_dict(values) == config
    assert RunConfig().with_overrides(values) == config


@pytest.mark.parametrize("name", PRESETS)
def test_a_runs_json_and_a_toml_file_give_the_same_config(tmp_path, name):
    config = PRESETS[name]
    (tmp_path / "config.json").write_text(json.dumps(config.to_dict()), encoding="utf-8")
    toml = "".join(f"{field} = {json.dumps(value)}\n" for field, value in config.to_dict().items())
    (tmp_path / "run.toml").write_text(f"# a comment\n{toml}", encoding="utf-8")
    for file in ("config.json", "run.toml"):
        for other in PRESETS:
            assert resolve(other, file=tmp_path / file, flags={}) == config


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("run.toml", b"lr = [", "cannot read config file .*run.toml: "),
        ("run.toml", b"lr = 0.1\nlr = 0.2", "cannot read config file .*run.toml: "),
        ("run.toml", b"lr = \xff", "cannot read config file .*run.toml: "),
        ("config.json", b"{'lr': 1}", "cannot read config file .*config.json: "),
        ("config.json", b"[1]", "config file .*config.json holds a list, expected fields and values"),
        ("config.json", b"null", "config file .*config.json holds a NoneType, expected fields and values"),
    ],
)
def test_a_file_that_is_no_config_is_refused_in_one_line(tmp_path, name, content, problem):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ConfigError, match=problem) as caught:
        read_config_file(tmp_path / name)
    assert "\n" not in str(caught.value)


def test_a_missing_config_file_is_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"cannot read config file .*nowhere\.toml: .*No such file"):
        resolve("tiny", file=tmp_path / "nowhere.toml", flags={})


@pytest.mark.row("BC22")
@given(length=st.integers(0, 2**40))
def test_the_split_is_the_notebooks_for_its_fraction(length):
    assert RunConfig().split(length) == int(length * (1 - 0.1))


@pytest.mark.row("BC22")
@given(length=st.integers(0, 2**30), more=st.sampled_from([1, 1000, 2**30 + 1]), thousandths=st.integers(1, 999))
def test_the_split_is_exact_for_any_length_and_fraction(length, more, thousandths):
    length *= more  # multiples of 1000, of which floats make one too few, and lengths with more digits than a float
    config = RunConfig(validation_fraction=thousandths / 1000)
    assert config.split(length) == length * (1000 - thousandths) // 1000


@pytest.mark.row("BC22")
def test_the_split_is_exact_where_floats_are_not():
    assert int(10 * (1 - 0.9)) == 0
    assert RunConfig(validation_fraction=0.9).split(10) == 1
    assert RunConfig().split(1_985_223) == 1_786_700


@pytest.mark.parametrize("config", [RunConfig(), LanguageModelConfig(vocab_size=7), OptimizerConfig()], ids=repr)
def test_configs_are_frozen(config):
    for name in config.__dataclass_fields__:
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(config, name, getattr(config, name))


def test_only_fields_that_exist_may_change_in_a_run_that_goes_on():
    assert set(FIELDS) > CHANGEABLE
    shapes = {"hidden_sizes", "embedding_size", "tied", "batch_size", "optimizer"}
    windows = {"corpus", "vocabulary", "validation_fraction", "seq_length", "last_target", "seed", *WORDS, *PREPARED}
    assert CHANGEABLE.isdisjoint(shapes | windows)
