"""Write `docs/rollout-states.md` from the table of the state machine: `python docs/draw_rollout_states.py`."""

from collections import defaultdict
from pathlib import Path

from coalmine.policies import TRANSITIONS, VERBS, Phase

PAGE = Path(__file__).with_name("rollout-states.md")

INTRODUCTION = """\
# Phases of a rollout

Drawn from `TRANSITIONS` in `policies/rollout/transitions.py` by `docs/draw_rollout_states.py`; do not edit by hand.

A verb that is not on an arrow is refused in that phase. `freeze` and `unfreeze` are possible in every phase and keep
it, so they are left out of the picture.
"""


def arrows() -> dict[tuple[Phase, Phase], list[str]]:
    """Return the verbs on each arrow from phase to phase."""
    verbs: dict[tuple[Phase, Phase], list[str]] = defaultdict(list)
    for phase, cells in TRANSITIONS.items():
        for verb, cell in sorted(cells.items()):
            for target in cell.leads_to if verb not in ("freeze", "unfreeze") else ():
                verbs[phase, target].append(verb)
    return verbs


def diagram() -> str:
    """Return the state diagram in Mermaid's language."""
    order = list(TRANSITIONS)
    drawn = sorted(arrows().items(), key=lambda arrow: (order.index(arrow[0][0]), order.index(arrow[0][1])))
    lines = [f"    {source.value} --> {target.value}: {', '.join(verbs)}" for (source, target), verbs in drawn]
    return "\n".join(["```mermaid", "stateDiagram-v2", "    [*] --> idle", *lines, "```"])


def table() -> str:
    """Return phase by verb: where the verb may lead, `-` where it is refused."""
    order = list(TRANSITIONS)
    lines = ["| verb | " + " | ".join(phase.value for phase in order) + " |", "|---" * (len(order) + 1) + "|"]
    for verb in VERBS:
        cells = [TRANSITIONS[phase].get(verb) for phase in order]
        targets = ["-" if cell is None else ", ".join(p.value for p in order if p in cell.leads_to) for cell in cells]
        lines.append(f"| `{verb}` | " + " | ".join(targets) + " |")
    return "\n".join(lines)


def page() -> str:
    """Return the whole page."""
    return "\n".join([INTRODUCTION, diagram(), "", "Where each verb leads, by phase:", "", table(), ""])


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
