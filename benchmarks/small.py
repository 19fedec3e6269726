"""Cases of the full ones' kinds at sizes that take milliseconds, for tests. No two sizes of one case are equal, so that
none can stand for another."""

from dataclasses import replace

from benchmarks.cases import AWD_STEP, WORD_SEED_STEP, SampleCase, StepCase, characters

CHARACTERS = StepCase(config=characters(14, 9, 9), batch_size=3, seq_length=6)
BF16 = replace(CHARACTERS, precision="bf16")
SAMPLE = SampleCase(config=characters(15, 10, 10), length=8)


def _small(case: StepCase, *hidden_sizes: int) -> StepCase:
    config = replace(case.config, vocab_size=29, embedding_size=8, hidden_sizes=hidden_sizes)
    return replace(case, config=config, batch_size=4, seq_length=6)


AWD = _small(AWD_STEP, 11, 12, 8)
WORD_SEED = _small(WORD_SEED_STEP, 10, 9, 7)
STEPS = {"characters": CHARACTERS, "bf16": BF16, "awd": AWD, "word seed": WORD_SEED}
