"""What a test says about itself, and how the runner finds it.

    @case(kinds=("stock", "ours"), limit_s=60)
    def test_something(lab): ...

    @case(matrix=[("priority",), ("offset",)])
    def test_selection(lab, rule): ...
"""
import dataclasses


class Skip(Exception):
    """Raised by a test that cannot be done on this machine; says why."""


@dataclasses.dataclass
class Case:
    function: object
    kinds: tuple
    limit_s: float
    alone: bool
    quiet: bool
    matrix: tuple
    sample: int


@dataclasses.dataclass(frozen=True)
class Job:
    """One run of one test: a kind of supervisor and one row of its matrix."""
    name: str
    case: object
    kind: str
    row: tuple
    repeat: int = 0


def case(kinds=("stock", "ours"), limit_s=60, alone=False, quiet=False, matrix=((),), sample=0):
    """kinds: the kinds of supervisor it runs with. limit_s: seconds before it is stopped as failed. alone: nothing else
    runs beside it. quiet: less does than otherwise, as it holds something to a bound of time. matrix: rows of further
    arguments. sample: how many rows a plain run draws; 0 is all."""
    def mark(function):
        function.case = Case(function, tuple(kinds), limit_s, alone, quiet, tuple(matrix), sample)
        return function
    return mark
