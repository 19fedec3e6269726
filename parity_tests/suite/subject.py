"""A plain, right LSTM language model that answers every question, made to be read and to be broken.

Each line of its arithmetic is a small method. The mutants (parity_tests/suite/mutants) are subclasses that override
one; whoever wants to learn where an LSTM can go wrong finds the right line here and the wrong ones there.

    subject_cell.py      one step and its gradient            subject_numbers.py   loss, optimizers, batches
    subject_layers.py    over time, directions, layers        subject_sampling.py  one token from logits
    subject_model.py     the language model

It computes in the question's dtype, and shares no code with either twin.
"""

import numpy as np

from parity_tests.suite.adapter import Capabilities
from parity_tests.suite.question import OPERATIONS, Answer, Question
from parity_tests.suite.subject_model import LanguageModel
from parity_tests.suite.subject_numbers import Batches, Evaluation


class Subject(LanguageModel, Batches, Evaluation):
    """An adapter (parity_tests/suite/adapter.py) that claims everything."""

    name = "subject"
    capabilities = Capabilities(
        operations=OPERATIONS,
        dtypes=("float64", "float32"),
        layers=99,
        directions=2,
        lengths=True,
        batch_first=True,
        projections=True,
        peepholes=True,
        tied=True,
        drops=("outputs", "input", "embedding", "weight_hh"),
        note="the suite's own LSTM, plain NumPy",
    )

    def answer(self, question: Question) -> Answer:
        method = getattr(self, f"answer_{question.op}")
        return {name: np.asarray(array) for name, array in method(question).items()}
