"""Log lines: facts with ids, one JSON object a line; plain text on a terminal. Never values of requests."""

import logging
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


def configure_logging(level: int = logging.INFO) -> None:
    """Send log lines to stderr, ours from `level` on, those of libraries from WARNING on."""
    handler = logging.StreamHandler(sys.stderr)
    if sys.stderr.isatty():
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s", "%H:%M:%S"))
    else:
        handler.setFormatter(JsonLines())
    logging.basicConfig(level=level, handlers=[handler], force=True)
    for name in QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)
