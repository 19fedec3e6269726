"""All questions of the golden vectors, in the order of the files."""

from parity_tests.vectors import layer_cases, model_cases, number_cases
from parity_tests.vectors.grid import Case


def cases() -> list[Case]:
    groups = (
        layer_cases.forward_cases,
        layer_cases.backward_cases,
        number_cases.loss_cases,
        number_cases.clip_cases,
        number_cases.optimizer_cases,
        number_cases.text_cases,
        number_cases.sampling_cases,
        model_cases.model_cases,
    )
    return [case for group in groups for case in group()]
