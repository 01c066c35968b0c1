"""Outcomes in the order of a partition, and a tally that takes them."""

from dataclasses import dataclass

from coalmine.streams.analysis.partition_tally import PartitionTally, main_key
from coalmine.streams.wire.codec import encode
from coalmine.streams.wire.messages import Call, Outcome

__all__ = ["Record", "cycle", "fresh", "log", "outcome"]


@dataclass(frozen=True, slots=True)
class Record:
    offset: int
    value: bytes | None


def outcome(source_offset: int, *, revision: int = 1, source: int = 0, mode: str = "live", variant: str = "stable",
            ts: int = 0, fault: bool = False) -> Outcome:  # fmt: skip
    result = Outcome(
        id=f"{source}-{source_offset}", src=f"r.requests/{source}@{source_offset}", rollout="r", variant=variant,
        model_version="1", mode=mode, ok=not fault, latency_ms=1.0 + source_offset % 7, ts=ts, revision=revision,
        u=0, bucket=source_offset % 64, prediction=0.5, call=Call(1, 2.0),
    )  # fmt: skip
    if fault:
        result.error_code, result.key_hash = "model_error", f"{source_offset:016x}"
    return result


def log(*outcomes: Outcome | bytes | None) -> list[Record]:
    values = [encode(item) if isinstance(item, Outcome) else item for item in outcomes]
    return [Record(offset, value) for offset, value in enumerate(values)]


def fresh(table: dict[str, bytes] | None = None) -> PartitionTally:
    return PartitionTally(0, {} if table is None else table)


def cycle(tally: PartitionTally, table: dict[str, bytes]) -> None:
    """Write the records as the keeper does: own records first, then the main one."""
    for revision in tally.closable():
        key, value = tally.closed_record(revision)
        table[key] = value
        tally.close(revision, key)
    table[main_key(0)] = tally.main_record()
    tally.recorded()
    tally.publication("r", 0, tally.next_offset)
    tally.published()
