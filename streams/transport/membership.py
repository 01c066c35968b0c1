"""Whether a worker still is the member of its consumer group that it believes to be.

aiokafka tells of a lost membership only to who fetches through it. Unheard, a worker would go on answering while
another one gets its partitions, and commit nothing. And of two processes with one static id it makes members that take
each other's place at every heartbeat, for ever: it reads the broker's refusal as a member that was forgotten.
"""

from collections import deque
from typing import Any

from coalmine.errors import BrokerError

__all__ = ["Membership"]

MOST_TAKEOVERS = 3
"""How often a static member may become a new one within `TAKEOVER_SECONDS`. A worker that hung for a session does so
once; a rival with the same id makes it so at every heartbeat."""

TAKEOVER_SECONDS = 60.0


class Membership:
    """One consumer's membership; `static_id` is its `group.instance.id`, None without one."""

    def __init__(self, static_id: str | None) -> None:
        self._static_id = static_id
        self._member = ""
        self._takeovers: deque[float] = deque(maxlen=MOST_TAKEOVERS)

    def check(self, coordinator: Any, now: float) -> None:
        """Raise BrokerError when it is lost, or disputed; `coordinator` is aiokafka's, `now` a monotonic time in s."""
        group = coordinator.group_id
        if (error := failure(coordinator)) is not None:
            rival = f"; does another process use group.instance.id {self._static_id}?" if self._static_id else ""
            raise BrokerError(f"consumer group {group}: the membership is lost: {error!r}{rival}")
        if self._static_id and self._is_disputed(coordinator.member_id, now):
            raise BrokerError(
                f"consumer group {group}: another process takes the place of group.instance.id {self._static_id} again"
                " and again; give each process an id of its own"
            )

    def _is_disputed(self, member: str, now: float) -> bool:
        if member in ("", self._member):  # empty while it joins
            return False
        if self._member:
            self._takeovers.append(now)
        self._member = member
        return len(self._takeovers) == MOST_TAKEOVERS and now - self._takeovers[0] < TAKEOVER_SECONDS


def failure(coordinator: Any) -> BaseException | None:
    """Return why aiokafka has given up the membership, None while it goes on or is being left in order."""
    error: BaseException | None = coordinator._pending_exception
    routine = coordinator._coordination_task
    if error is None and routine.done() and not routine.cancelled() and not coordinator._closing.done():
        error = routine.exception()
    return error
