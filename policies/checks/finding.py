"""What a look finds and decides, as values: findings, verdict, decision. No rule stands here."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

from ..plan.plan import Role

__all__ = ["Decision", "Finding", "Status", "Verdict"]


class Status(Enum):
    """The result of one check at one look."""

    PASS = "pass"
    FAIL = "fail"
    INCONCLUSIVE = "inconclusive"
    NO_DATA = "no_data"
    ERROR = "error"


class Verdict(Enum):
    """The result of a look over all checks; `inconclusive`: the deadline passed without an answer."""

    PASS = "pass"
    FAIL = "fail"
    UNDECIDED = "undecided"
    INCONCLUSIVE = "inconclusive"


class Decision(Enum):
    """What a look asks for. `hold` stands in the look only; the others become commands."""

    ADVANCE = "advance"
    HOLD = "hold"
    PAUSE = "pause"
    PROMOTE = "promote"
    ROLLBACK = "rollback"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One check at one look.

    Rates are shares 0..1 (bigger is worse), `estimate` is canary minus stable, `interval` holds at all looks at
    once (asymptotic, shown only), e-values are natural logarithms and decide against `threshold` = ln(1/alpha).
    `margin` is the one of the step that is on. `n` counts the units the estimate rests on, by variant (`requests` where
    both are one), and `measure` names them: `rows` or `calls`, with `/` and the value where a segment leads; `event`
    says what happened to those that count, empty for losses between 0 and 1. `values` are further numbers for whoever
    explains the decision; every name is documented where its kind of check is.
    None: undefined.
    """

    check: str
    role: Role
    status: Status
    reason: str
    n: Mapping[str, int]
    estimate: float | None = None
    interval: tuple[float, float] | None = None
    margin: float | None = None
    tolerance: float | None = None
    log_e_rollback: float | None = None
    log_e_promotion: float | None = None
    threshold: float | None = None
    measure: str = "rows"
    event: str = "failed"
    values: Mapping[str, float] = field(default_factory=dict)
