"""`coalmine run`: the processes of workers. One role and one rollout run in this process, more in children of it.

A child that ends on its own ends all the others with its exit code: a supervisor above starts the whole again, and no
part stays up alone and silent. The codes are those of a worker, also where a child left none of its own.
"""

import multiprocessing
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from multiprocessing.connection import wait
from multiprocessing.context import SpawnProcess
from types import FrameType

from coalmine.policies import Plan

from .logs import configure_logging
from .settings import Settings
from .streams.exits import BAD_CONFIG, FAULT, STOPPED, TOO_SLOW, UNREACHABLE

__all__ = ["run"]

STOP_SECONDS = 15.0
"""How long children may take to stop; their own last net is shorter."""


@dataclass(frozen=True, slots=True)
class Duty:
    """What one process does: its role and rollouts. `number` counts several that score one rollout, None if alone."""

    role: str
    plans: tuple[Plan, ...]
    number: int | None = None

    def kafka(self, given: Mapping[str, str]) -> Mapping[str, str]:
        """Return the settings of this process; members of a group that share a static id evict each other for ever."""
        instance = given.get("group.instance.id")
        if instance is None or self.number is None:
            return given
        return {**given, "group.instance.id": f"{instance}-{self.number}"}


def run(plans: Sequence[Plan], settings: Settings, role: str = "all", processes: int = 1) -> int:
    """Run workers until they are stopped; return one of the exit codes in `streams.exits`.

    `role` is score, analyze or all. Every rollout has `processes` scoring processes; one process analyzes all. Raises
    BrokerError when Kafka does not answer or lets writers of the control topic set its clock.
    """
    if settings.broker == "kafka":
        from coalmine.streams.control.fold import check_append_time
        from coalmine.streams.kafka.client import KafkaSettings
        from coalmine.streams.kafka.topics import NamespaceTopics

        check_append_time(KafkaSettings(settings.kafka), NamespaceTopics(settings.namespace).control)
    duties = duties_of(plans, role, processes)
    if len(duties) == 1:
        perform(duties[0], settings, False)
    return supervise(duties, settings)


def duties_of(plans: Sequence[Plan], role: str, processes: int) -> list[Duty]:
    """Return what each process does."""
    numbers = [None] if processes == 1 else range(1, processes + 1)
    scoring = [Duty("score", (plan,), number) for plan in plans for number in numbers] if role != "analyze" else []
    analyzing = [Duty("analyze", tuple(plans))] if role != "score" else []
    return [*scoring, *analyzing]


def perform(duty: Duty, settings: Settings, is_child: bool) -> None:
    """Do one duty in this process; never returns."""
    from coalmine.streams import worker
    from coalmine.streams.kafka.client import KafkaSettings

    configure_logging()
    plans = duty.plans
    kafka = KafkaSettings(duty.kafka(settings.kafka))
    if is_child:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to the whole group; the parent decides the order
    print(banner(duty, settings), file=sys.stderr, flush=True)
    if duty.role == "score":
        from coalmine.streams.scoring.scoring_worker import ScoringSettings, set_up_scoring

        scoring = ScoringSettings(
            kafka=kafka,
            namespace=settings.namespace,
            model_root=settings.models.root,
            secret=settings.routing.secret.encode(),
        )
        worker.run(lambda: set_up_scoring(plans[0], scoring), watch_parent=is_child)
    else:
        from coalmine.streams.analysis.analyzer import AnalyzerSettings, set_up_analyzer

        worker.step_back()  # on the machine of a scorer: an answer is awaited, a sum is not
        analyzing = AnalyzerSettings(kafka=kafka, namespace=settings.namespace)
        worker.run(lambda: set_up_analyzer(plans, analyzing), watch_parent=is_child)


def banner(duty: Duty, settings: Settings) -> str:
    """Return what this process is about to do, for the person who started it."""
    names = ", ".join(plan.name for plan in duty.plans)
    broker = settings.kafka["bootstrap.servers"]
    lines = [f"coalmine {duty.role}: {names}", f"  kafka       {broker}", f"  namespace   {settings.namespace}"]
    if duty.role == "score":
        (plan,) = duty.plans
        lines += [
            f"  group       {settings.namespace}.{plan.name}.score",
            f"  topics      {plan.topics.requests} -> {plan.topics.predictions}, {plan.topics.outcomes}",
            f"  stable      {plan.stable.uri} (until control names another)",
        ]
    return "\n".join(lines)


def supervise(duties: Sequence[Duty], settings: Settings) -> int:
    """Run each duty in a child; return the code of the one that ended the others, or the worst code of the stop."""
    context = multiprocessing.get_context("spawn")
    children = [context.Process(target=perform, args=(duty, settings, True)) for duty in duties]
    stopping = False

    def stop(_number: int, _frame: FrameType | None) -> None:
        nonlocal stopping
        stopping = True
        terminate(children)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    for child in children:
        child.start()
    if stopping:  # the signal came before there was a child to pass it on to
        terminate(children)
    wait([child.sentinel for child in children])
    code = 0 if stopping else next((code_of(c.exitcode) for c in children if not c.is_alive()), 0)
    terminate(children)
    codes = [code_of_stop(child) for child in children]
    return code or max(codes)


def code_of_stop(child: SpawnProcess) -> int:
    """Wait until a child that was asked to stop has ended, by force if need be; return the exit code to report of it.

    One that the request itself ended had not begun to listen: it had nothing to stop.
    """
    child.join(STOP_SECONDS)
    if child.is_alive():
        child.kill()
        child.join()
        return TOO_SLOW
    return 0 if child.exitcode == -signal.SIGTERM else code_of(child.exitcode)


def code_of(exitcode: int | None) -> int:
    """Return the exit code to report of a child that ended by itself; one that left no code of a worker had a fault."""
    return exitcode if exitcode in (STOPPED, BAD_CONFIG, UNREACHABLE, TOO_SLOW) else FAULT


def terminate(children: Sequence[SpawnProcess]) -> None:
    """Ask every child that still runs to stop in order."""
    for child in children:
        if child.pid is not None and child.is_alive():
            os.kill(child.pid, signal.SIGTERM)
