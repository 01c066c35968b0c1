"""Texts of rollout files, and what is wrong with them."""

import pytest

from coalmine.errors import RolloutFileError
from coalmine.policies import Check, Plan
from coalmine.rollout_file import parse

HEAD = "apiVersion: coalmine.dev/v1\nkind: Rollout\nname: flights\nstable: {uri: flights/1}\n"


def plan_of(*lines: str) -> Plan:
    """Return the plan of a file with these lines under the smallest one."""
    return parse(HEAD + "\n".join(lines) + "\n", "f.yaml")


def check_of(text: str) -> Check:
    """Return the check `c` of a file, written as `text`."""
    [check] = plan_of(f"analysis: {{checks: {{c: {{{text}}}}}}}").analysis.checks
    return check


def refusals(*lines: str) -> list[str]:
    """Return `path: message` of each problem of a file with these lines."""
    with pytest.raises(RolloutFileError) as caught:
        plan_of(*lines)
    return [f"{problem.path}: {problem.message}" for problem in caught.value.problems]
