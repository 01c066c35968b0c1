"""What every check says at a look, whatever it compares: the face that the rules of `gates` know."""

from typing import Protocol

from ..plan.plan import Check, Plan
from .finding import Finding, Status

__all__ = ["Evidence", "Unlimited"]


class Evidence(Protocol):
    """What speaks for and against the canary in one check; e-values are natural logarithms."""

    @property
    def check(self) -> Check:
        """The check."""
        ...

    @property
    def log_e_rollback(self) -> float:
        """The evidence that the canary is worse."""
        ...

    @property
    def log_e_limit(self) -> float | None:
        """How surely the canary is above the absolute limit of the check, None without one."""
        ...

    @property
    def is_over_limit(self) -> bool:
        """Whether the canary is above its limit as it stands."""
        ...

    def passes(self, threshold: float) -> bool:
        """Tell whether the check allows a move up."""
        ...

    def status(self, failed: bool, threshold: float) -> tuple[Status, str]:
        """Return the status of the check and its reason in words."""
        ...

    def sentence(self) -> str:
        """Return what speaks loudest, in words."""
        ...

    def limit_sentence(self) -> str:
        """Return what an absolute limit is about, in words."""
        ...

    def finding(self, failed: bool, weight: float, plan: Plan) -> Finding:
        """Return the finding; `failed` says that the decision over all checks holds this one against the canary."""
        ...


class Unlimited:
    """What evidence says that knows no absolute limit of the canary."""

    __slots__ = ()

    @property
    def log_e_limit(self) -> None:
        """There is no limit."""
        return

    @property
    def is_over_limit(self) -> bool:
        """No limit, nothing above it."""
        return False

    def sentence(self) -> str:
        """Return what speaks loudest, in words."""
        raise NotImplementedError

    def limit_sentence(self) -> str:
        """Return the same: there is no limit to speak of."""
        return self.sentence()
