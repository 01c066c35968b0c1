"""A Faust table of bytes whose writes can be awaited, from any task and not only from inside a stream.

Faust sends a changed record to the changelog without telling when it got there, and only to the partition of the
event that an agent just works on. Here the partition is named, and the local value changes once the broker has it.
"""

from typing import Any

__all__ = ["RecordTable"]


class RecordTable:
    """The records of a table by key, both bytes on the wire; what a process holds are those of its partitions."""

    def __init__(self, app: Any, name: str) -> None:
        self._table = app.Table(name, key_type=bytes, value_type=bytes)

    def get(self, key: str) -> bytes | None:
        """Return the value at `key`, None without one."""
        value: bytes | None = self._table.data.get(key.encode())
        return value

    def items(self) -> list[tuple[str, bytes]]:
        """Return every key with its value."""
        return [(key.decode(), value) for key, value in self._table.data.items()]

    async def write(self, partition: int, key: str, value: bytes) -> None:
        """Write a record and return when the broker has it; raises what kept it from there."""
        await self._table.send_changelog(partition, key.encode(), value)
        self._table.data[key.encode()] = value
