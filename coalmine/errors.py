"""Every error coalmine raises on purpose.

    CoalmineError
    ├── ConfigError      the author of a rollout file or of the settings must act
    ├── MessageError     the producer of a record must act
    │   └── DecodeError  a request could not be read or does not fit the model
    ├── CommandError     the operator must act: a command that cannot be sent
    ├── ModelError       the owner of the model must act
    │   └── Refused      a model package that must never serve: wrong digest or golden rows
    └── BrokerError      operations must act
        └── DeliveryError  the broker did not confirm a record in time

The branches say who must act. Every message names the place, what was found, and the next step.
"""

__all__ = [
    "BrokerError",
    "CoalmineError",
    "CommandError",
    "ConfigError",
    "DecodeError",
    "DeliveryError",
    "MessageError",
    "ModelError",
    "Refused",
]


class CoalmineError(Exception):
    """The base of all errors that coalmine raises on purpose."""


class ConfigError(CoalmineError):
    """Raised when a rollout file or the settings cannot be used as written."""


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
