"""Which steps of the runbook a scenario names, read from its source."""

from __future__ import annotations

import ast

from harness.catalogue import steps_named

SOURCE = """
LATE = ("not-a-step",)
EARLY = Checkpoint("early", minutes(5), minutes(1), (X,), look=("look-health", "look-cpu"))
BOTH = (EARLY, Checkpoint("later", minutes(9), minutes(1), (X,), look=["benchmark"]))
OTHER = Checkpoint("other", minutes(5), minutes(1), (X,), look=("not-used",))

def test_one(run):
    run.mitigate("breaker", "fallback")
    run.restore("breaker")
    run.check(*BOTH, of=x.end)
    run.check(Checkpoint("last", a, b, look=("look-disk",)), of=x.end)
"""


def test_steps_of_checkpoints_count_as_named() -> None:
    """What checkpoints look at is named too, where the function uses them, by whichever constant; a misspelt step is
    told before anything is started."""
    module = ast.parse(SOURCE)
    (function,) = (node for node in module.body if isinstance(node, ast.FunctionDef))
    assert sorted(steps_named(function, module)) == [
        *("benchmark", "breaker", "fallback", "look-cpu", "look-disk", "look-health"),
    ]
    assert sorted(steps_named(function)) == ["breaker", "fallback", "look-disk"]
