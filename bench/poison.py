"""Requests that cannot be answered, one kind after the other."""

__all__ = ["KINDS", "poison"]

KINDS: tuple[bytes | None, ...] = (
    b"",
    None,
    b"not json",
    b'{"id":"cut off","features":{"f00":1.0',
    b"\xff\xfe\x00",
    b'\xef\xbb\xbf{"features":{}}',
    b'{"features":{}}',
    b'{"features":{"f00":"text"}}',
    b'{"features":[1,2,3]}',
    b"[]",
    b"null",
    b'{"id":7,"features":{}}',
    b'{"features":{"f00":NaN}}',
    b'{"features":{"f00":1e400}}',
    b'{"v":2,"features":{}}',
    b"[" * 5_000 + b"]" * 5_000,
    b'{"features":' + b'{"a":' * 2_000 + b"1" + b"}" * 2_000 + b"}",
    b"\x00\x00\x00\x00\x07avro would follow",
    b'{"id":"' + b"x" * 200 + b'","features":{}}',
)
"""Empty, cut, not UTF-8, wrong types, missing features, too deep, framed for a schema registry, and so on."""


def poison(number: int) -> bytes | None:
    """Return a request of the kind `number % len(KINDS)`."""
    return KINDS[number % len(KINDS)]
