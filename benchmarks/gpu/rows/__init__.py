"""The rows of the table, in order of importance. Each file has a function `row(device, seed)` that makes its rows; on a
CPU they have shapes so small that a dry run takes seconds."""

from collections.abc import Callable

from benchmarks.gpu.device import Device
from benchmarks.gpu.row import Row

# Row -> seconds without which it is not begun, and after which it takes what it has: guesses of what compiling, proving
# and capturing cost, to be set from a result file once there is one. The most add up to 8 of the 9 minutes.
LEAST_SECONDS = {
    "ceilings": 10,
    "G1": 40,
    "G4": 40,
    "G2-forward": 15,
    "G2-both": 20,
    "G6": 15,
    "G7": 15,
    "G4-epoch": 25,
}
MOST_SECONDS = {
    "ceilings": 25,
    "G1": 150,
    "G4": 110,
    "G2-forward": 25,
    "G2-both": 45,
    "G6": 30,
    "G7": 40,
    "G4-epoch": 55,
}


def makers() -> dict[str, Callable[[Device, int], Row]]:
    from benchmarks.gpu.rows import ceilings, character, recurrence, sampling, softmax, words

    return {
        "ceilings": ceilings.row,
        "G1": character.row,
        "G4": words.row,
        "G2-forward": recurrence.forward_row,
        "G2-both": recurrence.both_row,
        "G6": softmax.row,
        "G7": sampling.row,
        "G4-epoch": words.epoch_row,
    }
