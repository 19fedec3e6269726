"""Speed of the character model: a whole training step, and one stream of samples.

In a normal test run (`--benchmark-disable`) every benchmark runs once at these small shapes; `python -m benchmarks`
times the full ones. Either way a contender is proved right first.
"""

import itertools
import math

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from benchmarks.agreement import prove_sampler, prove_trainer
from benchmarks.cases import SampleCase, StepCase
from benchmarks.contenders import SAMPLERS, TRAINERS

STEP = StepCase(vocab_size=13, hidden_sizes=(11, 11), batch_size=5, seq_length=7)
SAMPLE = SampleCase(vocab_size=17, hidden_sizes=(12, 12), length=9)


@pytest.mark.benchmark(group=STEP.title)
@pytest.mark.parametrize("name", TRAINERS)
def test_character_step(benchmark: BenchmarkFixture, name: str) -> None:
    prove_trainer(name, TRAINERS[name], STEP)
    trainer, windows = TRAINERS[name].build(STEP), itertools.cycle(STEP.windows(4))
    trainer.step(next(windows))  # compiles and allocates
    loss = benchmark(lambda: trainer.step(next(windows)))
    assert 0 < loss < 2 * math.log(STEP.vocab_size)  # near that of a uniform guess


@pytest.mark.benchmark(group=SAMPLE.title)
@pytest.mark.parametrize("name", SAMPLERS)
def test_character_sample(benchmark: BenchmarkFixture, name: str) -> None:
    sampler = SAMPLERS[name].build(SAMPLE)
    prove_sampler(name, sampler, SAMPLE)
    text = benchmark(sampler.text, " ", SAMPLE.length - 1, SAMPLE.top_k, SAMPLE.seed)
    assert len(text) == 1 + SAMPLE.length
