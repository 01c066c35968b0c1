"""Log lines: facts with ids, one JSON object a line; plain text on a terminal. Never values of requests."""

import logging
import math
import re
import sys
from datetime import UTC, datetime

import orjson

__all__ = ["configure_logging"]

QUIET = (
    "aiokafka",
    "faust",
    "mode",
    "aiohttp",
    "asyncio",
    "coalmine.streams.transport.apps",
    "coalmine.streams.transport.driver",
)
"""Libraries that tell their life at INFO; only what needs a person is kept. Faust names the loggers of its services
after the modules of their classes, hence the two of ours."""

REPETITION_SECONDS = 10.0
"""How long a complaint that was written stands for those like it."""

NUMBERS = re.compile(r"\d+")
"""What differs in complaints of the same thing: times, offsets, ids of requests."""


class JsonLines(logging.Formatter):
    """One JSON object a line: time, level, logger, message, and the type and trace of an exception."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line; control characters are escaped by JSON itself."""
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return orjson.dumps(line).decode()


class Repetitions(logging.Filter):
    """Lets a complaint of a library pass once in ten seconds; the next one that passes tells how many did not.

    aiokafka complains of a broker that is away 200 times a second, for as long as it is away. Lines with a trace all
    pass: traces differ where the words do not.
    """

    def __init__(self) -> None:
        super().__init__()
        self._passed: dict[tuple[str, str], float] = {}
        self._held: dict[tuple[str, str], int] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Tell whether the record is to be written."""
        if record.exc_info or not record.name.startswith(QUIET):
            return True
        complaint = record.name, NUMBERS.sub("", record.getMessage())
        if 0 <= record.created - self._passed.get(complaint, -math.inf) < REPETITION_SECONDS:
            self._held[complaint] = self._held.get(complaint, 0) + 1
            return False
        self._forget_before(record.created - 2 * REPETITION_SECONDS)
        self._passed[complaint] = record.created
        if held := self._held.pop(complaint, 0):
            record.msg, record.args = f"{record.getMessage()} (and {held} more like it)", None
        return True

    def _forget_before(self, moment: float) -> None:
        for complaint in [complaint for complaint, passed in self._passed.items() if passed < moment]:
            del self._passed[complaint]
            self._held.pop(complaint, None)


def configure_logging(level: int = logging.INFO) -> None:
    """Send log lines to stderr, ours from `level` on, those of libraries from WARNING on and without repetitions."""
    handler = logging.StreamHandler(sys.stderr)
    if sys.stderr.isatty():
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s", "%H:%M:%S"))
    else:
        handler.setFormatter(JsonLines())
    handler.addFilter(Repetitions())
    logging.basicConfig(level=level, handlers=[handler], force=True)
    for name in QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)
