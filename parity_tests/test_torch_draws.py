"""Random numbers made on the device have the bits of lstm_ref.core.draws: the int64 form anywhere, the Triton kernel on
CUDA, and its source on the CPU, with NumPy in Triton's place."""

import importlib
import math
import sys
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lstm_ref.core.draws import Draws, stream_number
from lstm_ref.core.masks import dropout_masks
from lstm_torch.draws import DeviceDraws, device_masks, uniform_of_steps
from parity_tests.cases import model_cases, seeds
from parity_tests.test_parity import DEVICES, needs_cuda

steps = st.one_of(st.sampled_from([0, 1, 2**31 - 1, 2**31, 2**32 - 1]), st.integers(0, 2**32 - 1))
streams = st.sampled_from(["dropout/l0", "dropout/weight_hh_l1", "sample", "a"])
shapes = st.one_of(st.tuples(st.integers(1, 4100)), st.tuples(*3 * [st.integers(1, 11)]))
rates = st.sampled_from([0.0, 0.1, 0.5, 0.65, 2.0**-24, 1 - 2.0**-24])


def on(device: str, seed: int, step: int) -> DeviceDraws:
    return DeviceDraws(seed, torch.tensor(step, device=device))


@pytest.mark.parametrize("device", DEVICES)
@given(seed=seeds, step=steps, stream=streams, n=st.integers(1, 4100))
def test_words_are_those_of_the_core(device, seed, step, stream, n):
    words = on(device, seed, step).words(stream, n).cpu().numpy()
    np.testing.assert_array_equal(words, Draws(seed, step).words(stream, n))


@pytest.mark.parametrize("device", DEVICES)
@given(seed=seeds, step=steps, stream=streams, shape=shapes, rate=rates)
def test_masks_are_those_of_the_core(device, seed, step, stream, shape, rate):
    mask = on(device, seed, step).keep_mask(stream, shape, rate)
    assert (mask.dtype, mask.device.type) == (torch.bool, device)
    np.testing.assert_array_equal(mask.cpu().numpy(), Draws(seed, step).keep_mask(stream, shape, rate))


@pytest.mark.parametrize("device", DEVICES)
@given(seed=seeds, first=st.integers(0, 2**32 - 301), stream=streams)
def test_uniforms_of_steps_are_those_that_a_sampler_draws(device, seed, first, stream):
    drawn = uniform_of_steps(seed, stream, torch.arange(first, first + 300, device=device))
    one_by_one = Draws(seed, first).one_each_step(stream)
    assert drawn.tolist() == [next(one_by_one) for _ in range(300)]


@pytest.mark.parametrize("device", DEVICES)
@given(case=model_cases(), T=st.integers(1, 7), B=st.integers(1, 5))
def test_the_masks_of_a_step_are_those_of_the_core(device, case, T, B):
    expected = dropout_masks(case.config, case.draws, T, B)
    masks = device_masks(case.config, on(device, case.draws.seed, case.draws.step), T, B)
    assert masks.keys() == expected.keys()
    for where, mask in expected.items():
        np.testing.assert_array_equal(masks[where].cpu().numpy(), mask, err_msg=where)


def test_the_step_is_read_from_memory_when_the_mask_is_made():
    step = torch.tensor(5)
    draws = DeviceDraws(1, step)
    first = draws.keep_mask("a", (500,), 0.5)
    step.fill_(6)
    second = draws.keep_mask("a", (500,), 0.5)
    np.testing.assert_array_equal(first.numpy(), Draws(1, 5).keep_mask("a", (500,), 0.5))
    np.testing.assert_array_equal(second.numpy(), Draws(1, 6).keep_mask("a", (500,), 0.5))


# ---- the Triton kernel ----------------------------------------------------------------------------------------------


class Block(np.ndarray):
    """What a program computes with: an array, or one number."""

    def to(self, dtype: type) -> "Block":
        return self.astype(dtype).view(Block)


def block_of(values: object, dtype: type) -> Block:
    return np.asarray(values, dtype).view(Block)


class Pointer:
    """To an array, or to each of some places in it."""

    def __init__(self, array: np.ndarray, places: object = 0):
        self.array, self.places = array, places

    def __add__(self, places: object) -> "Pointer":
        return Pointer(self.array, self.places + places)


def umulhi(a: Block, b: Block) -> Block:
    assert a.dtype == b.dtype == np.uint32
    return ((a.astype(np.uint64) * b.astype(np.uint64)) >> np.uint64(32)).to(np.uint32)


def store(pointer: Pointer, values: Block, mask: np.ndarray) -> None:
    assert values.dtype == pointer.array.dtype
    places = pointer.places[mask]
    assert (pointer.array[places] == UNWRITTEN).all()  # nothing is written twice, nor outside
    pointer.array[places] = values[mask]


UNWRITTEN = 77


@pytest.fixture
def kernel_module(monkeypatch):
    """lstm_torch.philox_kernel, its kernel a function of NumPy arrays; and the number of the program that runs."""
    program = SimpleNamespace(number=0)
    language = ModuleType("triton.language")
    language.__dict__.update(
        constexpr=int,
        uint8=np.uint8,
        uint32=np.uint32,
        program_id=lambda axis: program.number,
        arange=lambda start, end: block_of(np.arange(start, end), np.int32),
        zeros=lambda shape, dtype: block_of(np.zeros(shape), dtype),
        static_range=range,
        umulhi=umulhi,
        load=lambda pointer: block_of(pointer.array[pointer.places], np.int64),
        store=store,
    )
    triton = ModuleType("triton")
    triton.__dict__.update(language=language, jit=lambda do_not_specialize: lambda function: function)
    monkeypatch.setitem(sys.modules, "triton", triton)
    monkeypatch.setitem(sys.modules, "triton.language", language)
    monkeypatch.delitem(sys.modules, "lstm_torch.philox_kernel", raising=False)
    yield importlib.import_module("lstm_torch.philox_kernel"), program
    sys.modules.pop("lstm_torch.philox_kernel", None)


@pytest.mark.parametrize("n", [1, 2, 3, 4, 5, 8, 63, 64, 65, 1000])
@pytest.mark.parametrize(("seed", "step"), [(0, 0), (2**64 - 1, 2**32 - 1), (0x0123456789ABCDEF, 2**31)])
def test_the_kernels_source_computes_the_mask_of_the_core(kernel_module, n, seed, step):
    """In 32-bit words, which wrap around in NumPy as they do there; in programs of 16 counters."""
    module, program = kernel_module
    out, blocks, BLOCK = np.full(n, UNWRITTEN, np.uint8), -(-n // 4), 16
    words = stream_number("dropout/l0"), seed & 0xFFFFFFFF, seed >> 32
    numbers = [block_of(word, np.int64) for word in (math.ceil(0.3 * 2**24), *words)]
    for program.number in range(-(-blocks // BLOCK)):
        module._keep_mask(Pointer(out), Pointer(np.array(step)[None]), n, blocks, *numbers, BLOCK=BLOCK)
    np.testing.assert_array_equal(out.view(bool), Draws(seed, step).keep_mask("dropout/l0", (n,), 0.3))


@needs_cuda
@pytest.mark.parametrize("n", [1, 3, 4, 5, 4095, 4096, 4097, 1_000_003])
@pytest.mark.parametrize("seed", [0, 1, 2**31, 2**32 + 1, 2**64 - 1])
def test_on_cuda_the_kernel_and_the_int64_form_agree(n, seed):
    from lstm_torch.philox_kernel import keep_mask

    for step in (0, 1, 2**31, 2**32 - 1):
        draws = on("cuda", seed, step)
        expected = (draws.words("a", n) >> 8) >= math.ceil(0.65 * 2**24)
        mask = keep_mask(draws.step, n, math.ceil(0.65 * 2**24), stream_number("a"), seed)
        assert torch.equal(mask, expected)


@needs_cuda
def test_on_cuda_a_captured_mask_is_drawn_anew_for_each_step():
    draws = on("cuda", 3, 0)
    draws.keep_mask("a", (5001,), 0.5)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        mask = draws.keep_mask("a", (5001,), 0.5)
    for step in (0, 7, 2**32 - 1):
        draws.step.fill_(step)
        graph.replay()
        np.testing.assert_array_equal(mask.cpu().numpy(), Draws(3, step).keep_mask("a", (5001,), 0.5))
