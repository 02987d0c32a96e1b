"""All cases."""

from tests.states.updates import folded, leading, marks, plain, shaped, within
from tests.states.updates.cases import Case, cases

MODULES = (folded, leading, marks, plain, shaped, within)

CASES: list[Case] = cases()
