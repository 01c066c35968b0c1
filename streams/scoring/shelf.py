"""The models of one rollout on one worker: what is wanted, what is loaded, and what to report of it.

Loading takes seconds, so it runs in a thread of its own; scoring goes on with what is there. A refused package is
not tried again in the same attempt; one that could not be reached is, because a store may come back.
"""

import logging
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from coalmine.errors import ModelError, Refused
from coalmine.models import Model, load
from coalmine.policies import ModelRef

from ..wire.messages import LoadedModel

__all__ = ["Shelf"]

RETRY_SECONDS = 5.0
"""Pause before an unreachable package is tried again: short against the default load timeout of two minutes."""

log = logging.getLogger(__name__)

Place = tuple[str, str]
"""Address and digest of a package."""


def place(ref: ModelRef) -> Place:
    """Return what makes two references the same package."""
    return ref.uri, ref.digest


class Shelf:
    """Loads the models a rollout needs and keeps them while they may come back.

    Parameters
    ----------
    root
        Folder that relative model addresses start from.
    on_change
        Called in the loader's thread after every load that ended, well or not.
    """

    def __init__(self, root: Path, on_change: Callable[[], None]) -> None:
        self.root = root
        self.on_change = on_change
        self.wanted: dict[str, ModelRef] = {}
        self.models: dict[Place, Model] = {}
        self.failures: dict[Place, ModelError] = {}
        self.retry_at: dict[Place, float] = {}
        self.loading: set[Place] = set()
        self.loader = ThreadPoolExecutor(1, thread_name_prefix="model-loader")

    def get(self, ref: ModelRef | None) -> Model | None:
        """Return the loaded model of `ref`, None while it is not there."""
        return None if ref is None else self.models.get(place(ref))

    def load_now(self, ref: ModelRef) -> Model:
        """Return the model of `ref`, loading it here and now; raise ModelError if it cannot serve."""
        if (model := self.get(ref)) is None:
            model = self.models[place(ref)] = load(ref.uri, ref.digest, self.root)
        return model

    def want(self, refs: Mapping[str, ModelRef], now: float) -> None:
        """Begin to load what is wanted (role to reference) and not there; `now` is a monotonic time in seconds.

        What is not wanted any more is let go; whoever still serves with it has it.
        """
        self.wanted = dict(refs)
        places = {place(ref) for ref in refs.values()}
        for spot in [spot for spot in self.models if spot not in places]:
            del self.models[spot]
        for ref in refs.values():
            spot = place(ref)
            if spot in self.models or spot in self.loading or not self.may_try(spot, now):
                continue
            self.loading.add(spot)
            self.loader.submit(self.fetch, spot, now)

    def begin_attempt(self, canary: ModelRef | None) -> None:
        """Try again what failed, and read a canary that is not pinned by its content anew: both may be mended now."""
        self.failures.clear()
        if canary is not None and not canary.digest:
            self.models.pop(place(canary), None)

    def may_try(self, spot: Place, now: float) -> bool:
        """Tell whether a package that failed before may be tried (again)."""
        failure = self.failures.get(spot)
        return failure is None or (not isinstance(failure, Refused) and now >= self.retry_at[spot])

    def fetch(self, spot: Place, now: float) -> None:
        """Load one package in the loader's thread and note how it ended."""
        try:
            self.models[spot] = load(*spot, self.root)
            self.failures.pop(spot, None)
        except ModelError as error:
            self.retry_at[spot] = now + RETRY_SECONDS
            self.failures[spot] = error
        except Exception as error:  # a bug of ours must be seen, not die with the thread
            log.exception("loading %s failed", spot[0])
            self.retry_at[spot] = now + RETRY_SECONDS
            self.failures[spot] = ModelError(f"loading failed with {type(error).__name__}; see the log of the worker")
        finally:
            self.loading.discard(spot)
            self.on_change()

    def report(self) -> list[LoadedModel]:
        """Return the wanted models as heartbeats show them."""
        return [self.status(role, ref) for role, ref in self.wanted.items()]

    def status(self, role: str, ref: ModelRef) -> LoadedModel:
        """Return how it stands with one model."""
        spot = place(ref)
        if (model := self.models.get(spot)) is not None:
            return LoadedModel(role=role, uri=ref.uri, digest=model.digest, status="ready")
        failure = self.failures.get(spot)
        if failure is None:
            return LoadedModel(role=role, uri=ref.uri, digest=ref.digest, status="loading")
        status = "refused" if isinstance(failure, Refused) else "unavailable"
        return LoadedModel(role=role, uri=ref.uri, digest=ref.digest, status=status, reason=str(failure))
