"""The corpus: every graph with every scenario."""

from tests.states.corpus import bare, cached, coerced, elsewhere, flow, folding, mapping, nested, pauses, shapes
from tests.states.corpus.playing import Build, Scenario, scenarios

MODULES = (bare, cached, coerced, elsewhere, flow, folding, mapping, nested, pauses, shapes)

SCENARIOS: list[Scenario] = scenarios()

GRAPHS: dict[str, Build] = {scenario.build.__name__: scenario.build for scenario in SCENARIOS}
