"""Which variant a row is assigned to: a pure function of its key, the salt, the weight and the lists and rules.

The hash `u` of a row is spread evenly over 0..999999 and a row gets the canary when `u` is below the weight. So the
same key has the same answer on every worker and after every restart (sticky), and raising the weight never takes a
key off the canary (monotone). The salt is new in every attempt, so every attempt has a fresh cohort.

Nothing here knows of partitions, workers, batches or time.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from enum import IntEnum
from functools import partial
from hashlib import blake2b
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from xxhash import xxh3_64_digest, xxh3_64_hexdigest

from .plan.plan import WEIGHT_UNITS, By, Routing, Variant
from .rollout.ramp import receives_traffic
from .rollout.state import State

__all__ = ["Assignment", "Cohort", "Column", "Router", "key_hash"]

Column = Callable[[str], Sequence[str | None]]
"""The values of one field (`segment.<name>` or `feature.<name>`), one a row; None where a row has none."""

HASH_UNITS = np.uint64(100 * WEIGHT_UNITS)
"""The number of values of `u`: one unit is the finest weight, 0.0001 %."""

LOW_HALF = np.uint64(0xFFFF_FFFF)
HALF_BITS = np.uint64(32)
BUCKET_SHIFT = np.uint64(64 - 6)
"""Keeps the six highest bits of a hash: 64 buckets."""


class Cohort(IntEnum):
    """How a row came to its variant; only randomised rows are evidence."""

    RANDOMISED = 0
    PINNED = 1
    OUT_OF_SCOPE = 2


class Assignment(NamedTuple):
    """What a batch was assigned, as columns of one length.

    `u` int64 0..999999; `bucket` uint8 0..63, a hash of the key that depends neither on `u` nor on the attempt;
    `canary` bool; `cohort` int8, codes of `Cohort`.
    """

    u: NDArray[np.int64]
    bucket: NDArray[np.uint8]
    canary: NDArray[np.bool_]
    cohort: NDArray[np.int8]


def key_hash(key: bytes) -> str:
    """Return 64 bits of hash of a key as 16 hex digits; the highest six are its bucket."""
    return xxh3_64_hexdigest(key)


@dataclass(frozen=True, slots=True, kw_only=True)
class Router:
    """How one revision of a rollout routes. Built from a state, used for whole batches.

    `threshold` is the number of values of `u` that get the canary; 0 while no canary receives traffic.
    """

    revision: int
    salt: bytes
    threshold: int
    routing: Routing
    deny: frozenset[bytes]
    allow: frozenset[bytes]

    @classmethod
    def of(cls, state: State, secret: bytes = b"") -> "Router":
        """Return the router of `state`; `secret` keeps clients who choose their keys from choosing their variant."""
        routing = state.plan.routing if state.plan else Routing()
        return cls(
            revision=state.revision,
            salt=attempt_salt(state.attempt, secret),
            threshold=round(state.weight * WEIGHT_UNITS) if receives_traffic(state) else 0,
            routing=routing,
            deny=frozenset(key.encode() for key in routing.deny),
            allow=frozenset(key.encode() for key in routing.allow),
        )

    def assign(self, keys: Sequence[bytes], ids: Sequence[bytes], column: Column) -> Assignment:
        """Return the assignment of a batch; `keys` and `ids` (of the requests) have one entry a row.

        `column` is called only for fields that the rules or the scope name. Costs about 0.1 us a row plus 8 us a
        batch without lists, rules and scope.
        """
        units = keys if self.routing.by is By.KEY else ids
        u = spread(hashes([self.salt + unit for unit in units]))
        bucket = (hashes(keys) >> BUCKET_SHIFT).astype(np.uint8)
        drawn = Assignment(u, bucket, u < self.threshold, np.zeros(len(u), dtype=np.int8))
        self.place_exceptions(drawn, keys, column)
        return drawn

    def place_exceptions(self, drawn: Assignment, keys: Sequence[bytes], column: Column) -> None:
        """Overwrite what the hash drew, weakest exception first, so that the strongest has the last word."""
        for name, values in self.routing.only.items():
            place(drawn, ~is_among(column(name), values), canary=False, cohort=Cohort.OUT_OF_SCOPE)
        pin = partial(place, drawn, cohort=Cohort.PINNED)
        answers = self.threshold > 0
        for rule in reversed(self.routing.rules):
            wanted = rule.variant is Variant.CANARY
            pin(is_among(column(rule.field), rule.values), canary=wanted and answers)
        if self.allow:
            pin(is_among(keys, self.allow), canary=answers)
        if self.deny:
            pin(is_among(keys, self.deny), canary=False)


def attempt_salt(attempt: int | None, secret: bytes) -> bytes:
    """Return 16 bytes that nobody can compute without `secret`, nor compute `secret` from.

    BLAKE2b with a key is a message authentication code, which is this very promise; a plain hash of both would need
    care with lengths. Its key holds 64 bytes at most, so a secret of any length is hashed to that first.
    """
    key = blake2b(secret).digest()
    return blake2b(str(attempt).encode(), key=key, digest_size=16).digest()


def hashes(units: Sequence[bytes]) -> NDArray[np.uint64]:
    """Return xxh3 of each unit; joining the digests is the fastest way to an array."""
    return np.frombuffer(b"".join(map(xxh3_64_digest, units)), dtype=">u8").astype(np.uint64)


def spread(hashed: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Return floor(hash * 10**6 / 2**64), exactly: the product needs 84 bits, so it is made of two halves."""
    carry = (hashed & LOW_HALF) * HASH_UNITS >> HALF_BITS
    return ((hashed >> HALF_BITS) * HASH_UNITS + carry >> HALF_BITS).astype(np.int64)


def is_among(
    values: Sequence[bytes] | Sequence[str | None], wanted: Collection[bytes] | Collection[str]
) -> NDArray[np.bool_]:
    """Tell for each value whether it is one of `wanted`."""
    return np.fromiter((value in wanted for value in values), dtype=np.bool_, count=len(values))


def place(drawn: Assignment, rows: NDArray[np.bool_], *, canary: bool, cohort: Cohort) -> None:
    """Give `rows` to one variant, as `cohort`."""
    drawn.canary[rows] = canary
    drawn.cohort[rows] = cohort
