"""All mutants, by group, by name and by family."""

from parity_tests.suite.mutants.batching import BATCHING
from parity_tests.suite.mutants.bptt import BPTT
from parity_tests.suite.mutants.dropout import DROPOUT
from parity_tests.suite.mutants.gates import GATES
from parity_tests.suite.mutants.loss import LOSS
from parity_tests.suite.mutants.mutant import Group, Mutant
from parity_tests.suite.mutants.numerics import NUMERICS
from parity_tests.suite.mutants.optimizer import OPTIMIZER
from parity_tests.suite.mutants.sampling import SAMPLING
from parity_tests.suite.mutants.states import STATES
from parity_tests.suite.mutants.tying import TYING

GROUPS: tuple[Group, ...] = (GATES, STATES, BPTT, DROPOUT, BATCHING, LOSS, OPTIMIZER, TYING, SAMPLING, NUMERICS)


def collect(groups: tuple[Group, ...]) -> tuple[Mutant, ...]:
    """Raises ValueError where two have one name: a report could not tell them apart."""
    mutants = tuple(mutant for group in groups for mutant in group.mutants)
    names = [mutant.name for mutant in mutants]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"mutants of the same name: {', '.join(twice)}")
    return mutants


BANK = collect(GROUPS)
BY_NAME = {mutant.name: mutant for mutant in BANK}


def families() -> dict[str, tuple[Mutant, ...]]:
    """name -> members; a mutant without a family is one of its own."""
    found: dict[str, tuple[Mutant, ...]] = {}
    for mutant in BANK:
        key = mutant.family or mutant.name
        found[key] = (*found.get(key, ()), mutant)
    return found
