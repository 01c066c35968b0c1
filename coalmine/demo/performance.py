"""A canary release from start to verdict on real flights, in one command: what `coalmine demo` runs.

The play asks nothing of the processes but what any user could: it sends requests, publishes `start` as an operator
would, and watches topics. Everything else is the product.
"""

import queue
import signal
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import partial

from rich.console import Console

from coalmine.cli.exits import Exit
from coalmine.errors import CoalmineError, ConfigError
from coalmine.policies import At, ModelRef, Phase, Plan, Start
from coalmine.settings import load_settings
from coalmine.streams.kafka.feed import Feed, Record
from coalmine.streams.kafka.watch import Watch
from coalmine.streams.operator import Operator

from .flights import STREAM_START, Flights, departures
from .flights import load as load_flights
from .scenario import Scenario, scenario_named
from .screen import Lines, LiveView, Screen
from .stage import Stage, stage
from .story import Story
from .summary import Ending, summary
from .traffic import request_of

__all__ = ["EMBEDDED_RATE", "RATE", "Performance", "perform", "play_out"]

RATE = 500.0
"""Requests a second at normal speed: half a day of departures."""

EMBEDDED_RATE = 1_000.0
"""Requests a second that the embedded broker bears: above it forgets records before slow readers have seen them."""

HISTORY = 1_200
"""Answers of stable before the canary is asked for; a rollout needs 1,000 to know what is normal."""

READY_SECONDS = 60.0
"""Limit for the start of worker and analyzer; it takes 2.5 s, and 35 s on two cores with a load of 13."""

DECISION_SECONDS = 78.0
"""The verdict must be there by then, counted from the start of the command."""

AFTER_SECONDS = 2.0
"""How long traffic goes on after the verdict, so that one sees who answers now."""

LAST_ANSWERS_SECONDS = 8.0
"""Limit for the answers to the last requests."""

STRAY_SECONDS = 0.3
"""How long a second answer to some request is waited for."""

WIDE = 110
"""Columns where there is no terminal."""

ScreenFor = Callable[[Plan, Story, Callable[[], int]], Screen]
"""Makes the screen of a play from its plan, its story, and the count of requests sent so far."""


def perform(name: str, speed: float, bootstrap: str | None) -> int:
    """Play a scenario and return the exit code: 0 when it ended as written and every request was answered once.

    With `bootstrap` it is played on that Kafka, with this process's settings for its security. Raises ConfigError for
    an unknown scenario and a speed the embedded broker cannot bear, BrokerError without a broker, CoalmineError when a
    process of the play ended by itself, and KeyboardInterrupt, after everything was stopped.
    """
    scenario, rate = scenario_named(name), RATE * speed
    if bootstrap is None and rate > EMBEDDED_RATE:
        highest = EMBEDDED_RATE / RATE
        raise ConfigError(f"the embedded broker bears speed {highest:g}; for more name a Kafka by --bootstrap-server")
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    console = Console(width=None if Console().is_terminal else WIDE)

    def screen_for(plan: Plan, story: Story, asked: Callable[[], int]) -> Screen:
        return LiveView(console, scenario, story, plan, asked) if console.is_terminal else Lines(console, story)

    ending = play_out(scenario, rate, bootstrap, screen_for)
    console.print(summary(ending), highlight=False)
    if ending.story.phase not in (Phase.PROMOTED, Phase.ROLLED_BACK):
        return Exit.TIMED_OUT
    return Exit.DONE if ending.as_written and ending.exactly_once else Exit.FAILED


def play_out(scenario: Scenario, rate: float, bootstrap: str | None, screen_for: ScreenFor) -> Ending:
    """Play a scenario at `rate` requests a second from the first to the last request and return how it ended."""
    settings = load_settings(kafka={"bootstrap.servers": bootstrap}) if bootstrap else None
    began, began_ms = time.monotonic(), round(time.time() * 1000)
    with stage(scenario.file, settings) as set_up:
        story = Story(set_up.plan.name, set_up.namespace, set_up.plan.topics)
        performance = Performance(set_up, story, rate, began)
        with screen_for(set_up.plan, story, lambda: len(performance.asked)) as screen:
            performance.run(screen)
    return Ending(
        scenario=scenario, story=story, asked=frozenset(performance.asked), began_ms=began_ms, bootstrap=bootstrap or ""
    )


class Performance:
    """One run of a play on a stage that is set; all records are folded in the thread that calls `run`."""

    def __init__(self, stage: Stage, story: Story, rate: float, began: float) -> None:
        self.asked: set[str] = set()
        self._stage = stage
        self._story = story
        self._began = began
        self._records: queue.SimpleQueue[tuple[str, At, bytes]] = queue.SimpleQueue()
        self._watch = Watch(stage.kafka, story.watched, lambda *record: self._records.put(record))
        self._feed = Feed(stage.kafka, stage.plan.topics.requests, rate, self.asked.add)
        self._enough = threading.Event()
        self._feed_error: Exception | None = None
        self._feeding = threading.Thread(target=self._send, args=(load_flights(),), name="feed", daemon=True)

    def run(self, screen: Screen) -> None:
        """Play: wait for the worker, send requests, start the canary, await the verdict and the last answers."""
        self._watch.start()
        try:
            self._play(partial(self._until, screen))
        finally:
            self._enough.set()
            self._watch.stop()

    def _play(self, wait: Callable[[Callable[[], bool], float, str], None]) -> None:
        wait(lambda: self._story.is_served, READY_SECONDS, "starting a worker and an analyzer")
        if not self._story.is_served:
            raise CoalmineError(f"not ready within {READY_SECONDS:.0f} s; {self._stage.logs()}")
        self._feeding.start()
        wait(self._has_history, DECISION_SECONDS, "stable answers; the canary waits for its history")
        if (canary := self._stage.canary()) is not None:
            self._start(canary)
        wait(self._is_decided, DECISION_SECONDS, "the analyzer compares the canary with stable")
        wait(lambda: False, self._seconds() + AFTER_SECONDS, "the verdict is there; traffic goes on for a moment")
        self._enough.set()
        self._feeding.join()
        wait(self._all_answered, self._seconds() + LAST_ANSWERS_SECONDS, "waiting for the last answers")
        wait(lambda: False, self._seconds() + STRAY_SECONDS, "waiting for the last answers")

    def _send(self, flights: Flights) -> None:
        try:
            self._feed.run(self._departing(flights.between(STREAM_START)), self._enough)
        except CoalmineError as error:
            self._feed_error = error

    def _departing(self, flights: Flights) -> Iterator[Record]:
        for departure in departures(flights):
            self._story.departed_ms = departure.ts
            yield request_of(departure)

    def _start(self, canary: ModelRef) -> None:
        """Publish `start` as an operator would."""
        command = Start(
            rollout=self._story.rollout, command_id=str(uuid.uuid4()), issued_by="operator:demo", canary=canary,
            file=self._stage.plan, file_digest=self._stage.digest, time=datetime.now(UTC),
        )  # fmt: skip
        with Operator(self._stage.kafka, self._stage.namespace.namespace) as operator:
            operator.send(command)

    def _until(self, screen: Screen, fact: Callable[[], bool], deadline: float, doing: str) -> None:
        """Fold records and show them until `fact` holds or `deadline` (seconds of the play) has passed."""
        while True:
            self._stage.check()
            self._watch.check()
            if self._feed_error is not None:
                raise self._feed_error
            self._fold()
            screen.show(self._seconds(), doing)
            if fact() or self._seconds() >= deadline:
                return

    def _fold(self) -> None:
        """Fold what has come in; wait a moment when nothing has."""
        try:
            self._story.take(*self._records.get(timeout=0.05))
            while True:
                self._story.take(*self._records.get_nowait())
        except queue.Empty:
            return

    def _seconds(self) -> float:
        return time.monotonic() - self._began

    def _has_history(self) -> bool:
        return len(self._story.answers.ids) >= HISTORY and self._stage.canary() is not None

    def _is_decided(self) -> bool:
        return self._story.phase in (Phase.PROMOTED, Phase.ROLLED_BACK)

    def _all_answered(self) -> bool:
        return self.asked <= self._story.answers.ids
