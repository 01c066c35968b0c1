"""The rollout file: units, positions, defaults, and every error at once."""

from contextlib import suppress
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coalmine.errors import ConfigError, RolloutFileError
from coalmine.policies import (
    Analysis,
    Bake,
    By,
    Check,
    Clock,
    Day,
    Metric,
    ModelRef,
    OnInsufficient,
    OnSuccess,
    Plan,
    Role,
    Routing,
    Rule,
    Step,
    Topics,
    Variant,
    Window,
)
from coalmine.rollout_file import load, parse, warnings, write
from coalmine.rollout_file.units import duration_ms, format_duration, percent, points

HEAD = "apiVersion: coalmine.dev/v1\nkind: Rollout\nname: flights\n"
SMALLEST = HEAD + "stable: {uri: flights/1}\n"


def errors_of(text: str) -> list[str]:
    """Return the first line of each problem of a file called f.yaml."""
    with pytest.raises(RolloutFileError) as caught:
        parse(text, "f.yaml")
    return [str(problem).splitlines()[0] for problem in caught.value.problems]


def test_the_smallest_file_has_the_documented_defaults() -> None:
    plan = parse(SMALLEST, "f.yaml")

    assert [(step.weight, step.margin_factor) for step in plan.steps] == [
        (1, 4), (5, 3), (10, 2), (25, 1.5), (50, 1),
    ]  # fmt: skip
    assert {(step.hold_ms, step.samples) for step in plan.steps} == {(600_000, 100)}
    assert plan.topics == Topics.of("flights")
    assert plan.analysis.deadline_ms == 86_400_000
    assert plan.analysis.checks == (
        Check(name="errors", metric=Metric.ERROR_RATE, margin=0.005),
        Check(name="slow", metric=Metric.SLOW_RATE, margin=0.02, tolerance=0.01, slower_than_ms=50.0),
    )
    assert (plan.canary_timeout_ms, plan.load_timeout_ms, plan.breaker) == (250, 120_000, True)


FULL = """
description: late-arrival score
topics: {requests: trips, dead_letters: trips.rubbish}
stable: {uri: flights/1}
canary: {uri: flights/2, digest: "sha256:%s"}
routing:
  by: random
  key: tail
  deny: [N14228]
  allow: [N1, N2]
  rules: [{when: {segment.carrier: HA}, variant: stable}]
  only: {segment.origin: [JFK, LGA]}
steps:
  - {weight: 0.1%%, hold: 1h30m, samples: 7, margin_factor: 3}
  - {weight: 50%%, hold: 0s, approval: true}
bake: {hold: 24h, holdback: 2.5%%}
on_success: approval
windows: [{days: mon-fri, from: 09:00, to: "17:30", zone: Europe/Berlin}, {days: [sat, mon], zone: UTC}]
analysis:
  every: 1s
  clock: event
  alpha: 0.01
  deadline: 7d
  on_insufficient: pause
  freshness: 90s
  checks:
    errors: {metric: error_rate, margin: 1pp, limit: 5%%, dry_run: true}
    slow:   {metric: slow_rate, slower_than: 5ms, margin: 3pp, tolerance: 2pp, role: signal}
canary_timeout: 1s
load_timeout: 30s
deadline: 2s
breaker: off
""" % ("a" * 64)


def test_every_key_of_the_file_arrives_in_the_plan() -> None:
    plan = parse(HEAD + FULL, "f.yaml")

    assert plan == Plan(
        name="flights",
        description="late-arrival score",
        topics=Topics(
            requests="trips",
            predictions="flights.predictions",
            outcomes="flights.outcomes",
            feedback="flights.feedback",
            labels="flights.labels",
            dead_letters="trips.rubbish",
        ),
        stable=ModelRef(uri="flights/1"),
        canary=ModelRef(uri="flights/2", digest="sha256:" + "a" * 64),
        routing=Routing(
            by=By.RANDOM,
            key="tail",
            deny=("N14228",),
            allow=("N1", "N2"),
            rules=(Rule(field="segment.carrier", values=("HA",), variant=Variant.STABLE),),
            only={"segment.origin": ("JFK", "LGA")},
        ),
        steps=(
            Step(weight=0.1, hold_ms=5_400_000, samples=7, margin_factor=3),
            Step(weight=50, hold_ms=0, samples=100, approval=True),
        ),
        bake=Bake(hold_ms=86_400_000, holdback=2.5),
        on_success=OnSuccess.APPROVAL,
        windows=(
            Window(
                days=(Day.MON, Day.TUE, Day.WED, Day.THU, Day.FRI),
                opens_minute=540,
                closes_minute=1_050,
                zone="Europe/Berlin",
            ),
            Window(days=(Day.MON, Day.SAT), opens_minute=0, closes_minute=1_440, zone="UTC"),
        ),
        analysis=Analysis(
            every_ms=1_000,
            clock=Clock.EVENT,
            alpha=0.01,
            deadline_ms=604_800_000,
            on_insufficient=OnInsufficient.PAUSE,
            freshness_ms=90_000,
            checks=(
                Check(name="errors", metric=Metric.ERROR_RATE, margin=0.01, limit=0.05, dry_run=True),
                Check(
                    name="slow",
                    metric=Metric.SLOW_RATE,
                    margin=0.03,
                    tolerance=0.02,
                    role=Role.SIGNAL,
                    slower_than_ms=5.0,
                ),
            ),
        ),
        canary_timeout_ms=1_000,
        load_timeout_ms=30_000,
        request_deadline_ms=2_000,
        breaker=False,
    )


@pytest.mark.parametrize(
    "text", [SMALLEST, HEAD + FULL, *(f"{SMALLEST}steps: {name}\n" for name in ("cautious", "fast", "quarter"))]
)
def test_a_plan_written_out_is_read_back_as_the_same_plan(text: str) -> None:
    plan = parse(text, "f.yaml")

    assert parse(write(plan), "again.yaml") == plan


@pytest.mark.parametrize("key", ["id", "key", "user_id", "segment.region", "feature.origin"])
def test_the_routing_key_may_be_the_id_or_a_field_of_its_own(key: str) -> None:
    plan = parse(f"{SMALLEST}routing: {{key: {key}}}\n", "f")

    assert plan.routing.key == key


def test_every_preset_ends_at_the_declared_margin() -> None:
    ends = [parse(f"{SMALLEST}steps: {name}\n", "f").steps[-1] for name in ("default", "cautious", "fast", "quarter")]

    assert {step.margin_factor for step in ends} == {1.0}


BAD_VALUES = [
    # a line of the file, and the whole message for it
    ("steps: [{weight: 10}]", "4:18: steps[0].weight: 10 is not a percentage; write 10%"),
    ("steps: [{weight: ten}]", "4:18: steps[0].weight: ten is not a percentage; write 25%"),
    ("steps: [{weight: 0%}]", "4:18: steps[0].weight: a weight is above 0% and has at most 4 decimals"),
    ("steps: [{weight: 0.00001%}]", "4:18: steps[0].weight: a weight is above 0% and has at most 4 decimals"),
    (
        "steps: [{weight: 100%}]",
        "4:18: steps[0].weight: at 100% nothing is left to compare with; "
        "end below it, promotion follows the last step",
    ),
    ("steps: [{weight: 1%, hold: 10}]", "4:28: steps[0].hold: 10 is not a duration; write 10m"),
    ("steps: [{weight: 1%, hold: 0.5ms}]", "4:28: steps[0].hold: 0.5ms is finer than a millisecond; "
     "write whole milliseconds"),
    ("steps: [{weight: 1%, samples: 0}]", "4:31: steps[0].samples: 0: input should be greater than or equal to 1"),
    ("steps: [{weight: 1%, samples: 1.5}]", "4:31: steps[0].samples: 1.5 is not a whole number"),
    ("steps: [{weight: 1%, hold: 400d}]", "4:28: steps[0].hold: it is longer than a year (366d); write a shorter one"),
    *[
        (f"routing: {{key: {name}}}", f"4:16: routing.key: {name} means something else in a request and cannot hold "
         "a key; write id, segment.NAME, feature.NAME or a field of its own")
        for name in ("ts", "meta", "v", "segment", "features", "specversion", "data")
    ],
    ("canary_timeout: 2h", "4:17: canary_timeout: no call may take longer than an hour; write for example 250ms"),
    ("steps: [{weight: 1%, approval: yes}]", "4:32: steps[0].approval: yes is not true or false"),
    ("steps: [{weight: 5%}, {weight: 5%}]", "4:8: steps: weights must rise, but 5% follows 5%"),
    ("steps: []", "4:8: steps: an empty list or mapping says nothing; write a value or remove the key"),
    ("steps:", "4:1: steps: nothing is written here; write a value or remove the key"),
    ("steps: fats", "4:8: steps: fats is not one of default, cautious, fast, quarter; did you mean fast? "
     "(or write a list of steps)"),
    ("steps: all-at-once", "4:8: steps: all-at-once needs shadow, which is not supported in this version; "
     "use fast"),
    ("analysis: {alpha: 2}", "4:19: analysis.alpha: 2: input should be less than or equal to 0.5"),
    ("analysis: {alpha: 1e400}", "4:19: analysis.alpha: inf is not a finite number"),
    ("analysis: {evry: 10s}", "4:12: analysis.evry: unknown key; did you mean every?"),
    ("analysis: {every: 0s}", "4:19: analysis.every: it must be longer than 0; write for example 10s"),
    ("analysis: {clock: wal}", "4:19: analysis.clock: wal is not one of wall, event; did you mean wall?"),
    ("analysis: {on_insufficient: promote}",
     "4:29: analysis.on_insufficient: promote is not one of hold, pause, rollback"),
    ("analysis: {checks: {e: {metric: eror_rate}}}",
     "4:33: analysis.checks.e.metric: eror_rate is not one of error_rate, slow_rate, mean, accuracy, miss_rate, "
     "false_alarm_rate, brier, log_loss, absolute_error, squared_error, prediction_drift, error_code, "
     "fallback_rate, feature_drift; did you mean error_rate? (or write metrics/cost.py:Cost for an own one)"),
    ("analysis: {checks: {e: {metric: error_rate, margin: 0.5%}}}",
     "4:53: analysis.checks.e.margin: 0.5% is not in percentage points; write 0.5pp"),
    ("analysis: {checks: {e: {metric: error_rate, tolerance: 1pp}}}",
     "4:56: analysis.checks.e.tolerance: the tolerance must not exceed the margin; lower it or raise the margin"),
    ("analysis: {checks: {e: {metric: error_rate, limit: 0.05}}}",
     "4:52: analysis.checks.e.limit: 0.05 is not a percentage; write 5% or 0.05%"),
    ("analysis: {checks: {e: {metric: error_rate, slower_than: 5ms}}}",
     "4:58: analysis.checks.e.slower_than: only metric slow_rate has a threshold; remove it"),
    ("analysis: {checks: {e: {metric: error_rate, labels: {window: 6h}}}}",
     "4:45: analysis.checks.e.labels: labels is not supported in this version; remove it"),
    ("analysis: {checks: {E!: {metric: error_rate}}}",
     "4:21: analysis.checks.E!: E! is not a name (a-z, 0-9 and -, at most 40)"),
    ("shadow: {weight: 10%}", "4:1: shadow: shadow is not supported in this version; remove it"),
    ("notify: []", "4:1: notify: notify is not supported in this version; remove it"),
    ("zzz: 1", "4:1: zzz: unknown key; known here: apiVersion, kind, name, description, topics, stable, canary, "
     "routing, steps, bake, on_success, windows, analysis, canary_timeout, load_timeout, deadline, breaker"),
    ("name: other", "4:1: name: this key stands here twice; keep one"),
    ("description: 1", "4:14: description: 1 is not text; put it in quotes"),
    ("routing: {deny: [1]}", "4:18: routing.deny[0]: 1 is not text; put it in quotes"),
    ("routing: {rules: [{when: {carrier: HA}, variant: stable}]}",
     "4:27: routing.rules[0].when.carrier: carrier is not a field of a row; "
     "write segment.NAME or feature.NAME"),
    ("topics: {requests: __consumer_offsets}",
     "4:20: topics.requests: __consumer_offsets is reserved or mixes . and _; use dots only"),
    ("topics: {requests: x, feedback: x}",
     "4:9: topics: x would be two topics at once; give each its own name"),
    ("canary: {uri: flights/2, digest: abc}",
     "4:34: canary.digest: abc is not a digest; write sha256: and 64 hex digits"),
    ("canary: {uri: 's3://${BUCKET}/2'}",
     "4:15: canary.uri: the environment has no BUCKET; set it or write the address out"),
    ("canary: flights/2", "4:9: canary: flights/2 is not a mapping; write {KEY: VALUE}"),
    ("breaker: true", "4:10: breaker: true is not one of on, off"),
    ("<<: {}", "4:1: <<: unknown key; known here: apiVersion, kind, name, description, topics, stable, canary, "
     "routing, steps, bake, on_success, windows, analysis, canary_timeout, load_timeout, deadline, breaker"),
]  # fmt: skip


@pytest.mark.parametrize(("line", "message"), BAD_VALUES, ids=[line for line, _ in BAD_VALUES])
def test_a_bad_value_is_refused_with_its_place_and_what_to_write(line: str, message: str) -> None:
    text = f"{HEAD}{line}\nstable: {{uri: flights/1}}\n"

    assert errors_of(text) == [f"f.yaml:{message}"]


BAD_FILES = [
    ("", "f.yaml:1:1: the file is empty; begin with apiVersion: coalmine.dev/v1, kind: Rollout, name: my-rollout, "
     "stable: {uri: my-model/1}"),
    ("just words", "f.yaml:1:1: just words is not a mapping; write {KEY: VALUE}"),
    ("a: [1, 2\nb: 3\n", "f.yaml:2:2: not valid YAML: expected ',' or ']', but got ':'"),
    ("a: 1\n---\nb: 2\n", "f.yaml:2:1: not valid YAML: but found another document"),
    ("a: !!python/object:os.system x", "f.yaml:1:4: tags such as tag:yaml.org,2002:python/object:os.system "
     "are refused; remove it"),
    ("[1]: 2", "f.yaml:1:1: a key must be a word"),
    ("a: &x [*x]", "f.yaml:1:4: with its aliases the file has over 20000 values or 20 levels"),
    ("a: " + "[" * 5000, "f.yaml:1:23: the file has over 20 levels; write it plainly"),
    ("a: &a 1\nb: [" + "*a ," * 21 + "]", "f.yaml:2:85: the file has more than 20 aliases; write it plainly"),
    ("a: '" + "x" * 300_000 + "'", "f.yaml:1:1: the file is larger than 256000 bytes"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "message"), BAD_FILES, ids=[text[:20] for text, _ in BAD_FILES])
def test_a_text_that_is_no_harmless_yaml_is_refused(text: str, message: str) -> None:
    assert errors_of(text) == [message]


def test_aliases_that_multiply_are_refused_before_they_fill_the_memory() -> None:
    leaf = "a0: &a0 [" + "x, " * 300 + "]"
    layers = [f"a{n}: &a{n} [{f'*a{n - 1}, ' * 10}]" for n in (1, 2)]

    [message] = errors_of("\n".join([leaf, *layers]))

    assert message == "f.yaml:1:382: with its aliases the file has over 20000 values or 20 levels"


def test_all_errors_come_at_once_in_the_order_of_the_file() -> None:
    text = "kind: Rolout\nname: X\nsteps:\n  - {weight: 10, hold: 5}\n  - {wieght: 20%}\nname: y\n"

    assert errors_of(text) == [
        "f.yaml:1:1: apiVersion: missing; write apiVersion: coalmine.dev/v1",
        "f.yaml:1:1: stable: missing; write stable: {uri: my-model/1}",
        "f.yaml:1:7: kind: Rolout is not one of Rollout; did you mean Rollout?",
        "f.yaml:2:7: name: X is not a name (a-z, 0-9 and -, at most 40)",
        "f.yaml:4:14: steps[0].weight: 10 is not a percentage; write 10%",
        "f.yaml:4:24: steps[0].hold: 5 is not a duration; write 5m",
        "f.yaml:5:5: steps[1].weight: missing; write weight: 10%",
        "f.yaml:5:6: steps[1].wieght: unknown key; did you mean weight?",
        "f.yaml:6:1: name: this key stands here twice; keep one",
    ]


def test_a_problem_shows_its_line_with_a_caret() -> None:
    with pytest.raises(RolloutFileError) as caught:
        parse(SMALLEST + "breaker: maybe\n", "f.yaml")

    assert str(caught.value) == (
        "f.yaml:5:10: breaker: maybe is not one of on, off\n"
        "    5 | breaker: maybe\n"
        "      |          ^"
    )  # fmt: skip


def test_words_that_older_yaml_takes_for_booleans_stay_words() -> None:
    plan = parse(SMALLEST + "routing: {deny: [on, no, 12:30, 1_000]}\n", "f.yaml")

    assert plan.routing.deny == ("on", "no", "12:30", "1_000")


def test_the_address_of_a_model_may_come_from_the_environment() -> None:
    plan = parse(SMALLEST + "canary: {uri: 's3://${BUCKET}/2'}\n", "f.yaml", {"BUCKET": "shop"})

    assert plan.canary == ModelRef(uri="s3://shop/2")


def test_load_names_a_file_by_the_digest_of_its_bytes(tmp_path: Path) -> None:
    path = tmp_path / "f.yaml"
    path.write_text(SMALLEST)

    plan, digest = load(path)

    assert plan.name == "flights"
    assert digest == "sha256:" + sha256(SMALLEST.encode()).hexdigest()


def test_a_file_that_cannot_be_read_says_why(tmp_path: Path) -> None:
    latin = tmp_path / "latin.yaml"
    latin.write_bytes(b"description: caf\xe9")

    with pytest.raises(ConfigError, match="cannot be read: No such file"):
        load(tmp_path / "absent.yaml")
    with pytest.raises(ConfigError, match="not UTF-8 at byte 16"):
        load(latin)


def test_a_deadline_before_the_holds_are_over_is_a_warning() -> None:
    plan = parse(SMALLEST + "analysis: {deadline: 30m}\n", "f.yaml")

    assert warnings(plan) == [
        "analysis.deadline: 30m is over before the holds of the steps (50m); raise it or shorten the holds"
    ]
    assert warnings(parse(SMALLEST, "f.yaml")) == []


@given(st.integers(min_value=0, max_value=10**12))
def test_a_duration_is_read_back_as_it_was_written(ms: int) -> None:
    assert duration_ms(format_duration(ms)) == ms


@pytest.mark.parametrize(("written", "value"), [("5%", 5.0), ("0.1 %", 0.1), ("25%", 25.0), ("0.0001%", 0.0001)])
def test_a_percentage_is_the_number_before_its_sign(written: str, value: float) -> None:
    assert percent(written) == value


def test_percentage_points_are_exact_decimal_fractions() -> None:
    assert (points("0.5pp"), points("2 pp"), points("0pp")) == (0.005, 0.02, 0.0)


@given(st.text(max_size=60))
def test_nothing_but_our_own_error_comes_out_of_any_text(text: str) -> None:
    with suppress(RolloutFileError):
        parse(text, "f.yaml")


ROOT = Path(__file__).parent.parent


@pytest.mark.parametrize("path", sorted((ROOT / "examples").glob("*.yaml")), ids=lambda path: path.name)
def test_the_examples_are_valid_files(path: Path) -> None:
    plan, _ = load(path)

    assert warnings(plan) == []
