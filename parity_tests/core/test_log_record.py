"""The lines of a run: each seed's own, character by character, from numbers that need no guard."""

import math
import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lstm_ref.core.config import RunConfig
from lstm_ref.core.log_record import LogRecord, character_line, epoch_banner, interval_line, lines, perplexity

RECORD = LogRecord(
    epoch=3,
    epochs=40,
    step=4580,
    loss=3.25337,
    mean_loss=5.4321,
    val_loss=3.190149,
    best=True,
    gradient_norm=0.5,
    lr=0.0001,
    tokens_per_second=9000.0,
    ms_per_step=87.654,
    epoch_seconds=123.456,
    seconds=400.0,
)
finite = st.floats(0, 1e6)
BY_EPOCH = RunConfig(validate="epochs", print_every=20)


@pytest.mark.row("C37")
def test_the_character_line_is_the_seeds():
    assert character_line(RECORD) == "Epoch: 3/40... Step: 4580... Loss: 3.2534... Val Loss: 3.1901"


@pytest.mark.row("W51")
def test_the_interval_line_is_the_word_seeds_with_an_lr_that_can_be_read():
    assert interval_line(RECORD) == "| epoch   3 | lr 0.0001 | ms/batch 87.65 | loss  5.43 | ppl   228.63"


@pytest.mark.row("W51", "BW11", "BW17")
@given(epoch=st.integers(1, 9999), lr=st.floats(1e-9, 100), ms=finite, loss=st.floats(0, 20))
def test_an_interval_line_is_the_word_seeds_format_but_for_the_lr(epoch, lr, ms, loss):
    line = interval_line(replace(RECORD, epoch=epoch, lr=lr, ms_per_step=ms, mean_loss=loss))
    seeds = "| epoch {:3d} | lr {:02.2f} | ms/batch {:5.2f} | loss {:5.2f} | ppl {:8.2f}"
    assert re.sub(r"lr \S+", "lr 0.00", line) == seeds.format(epoch, 0, ms, loss, math.exp(loss))
    assert float(re.search(r"lr (\S+)", line)[1]) == pytest.approx(lr, rel=1e-5)


@pytest.mark.row("W47")
def test_the_banner_of_an_epoch_is_the_word_seeds():
    dashes = "-" * 89
    assert epoch_banner(RECORD) == [
        dashes,
        "| end of epoch   3 | time: 123.46s | valid loss  3.19 | valid ppl    24.29",
        dashes,
    ]


@pytest.mark.row("W47", "BW24")
@given(nats=st.floats(0, 1e308))
def test_perplexity_is_e_to_the_loss_and_infinite_where_that_is_no_float(nats):
    if nats < 709:
        assert perplexity(nats) == math.exp(nats)
    elif nats > 710:
        assert perplexity(nats) == math.inf
    assert interval_line(replace(RECORD, mean_loss=nats)).startswith("| epoch")
    assert len(epoch_banner(replace(RECORD, val_loss=nats))) == 3


@pytest.mark.parametrize(
    ("record", "kinds"),
    [
        (RECORD, ["interval", "dashes", "banner", "dashes"]),  # step 4580 ends an epoch and an interval of 20
        (replace(RECORD, val_loss=None), ["interval"]),
        (replace(RECORD, step=4581), ["dashes", "banner", "dashes"]),
    ],
)
@pytest.mark.row("W47", "W51")
def test_a_record_prints_what_was_due(record, kinds):
    texts = {
        "interval": interval_line(record),
        "dashes": "-" * 89,
        "banner": record.val_loss is not None and epoch_banner(record)[1],
    }
    assert lines(record, BY_EPOCH) == [texts[kind] for kind in kinds]


def test_a_record_with_a_validation_on_every_line_is_the_character_seeds_line_for_words_too():
    for vocabulary in ("char", "word"):
        assert lines(RECORD, RunConfig(vocabulary=vocabulary)) == [character_line(RECORD)]
