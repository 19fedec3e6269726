"""Rows in threads: the same numbers as in one thread, whatever of the model is on, and errors that arrive."""

import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from threadpoolctl import threadpool_info, threadpool_limits

from lstm_ref import shards
from lstm_ref.core.language_model import StepSettings
from lstm_ref.model import NumpyLM
from lstm_ref.shards import Shards
from parity_tests.cases import ModelCase, model_case, model_cases
from parity_tests.complex_step import relative_error
from parity_tests.test_numpy_model import AWD, awd_case, numpy_model

SETTINGS = StepSettings(lr=0.01, clip=0.1)


def sharded(case: ModelCase, threads: int, dtype: np.typing.DTypeLike = np.float64) -> NumpyLM:
    """With parts of a single row and more."""
    model = numpy_model(case, dtype)
    model.shards.threads = threads
    return model


@pytest.fixture(autouse=True)
def _parts_of_any_size(monkeypatch):
    monkeypatch.setattr(shards, "LEAST_ROWS", 1)


@given(case=model_cases(), threads=st.integers(2, 4))
def test_loss_penalty_gradients_state_and_evaluation_are_those_of_one_thread(case, threads):
    one, several = numpy_model(case), sharded(case, threads)
    one.shards.threads = 1
    expected, result = (model.loss_and_gradients(case.window, case.state, case.draws) for model in (one, several))
    assert len(several.shards.networks) == min(threads, case.window.inputs.shape[1])
    assert result.loss == pytest.approx(expected.loss, rel=1e-13)
    assert result.penalty == pytest.approx(expected.penalty, rel=1e-13, abs=1e-300)
    for name, gradient in expected.gradients.items():
        assert relative_error(result.gradients[name], gradient) <= 1e-12, name
    for pair, other in zip(expected.state, result.state):
        for array, its in zip(pair, other):
            assert relative_error(its, array) <= 1e-13
    totals = [model.evaluate(case.window, case.state).total for model in (one, several)]
    assert totals[1] == pytest.approx(totals[0], rel=1e-13)


@pytest.mark.parametrize("forgotten", ["rows", "share", "masks", "sum"])
def test_what_a_part_could_get_wrong_would_be_seen(forgotten, monkeypatch):
    case = awd_case()
    expected = numpy_model(case).loss_and_gradients(case.window, case.state, case.draws).gradients
    model = sharded(case, threads=2)
    if forgotten == "rows":  # every part begins with the first rows' state
        monkeypatch.setattr("lstm_ref.model._rows_of", lambda state, rows: [(h[:1], c[:1]) for h, c in state])
        model = sharded(case, threads=3)
    elif forgotten == "share":
        backward = type(model.network).backward
        monkeypatch.setattr(
            type(model.network),
            "backward",
            lambda self, arrays, window, masks, rows: backward(self, arrays, window, masks, arrays.B),
        )
    elif forgotten == "masks":
        first = lambda masks, rows: {k: m[:, :1] if m.ndim == 3 else m for k, m in masks.items()}  # noqa: E731
        monkeypatch.setattr("lstm_ref.model.masks_of_rows", first)
        model = sharded(case, threads=3)
    else:
        monkeypatch.setattr(Shards, "add_gradients", lambda self, rows: None)
    wrong = model.loss_and_gradients(case.window, case.state, case.draws).gradients
    assert max(relative_error(wrong[name], gradient) for name, gradient in expected.items()) > 1e-2


def test_steps_with_windows_of_changing_shape_are_those_of_one_thread():
    """What one window leaves in a part's arrays does not reach the next."""
    cases = [model_case(awd_case().config, T, B, awd_case().draws) for T, B in ((6, 3), (4, 5), (6, 2), (7, 3), (2, 1))]
    one, several = numpy_model(cases[0]), sharded(cases[0], threads=3)
    one.shards.threads = 1
    for n, case in enumerate(cases):
        draws = case.draws.at(n)
        results = [model.train_step(case.window, case.state, draws, SETTINGS) for model in (one, several)]
        assert results[1].loss == pytest.approx(results[0].loss, rel=1e-10)
    expected = one.parameters()
    for name, p in several.parameters().items():
        # Adam divides by the root of its moment, which may be near zero: a rounding there, times lr
        np.testing.assert_allclose(p, expected[name], rtol=1e-8, atol=1e-10, err_msg=name)


def test_the_same_bits_every_time():
    case = awd_case()
    runs = [
        sharded(case, 3, np.float32).loss_and_gradients(
            case.window, numpy_model(case, np.float32).state_from_arrays(case.state_arrays), case.draws
        )
        for _ in range(3)
    ]
    for run in runs[1:]:
        assert run.loss == runs[0].loss
        for name, gradient in run.gradients.items():
            np.testing.assert_array_equal(gradient, runs[0].gradients[name])


def test_every_part_has_a_thread_and_one_blas_thread_and_blas_gets_its_own_back():
    case = awd_case()
    with threadpool_limits(2, user_api="blas"):
        model = sharded(case, threads=3)
        seen = []

        def compute(network, rows):
            blas = {pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"}
            seen.append((threading.current_thread().name, blas))
            return rows

        parts = model.shards.each(3, compute)
        assert parts == [slice(0, 1), slice(1, 2), slice(2, 3)]
        assert all(name.startswith("lstm-shard") and blas == {1} for name, blas in seen)
        assert {pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"} == {2}


@pytest.mark.parametrize(("threads", "rows", "count"), [(1, 128, 1), (2, 63, 1), (2, 64, 2), (4, 100, 3), (2, 1, 1)])
def test_as_many_parts_as_threads_but_none_too_small(threads, rows, count, monkeypatch):
    monkeypatch.setattr(shards, "LEAST_ROWS", 32)
    shared = Shards(numpy_model(awd_case()).network)
    shared.threads = threads
    parts = shared.parts(rows)
    assert len(parts) == count
    assert [row for part in parts for row in range(rows)[part]] == list(range(rows))
    assert max(part.stop - part.start for part in parts) - min(part.stop - part.start for part in parts) <= 1


def test_threads_are_what_blas_is_allowed():
    network = numpy_model(awd_case()).network
    for threads in (1, 2):
        with threadpool_limits(threads, user_api="blas"):
            assert Shards(network).threads == threads


def test_an_error_in_a_part_reaches_the_caller():
    model = sharded(awd_case(), threads=2)

    def compute(network, rows):
        raise ZeroDivisionError(f"in {rows}")

    with pytest.raises(ZeroDivisionError):
        model.shards.each(3, compute)


def test_a_regularised_model_has_every_regulariser_on():
    """What the tests above lean on."""
    config = awd_case().config
    assert all(getattr(config, name) for name in AWD)
