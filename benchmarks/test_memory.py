"""The measurement of memory measures, and compares nothing that is wrong."""

import mmap
from dataclasses import replace

import pytest

from benchmarks.memory import CONTENDERS, PEER, Peak, measured, of_this_process, prove, table
from lstm_ref.core.errors import ConformanceError
from lstm_ref.core.presets import preset

# 2,000 tokens of 20,000 words: everything else is small beside their logits.
SMALL = replace(preset("awd-wikitext2"), embedding_size=8, hidden_sizes=(8, 8), batch_size=40, seq_length=50)


def test_a_process_sees_what_it_holds_and_what_it_held() -> None:
    before = of_this_process("VmHWM")
    size = max(0, before - of_this_process("VmRSS")) + (64 << 20)
    with mmap.mmap(-1, size) as held:  # from the system: malloc may have kept as much
        for page in range(0, size, mmap.PAGESIZE):
            held[page] = 1  # touched, or the system has not given it yet
        assert of_this_process("VmHWM") >= before + (48 << 20)
    assert of_this_process("VmHWM") >= of_this_process("VmRSS")


def test_the_peer_holds_the_logits_and_the_twins_do_not() -> None:
    """Of 2,000 tokens and 20,000 words the logits are 160 MB, and the peer holds at least two arrays of that size."""
    peaks = {name: measured(name, SMALL, 20_000) for name in CONTENDERS}
    prove(peaks)
    logits = 2_000 * 20_000 * 4
    assert peaks[PEER].peak - peaks[PEER].loaded > 2 * logits
    for name in ("NumpyLM", "TorchLM"):
        assert peaks[name].peak < peaks[PEER].peak - logits, name
    assert f"| {PEER:<26} |" in table("a title", peaks)


def test_what_does_not_agree_is_not_compared() -> None:
    peaks = {"NumpyLM": Peak(1, 2, [3.0, 2.0]), PEER: Peak(1, 2, [3.0, 2.1])}
    with pytest.raises(ConformanceError, match="NumpyLM"):
        prove(peaks)
