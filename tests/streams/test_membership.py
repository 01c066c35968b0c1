import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from coalmine.errors import BrokerError
from coalmine.streams.transport.membership import Membership


def coordinator(
    error: Exception | None = None, ended: Exception | None = None, closes: bool = False, member: str = "m"
) -> Any:
    """Return aiokafka's side of a membership: an error to be heard, or a routine that ended."""

    async def routine() -> Any:
        task: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        closing: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if ended is not None:
            task.set_exception(ended)
        if closes:
            closing.set_result(None)
        return SimpleNamespace(
            _pending_exception=error, _coordination_task=task, _closing=closing, group_id="g", member_id=member
        )

    return asyncio.run(routine())


def look(membership: Membership, *seen: tuple[float, str]) -> None:
    for now, member in seen:
        membership.check(coordinator(member=member), now)


def test_a_membership_that_goes_on_is_no_error() -> None:
    look(Membership("host"), *((float(second), "m") for second in range(100)))


@pytest.mark.parametrize("lost", [{"error": OSError("not allowed")}, {"ended": OSError("not allowed")}])
def test_a_lost_membership_is_an_error_that_names_the_group(lost: dict[str, Exception]) -> None:
    with pytest.raises(BrokerError, match=r"consumer group g: the membership is lost: OSError\('not allowed'\)"):
        Membership(None).check(coordinator(**lost), 0.0)  # type: ignore[arg-type]


def test_a_lost_membership_of_a_static_member_asks_for_a_rival() -> None:
    with pytest.raises(BrokerError, match=r"does another process use group\.instance\.id host\?"):
        Membership("host").check(coordinator(error=OSError("unknown")), 0.0)


def test_a_membership_that_is_being_given_up_is_no_error() -> None:
    Membership(None).check(coordinator(ended=OSError("closed"), closes=True), 0.0)


def test_a_static_member_that_becomes_a_new_one_again_and_again_has_a_rival() -> None:
    membership = Membership("host")
    look(membership, (0, ""), (1, "a"), (2, ""), (3, "b"), (4, "b"), (5, "c"))

    with pytest.raises(BrokerError, match=r"consumer group g: .* group\.instance\.id host .* an id of its own"):
        look(membership, (7, "d"))


def test_a_static_member_that_was_forgotten_now_and_then_has_no_rival() -> None:
    look(Membership("host"), (0, "a"), (40, "b"), (80, "c"), (120, "d"), (160, "e"))


def test_a_member_without_a_static_id_may_become_a_new_one_at_any_time() -> None:
    look(Membership(None), *((float(second), str(second)) for second in range(100)))
