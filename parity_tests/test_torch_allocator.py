"""Memory that a training step frees is there for the next, without the system having a hand in it."""

import platform
import subprocess
import sys

import pytest

pytest.importorskip("torch")

# Page faults of a training step, the mean of eight after eight in which the heap finds its shape; temporaries of up to
# 16 MB.
STEPS = """
import resource, sys
import numpy as np
from lstm_ref.core.batching import Windows
from lstm_ref.core.config import LanguageModelConfig, OptimizerConfig
from lstm_ref.core.draws import Draws
from lstm_ref.core.language_model import StepSettings
from lstm_ref.core.params import initial_parameters
from lstm_torch.model import TorchLM, build
config = LanguageModelConfig(vocab_size=64, hidden_sizes=(256,))
if sys.argv[1] == "build":
    model = build(config, optimizer=OptimizerConfig())
else:
    model = TorchLM(config)
model.load_parameters(initial_parameters(config, 0))
windows, state = Windows(np.arange(16 * 64 * 64 + 1) % 64, 64, 64), model.zero_state(64)
for n in range(16):
    if n == 8:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    state = model.train_step(windows[n], state, Draws(0, n), StepSettings(lr=0.1, clip=1.0)).state
print((resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before) // 8)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="malloc is not glibc's here")
def test_a_model_of_the_backend_gets_no_memory_from_the_system_once_it_has_run():
    """Some 10,000 a step, but for a last piece of the heap now and then. The class alone, which a program with plans of
    its own may take, changes nothing."""
    faults = {}
    for how in ("build", "class"):
        done = subprocess.run([sys.executable, "-c", STEPS, how], capture_output=True, text=True, check=True)
        faults[how] = int(done.stdout)
    assert faults["build"] < 1000
    assert faults["class"] > 5000
