"""Every row at tiny shapes, everybody in it; and what the table promises of the rows of the real shapes."""

import numpy as np
import pytest
import torch

from benchmarks.gpu.device import Device
from benchmarks.gpu.ours import OF_A_STEP, full_options, recurrences, rounding_of, variants
from benchmarks.gpu.predictions import PREDICTIONS
from benchmarks.gpu.row import Entry, Measurement
from benchmarks.gpu.rows import LEAST_SECONDS, MOST_SECONDS, makers
from benchmarks.gpu.rows.words import SAMPLED, drawn_stream, epoch_lengths, sampled
from lstm_torch.options import Options

NEEDS = ("a CUDA graph needs CUDA", "tf32 needs CUDA", "fp16 needs CUDA", "a whole text is for CUDA")
CUDA = Device("cuda")  # rows can be made without one; their contenders cannot be built
UNPREDICTED = {"F.linear_cross_entropy", "F.linear_cross_entropy, graph"}  # the known torch has it not


@pytest.mark.parametrize("id_", LEAST_SECONDS)
def test_everybody_is_proved_and_timed_or_needs_cuda(id_: str, cpu: Device) -> None:
    row, entries = makers()[id_](cpu, 11), {}

    def tell(entry: Entry) -> None:
        entries[entry.name] = entry

    Measurement(row, cpu, tell).measure()
    assert entries.keys() == row.contenders.keys()
    for entry in entries.values():
        if entry.status == "left out":
            assert entry.detail in NEEDS
        else:
            assert entry.status == "timed", entry
            assert entry.error is not None
            assert entry.error <= entry.allowed
    assert any(entry.status == "timed" and entry.peer for entry in entries.values()) or id_ == "G4-epoch"
    assert any(entry.status == "timed" and not entry.peer for entry in entries.values()) or id_ == "ceilings"


def test_every_row_has_its_time_and_all_of_them_fit_into_nine_minutes() -> None:
    assert list(makers()) == list(LEAST_SECONDS) == list(MOST_SECONDS)
    assert sum(MOST_SECONDS.values()) <= 8 * 60
    assert all(LEAST_SECONDS[row] < MOST_SECONDS[row] for row in LEAST_SECONDS)


@pytest.mark.parametrize("id_", LEAST_SECONDS)
def test_everybody_on_cuda_was_predicted_and_nobody_else(id_: str) -> None:
    row = makers()[id_](CUDA, 0)
    predicted = PREDICTIONS[id_].seconds
    assert set(row.contenders) - predicted.keys() <= UNPREDICTED
    assert predicted.keys() <= set(row.contenders)
    assert PREDICTIONS[id_].bytes.keys() <= predicted.keys()
    assert row.baseline in row.contenders
    assert PREDICTIONS[id_].why


def test_every_switch_of_a_step_is_tried_off_and_alone() -> None:
    names = set(variants(CUDA, "bf16", OF_A_STEP, alone=True))
    for switch in ("padding", "graph", "recurrence"):
        assert f"ours without {switch}" in names
    for switch in ("device_draws", "resident"):  # a graph needs them
        assert f"ours without {switch} and graph" in names
    for switch in ("device_draws", "padding", "resident", "recurrence"):
        assert f"ours, {switch} alone" in names
    assert "ours, graph alone" not in names
    assert variants(CUDA, "bf16", OF_A_STEP)["ours"] == Options.production("cuda", "bf16")
    assert variants(CUDA, "bf16", OF_A_STEP)["ours, all switches off"] == Options()


def test_every_other_precision_of_the_layers_is_tried() -> None:
    full = full_options(CUDA, "bf16")
    tried = {options.recurrence for options in recurrences(CUDA, "bf16").values()}
    assert tried | {full.recurrence} == {"float32", "tf32", "bf16", "fp16"}


@pytest.mark.parametrize(
    ("precision", "recurrence", "coarsest"),
    [("float32", None, "float32"), ("float32", "tf32", "tf32"), ("bf16", "fp16", "bf16"), ("float32", "bf16", "bf16")],
)
def test_the_coarsest_factor_decides_what_is_allowed(precision, recurrence, coarsest) -> None:
    assert rounding_of(Options(recurrence=recurrence), precision) == coarsest


def test_sampled_lengths_stand_for_equal_parts_of_all() -> None:
    assert sampled(np.array([9, 1, 8, 2, 7, 3, 6, 4]), 4) == (2, 4, 7, 9)
    lengths = epoch_lengths(drawn_stream(CUDA))
    chosen = sampled(lengths, SAMPLED)
    assert np.mean(chosen) == pytest.approx(lengths.mean(), rel=0.02)  # so that 8 windows extrapolate to an epoch


@pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no CUDA device here")
def test_on_cuda_every_row_proves_everybody_it_can() -> None:
    """At the table's own shapes: minutes."""
    for id_, make in makers().items():
        entries: dict[str, Entry] = {}
        row = make(CUDA, 11)
        Measurement(row, CUDA, lambda entry, entries=entries: entries.__setitem__(entry.name, entry)).measure()
        assert not [entry for entry in entries.values() if entry.status in ("wrong", "error")], id_
