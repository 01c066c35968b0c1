"""Synthetic requests: 20 named numbers, about 360 bytes, keys drawn from a fixed population."""

import random

__all__ = ["FEATURES", "KEYS", "Traffic", "number_of"]

FEATURES = tuple(f"f{i:02d}" for i in range(20))
"""Names of the features of the benchmark's models, in manifest order."""

KEYS = 20_000
"""Size of the key population: the share of canary keys at 10 % is then 10 +- 0.2 %."""

POOL = 4096
"""Different feature objects; more would only cost time while the traffic is made."""

ID_DIGITS = 9
"""Digits of a request id, so that every request is equally long."""


OVERFLOW = b"1.7e308"
"""A feature that makes a weighted sum infinite, which no model may publish: a fault of whichever model answers."""


class Traffic:
    """Requests by number: the same number is the same request, whoever sends it.

    With `failing_keys` every request of one key in so many is one that no linear model can answer: the same faults
    for every model, clustered by key as real ones are.
    """

    def __init__(self, seed: int = 1, failing_keys: int = 0) -> None:
        rng = random.Random(seed)
        self._failing_keys = failing_keys
        self._features = [
            ",".join(f'"{name}":{rng.gauss(0, 1):.5f}' for name in FEATURES).encode() for _ in range(POOL)
        ]
        self._keys = [b"k%05d" % rng.randrange(KEYS) for _ in range(POOL * 7 + 1)]

    def key(self, number: int) -> bytes:
        """Return the key of a request."""
        return self._keys[number % len(self._keys)]

    def value(self, number: int, ts_ms: int) -> bytes:
        """Return the body of a request with event time `ts_ms`."""
        key, features = self.key(number), self._features[number % POOL]
        if self._failing_keys and int(key[1:]) % self._failing_keys == 0:
            features = b'"f00":' + OVERFLOW + features[features.index(b",") :]
        return b'{"id":"r%09d","key":"%s","ts":%d,"features":{%s}}' % (number, key, ts_ms, features)


def number_of(identity: str) -> int:
    """Return the number of the request with this id."""
    return int(identity[1:])
