"""A rival: a Faust agent as the documentation shows it, one event at a time, with Faust's own settings.

It makes the same two records a request as the other runners. `python -m bench.plain_faust JOB` runs until SIGTERM.
"""

import sys
import tempfile
import time

import faust

from .job import Job, read_job
from .rivals import Models, decode, records

__all__ = ["main", "make_app"]


def make_app(job: Job) -> faust.App:
    """Return the app with its one agent."""
    app = faust.App(
        job.group,
        datadir=tempfile.mkdtemp(prefix="coalmine-bench-faust-"),
        broker=f"kafka://{job.bootstrap}",
        web_enabled=False,
        topic_disable_leader=True,
        topic_allow_declare=False,
        value_serializer="raw",
        key_serializer="raw",
        autodiscover=False,
    )
    models = Models(job)
    requests = app.topic(job.requests)
    predictions, outcomes = app.topic(job.predictions), app.topic(job.outcomes)

    @app.agent(requests)  # type: ignore[untyped-decorator]
    async def score(stream: faust.StreamT[bytes]) -> None:
        async for event in stream.events():
            started = time.perf_counter()
            message = event.message
            request = decode(event.value)
            src = f"{message.topic}/{message.partition}@{message.offset}"
            [(prediction, outcome)] = records([request], [src], models, job.weight, started)
            await predictions.send(key=request.key.encode(), value=prediction, partition=message.partition)
            await outcomes.send(key=request.id.encode(), value=outcome)

    return app


def main() -> None:
    """Score until SIGTERM."""
    app = make_app(read_job())
    sys.argv[1:] = ["worker", "--loglevel=WARN", "--without-web"]
    app.main()


if __name__ == "__main__":
    main()
