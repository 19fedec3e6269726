"""Speed of whole training steps, and of one stream of samples.

In a normal test run (`--benchmark-disable`) every benchmark runs once at these small shapes; `lstm bench` times the
full ones. Either way a contender is proved right first.
"""

import itertools
import math

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from benchmarks.agreement import prove_sampler, prove_trainer
from benchmarks.contenders import contenders
from benchmarks.small import SAMPLE, STEPS


@pytest.mark.parametrize(("kind", "name"), [(kind, name) for kind, case in STEPS.items() for name in contenders(case)])
def test_training_step(benchmark: BenchmarkFixture, kind: str, name: str) -> None:
    case = STEPS[kind]
    benchmark.group = case.title
    entry = contenders(case)[name]
    prove_trainer(name, entry, case)
    trainer, windows = entry.build(case), itertools.cycle(case.windows(4))
    trainer.step(next(windows))  # compiles and allocates
    loss = benchmark(lambda: trainer.step(next(windows)))
    if case.optimizer.optimizer != "sgd":  # AWD-LSTM's lr of 30 is for a model of its size
        assert 0 < loss < 2 * math.log(case.config.vocab_size)  # near that of a uniform guess


@pytest.mark.benchmark(group=SAMPLE.title)
@pytest.mark.parametrize("name", contenders(SAMPLE))
def test_sampled_character(benchmark: BenchmarkFixture, name: str) -> None:
    sampler = contenders(SAMPLE)[name].build(SAMPLE)
    prove_sampler(name, sampler, SAMPLE)
    text = benchmark(sampler.text, " ", SAMPLE.length - 1, SAMPLE.top_k, SAMPLE.seed)
    assert len(text) == 1 + SAMPLE.length
