"""Write `docs/rollout-file.md` from the classes that read rollout files: `python docs/describe_rollout_file.py`."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from coalmine.policies import FAULT_CODES, Check, Metric
from coalmine.rollout_file.checks import ONLY_OF
from coalmine.rollout_file.differences import format_difference
from coalmine.rollout_file.json_schema import json_schema
from coalmine.rollout_file.presets import CAPS, FEATURE_LIMIT, FIELD, MARGINS, PRESETS, default_tolerance
from coalmine.rollout_file.units import format_number, format_percent

PAGE = Path(__file__).with_name("rollout-file.md")

INTRODUCTION = """\
# The rollout file

Written by `docs/describe_rollout_file.py` from the classes that read the file; do not edit by hand.

One YAML file a rollout, reviewed like code. The smallest one names the rollout and its stable model
([smallest.yaml](../examples/smallest.yaml)); [full.yaml](../examples/full.yaml) has every part.

```
coalmine lint FILE...        every error at once, each with its place; -o github annotates a pull request
coalmine show [--full] FILE  what it means; --full writes every default out, as a file
coalmine diff FILE [OTHER]   what changes between two files, or between what runs and a file
coalmine schema              the JSON Schema, for editors
```

- **Units**: a percentage has its `%`, a difference of rates its `pp` (percentage points), a time its unit (`250ms`,
  `10s`, `30m`, `1h30m`, `7d`). A number without its unit is refused, not guessed. Scores, errors and means are plain
  numbers in a unit of their own.
- **Unknown keys and keys that stand twice are errors**, with the key that was probably meant.
- YAML 1.2 without tags, at most 256 kB, 20 levels and 20 aliases. `${NAME}` in the address of a model is taken from the
  environment of the command that reads the file.
- The plan of an attempt is fixed when it starts: whatever else changes in the file is a new attempt.
- Known to the format and refused by this version: `shadow`, `notify`, `labels`, the preset `all-at-once`, the
  metric `score_drift`.
"""

CHECKS = """\
## Metrics

What a check compares, and in which unit. Evidence from *serving* is there by itself; *labels* are truth that comes
later. This version does not join labels yet: such a file passes `lint`, `show`, `diff`, `estimate` and `simulate`,
while `start` and `run` refuse it.

`prediction_drift` compares the deciles of numeric predictions, or the classes of text ones, as stable had them before
the first step. A new model should predict a little differently, so by default it is a `signal`: a distance shown to be
beyond `tolerance` holds the ramp until it is so no more. As a `guardrail` it rolls back, and promotion needs the
distance shown to be below `margin` (by default twice the tolerance, at least 0.1); with `by: key` it cannot be one,
because rows of sticky keys say less than they seem to and the test is approximate there.

`feature_drift` holds each feature of the requests (a sample of those that are randomised) against the rows the canary
was trained on: their histograms stand in its package (`pack(..., reference=rows)`) and come with `coalmine start`.
A feature is named once its distance is shown to be beyond `limit`, and what few rows of training leave open besides.
That says nothing of the canary, so such a check is `info`, or a `signal`, which holds the ramp until as many requests
like those of training have come as it took to see the difference. `estimate` and `simulate` do not play it.
"""

MEANINGS = {
    Metric.ERROR_RATE: "rows and calls that failed: raised, timed out, answered nonsense",
    Metric.ERROR_CODE: "rows and calls that failed with one `code`",
    Metric.SLOW_RATE: "calls that took longer than `slower_than`",
    Metric.MEAN: "a number that feedback brings, such as revenue",
    Metric.ACCURACY: "rows whose label was another one",
    Metric.MISS_RATE: "positive labels that were not predicted",
    Metric.FALSE_ALARM_RATE: "negative labels that were predicted positive",
    Metric.BRIER: "squared distance of the probability from what happened",
    Metric.LOG_LOSS: "surprise: minus the logarithm of the probability of what happened",
    Metric.ABSOLUTE_ERROR: "distance of the prediction from the label",
    Metric.SQUARED_ERROR: "squared distance of the prediction from the label",
    Metric.OWN: "a loss of 0..1 computed by a class of yours",
    Metric.FALLBACK_RATE: "rows assigned to the canary that stable had to answer, for whatever reason",
    Metric.FEATURE_DRIFT: "total variation between a feature of the requests and the rows the canary was trained on",
    Metric.PREDICTION_DRIFT: "total variation between the canary's predictions and stable's, 0..1",
}

PRESETS_TEXT = """\
## Presets

`steps: NAME` stands for a list. Margins are loosened on the early steps, which see little traffic; the last step and
the bake claim the whole margin.
"""

TITLES = {
    "TopicsPart": "topics",
    "ModelPart": "stable, canary",
    "RoutingPart": "routing",
    "RulePart": "routing.rules",
    "StepPart": "steps",
    "BakePart": "bake",
    "WindowPart": "windows",
    "AnalysisPart": "analysis",
    "CheckPart": "analysis.checks",
}
"""The part of the file that each class reads, in the order of the page."""


def table(head: list[str], rows: list[list[str]]) -> str:
    """Return a table in Markdown."""
    cells = [head, ["---"] * len(head), *[[cell.replace("|", "\\|") for cell in row] for row in rows]]
    return "\n".join(f"| {' | '.join(row)} |" for row in cells)


def form(schema: dict[str, Any]) -> str:
    """Return what may stand as a value, in a few words."""
    if "$ref" in schema:
        return f"mapping, see [{title(schema['$ref'])}](#{anchor(title(schema['$ref']))})"
    if "examples" in schema:
        return f"like {' or '.join(f'`{example}`' for example in schema['examples'])}"
    if "anyOf" in schema:
        return " or ".join(dict.fromkeys(form(choice) for choice in schema["anyOf"]))
    if "const" in schema or "enum" in schema:
        return ", ".join(f"`{word}`" for word in schema.get("enum", [schema.get("const")]))
    if schema["type"] == "array":
        return f"list of {form(schema['items']).removeprefix('like ')}"
    if schema["type"] == "object":
        return form_of_members(schema)
    return {"string": "text", "boolean": "`true`, `false`", "integer": "whole number", "number": "number"}[
        schema["type"]
    ]


def form_of_members(schema: dict[str, Any]) -> str:
    """Return what may stand in a mapping whose keys an author names."""
    [member] = schema["patternProperties"].values()
    return (
        f"mapping by name, see [{title(member['$ref'])}](#{anchor(title(member['$ref']))})"
        if "$ref" in member
        else (f"mapping of a field to {form(member)}")
    )


def title(reference: str) -> str:
    """Return the part of the file that a reference of the schema stands for."""
    return TITLES[reference.rpartition("/")[2]]


def anchor(heading: str) -> str:
    """Return the link of a heading."""
    return "".join(sign for sign in heading.replace(" ", "-") if sign.isalnum() or sign in "-_")


def keys(schema: dict[str, Any]) -> str:
    """Return the table of the keys of a part."""
    required = schema.get("required", [])
    rows = [
        [f"`{name}`", form(key), "needed" if name in required else default(key), key["description"]]
        for name, key in schema["properties"].items()
    ]
    return table(["key", "value", "default", "meaning"], rows)


def default(schema: dict[str, Any]) -> str:
    """Return the default of a key as an author would write it; `-` where the meaning tells it."""
    value = schema.get("default")
    if value is None or value == "":
        return "-"
    if isinstance(value, float):
        return f"`{format_number(value)}`"
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def metrics() -> str:
    """Return the table of the metrics."""
    rows = [
        [name(metric), MEANINGS[metric], margin(metric), keys_of(metric), "serving" if metric.is_served else "labels"]
        for metric in Metric
    ]
    return table(["metric", "bigger is worse", "margin, tolerance by default", "keys of its own", "evidence"], rows)


def name(metric: Metric) -> str:
    """Return how a metric is written."""
    return "`path/to/metrics.py:Class`" if metric is Metric.OWN else f"`{metric.value}`"


def margin(metric: Metric) -> str:
    """Return the default margin and tolerance of a metric as an author would write them."""
    if metric.has_only_a_limit:
        limit = f" (`{format_percent(FEATURE_LIMIT * 100)}`)" if metric is Metric.FEATURE_DRIFT else ""
        return f"none: only a `limit`{limit}, which holds the ramp if the role is `signal`"
    if metric not in MARGINS:
        return "a number in the unit of the label; no default"
    size, relative = MARGINS[metric].size, MARGINS[metric].relative
    check = Check(
        name="c", metric=metric, margin=size, relative=relative, cap=CAPS.get(metric, 1.0) if metric.has_cap else None,
        field=FIELD if metric is Metric.MEAN else None, own="m.py:C" if metric is Metric.OWN else None,
        code=FAULT_CODES[0] if metric is Metric.ERROR_CODE else None,
    )  # fmt: skip
    text = f"`{format_difference(check, size)}`, `{format_difference(check, default_tolerance(metric, size))}`"
    return f"{text} of stable's mean, or a number" if relative else text


def keys_of(metric: Metric) -> str:
    """Return the keys that not every metric takes and this one does."""
    own = [key for key, (allowed, _) in ONLY_OF.items() if metric in allowed and key != "segment_by"]
    needed = (
        {"code"} | (set() if metric in CAPS else {"cap"}) | ({"limit"} if metric is Metric.FALLBACK_RATE else set())
    )
    return ", ".join(f"`{key}`{' (needed)' if key in needed else ''}" for key in own) or "-"


def presets() -> str:
    """Return the table of the presets."""
    rows = [
        [f"`{preset}`", ", ".join(f"{format_percent(step.weight)} x{step.margin_factor:g}" for step in steps)]
        for preset, steps in PRESETS.items()
    ]
    return table(["preset", "weights, and what multiplies the margins"], rows)


def sections(schema: dict[str, Any]) -> Iterator[str]:
    """Yield the sections of the page."""
    yield INTRODUCTION
    yield f"## The whole file\n\n{keys(schema)}\n"
    for part, heading in TITLES.items():
        found = schema["$defs"][part]
        yield f"## {heading}\n\n{found['description']}\n\n{keys(found)}\n"
    yield f"{CHECKS}\n{metrics()}\n"
    yield f"{PRESETS_TEXT}\n{presets()}\n"


def page() -> str:
    """Return the whole page."""
    return "\n".join(sections(json_schema()))


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
