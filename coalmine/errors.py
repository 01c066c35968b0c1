"""Every error coalmine raises on purpose.

    CoalmineError
    ├── ConfigError      the author of a rollout file or of the settings must act
    │   └── RolloutFileError  a rollout file with all its problems and where they stand
    ├── MessageError     the producer of a record must act
    │   └── DecodeError  a request could not be read or does not fit the model
    ├── CommandError     the operator must act: a command that cannot be sent
    ├── ModelError       the owner of the model must act
    │   └── Refused      a model package that must never serve: wrong digest or golden rows
    └── BrokerError      operations must act
        └── DeliveryError  the broker did not confirm a record in time

The branches say who must act. Every message names the place, what was found, and the next step.
"""

from collections.abc import Sequence
from dataclasses import dataclass

__all__ = [
    "BrokerError",
    "CoalmineError",
    "CommandError",
    "ConfigError",
    "DecodeError",
    "DeliveryError",
    "MessageError",
    "ModelError",
    "Problem",
    "Refused",
    "RolloutFileError",
]


class CoalmineError(Exception):
    """The base of all errors that coalmine raises on purpose."""


class ConfigError(CoalmineError):
    """Raised when a rollout file or the settings cannot be used as written."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong in a file: where (line and column count from 1), in which key, what and what to write.

    `source` is the text of the line, empty when the place is no line of the file. `severity` is error, or warning for
    what is allowed and will surprise.
    """

    file: str
    line: int
    column: int
    path: str
    message: str
    source: str = ""
    severity: str = "error"

    def __str__(self) -> str:
        """Return `file:line:col: path: message`, then the line with a caret under the place."""
        head = f"{self.file}:{self.line}:{self.column}: " + ("warning: " if self.severity == "warning" else "")
        head += f"{self.path}: " if self.path else ""
        if not self.source:
            return head + self.message
        gutter = f"{self.line:5} | "
        return f"{head}{self.message}\n{gutter}{self.source}\n{'':5} | {' ' * (self.column - 1)}^"


class RolloutFileError(ConfigError):
    """Raised when a rollout file cannot be used as written; `problems` holds all of them, in order of place."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = tuple(problems)


class MessageError(CoalmineError):
    """Raised when a record of a topic cannot be used.

    Parameters
    ----------
    code
        One of the closed list of request codes (`streams.messages.RequestCode`).
    message
        One sentence for the producer: the field, what was found, what is expected. Never a value.
    stage
        Where the record failed: decode, validate, route, predict or publish.
    """

    def __init__(self, code: str, message: str, stage: str = "decode") -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.stage = stage


class DecodeError(MessageError):
    """Raised when the bytes of a record are not a message of the expected kind."""


class CommandError(CoalmineError):
    """Raised when an operator asks for something that cannot be sent or did not happen."""


class ModelError(CoalmineError):
    """Raised when a model package cannot be loaded on this machine right now."""


class Refused(ModelError):
    """Raised when a model package must never serve: its digest or its golden rows do not hold."""


class BrokerError(CoalmineError):
    """Raised when Kafka cannot be reached or a topic is not as it must be."""


class DeliveryError(BrokerError):
    """Raised when the broker did not confirm a record within the delivery timeout."""
