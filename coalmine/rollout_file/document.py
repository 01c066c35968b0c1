"""A YAML text as plain values, with the place of each. Knows YAML, and nothing of rollouts.

YAML 1.2, so `on` and `no` are words, not booleans. Refused besides bad syntax: tags (they can name code), more
than one document, equal keys (parsers silently keep one of them), and texts built to explode: large, deep or
with many aliases.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import AliasEvent, CollectionEndEvent, CollectionStartEvent, ScalarEvent
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from coalmine.errors import Problem, RolloutFileError

__all__ = ["Document", "Path", "path_text", "read"]

MAX_BYTES = 256_000
"""A rollout file is reviewed by people; 256 kB is far beyond what anybody reads."""

MAX_DEPTH = 20
MAX_ALIASES = 20
MAX_NODES = 20_000
"""Values in the whole document with aliases written out; bounds what nested aliases can multiply to."""

SHOWN_COLUMNS = 160
"""A longer line is cut off in messages."""

Path: TypeAlias = tuple[str | int, ...]
Place: TypeAlias = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Source:
    """The text a document was read from, for pointing at places of it."""

    name: str
    lines: Sequence[str]

    def problem(self, place: Place, path: Path, message: str) -> Problem:
        """Return a problem at a place (line and column from 0) with the line it stands in."""
        line, column = place
        text = self.lines[line] if line < len(self.lines) else ""
        shown = text if len(text) <= SHOWN_COLUMNS else text[:SHOWN_COLUMNS] + "..."
        return Problem(self.name, line + 1, column + 1, path_text(path), message, shown)


@dataclass(frozen=True, slots=True)
class Document:
    """The value of a YAML text and where everything in it stands.

    `values` and `keys` map a path to the place of the value and of the key that leads to it. `repeated` lists
    the keys that a mapping already had.
    """

    source: Source
    value: object
    values: Mapping[Path, Place]
    keys: Mapping[Path, Place]
    repeated: Sequence[tuple[Path, Place]]

    def at_value(self, path: Path, message: str) -> Problem:
        """Return a problem at the value under `path`, or at the nearest thing above it that exists."""
        return self.source.problem(nearest(self.values, path), path, message)

    def at_key(self, path: Path, message: str) -> Problem:
        """Return a problem at the key that ends `path`."""
        return self.source.problem(nearest(self.keys, path), path, message)


def nearest(places: Mapping[Path, Place], path: Path) -> Place:
    """Return the place of `path`, or of the longest beginning of it that has one."""
    while path and path not in places:
        path = path[:-1]
    return places.get(path, (0, 0))


def path_text(path: Path) -> str:
    """Return a path as people write it: `steps[0].weight`."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    return text.removeprefix(".")


def read(text: str, name: str) -> Document:
    """Return the document in `text`; raise RolloutFileError when it is no YAML or not a harmless one."""
    source = Source(name, text.splitlines())
    if len(text.encode()) > MAX_BYTES:
        raise RolloutFileError([source.problem((0, 0), (), f"the file is larger than {MAX_BYTES} bytes")])
    try:
        problems = list(dangers(source, text))
        root = None if problems else YAML(typ="rt", pure=True).compose(text)
    except (YAMLError, RecursionError, ValueError) as error:
        raise RolloutFileError([syntax_problem(source, error)]) from error
    if problems:
        raise RolloutFileError(problems)
    builder = Builder(source)
    value = None if root is None else builder.build(root, ())
    return Document(source, value, builder.values, builder.keys, builder.repeated)


def dangers(source: Source, text: str) -> Iterator[Problem]:
    """Yield what makes a text unsafe to build values from: tags, too many aliases, depth."""
    depth = aliases = 0
    for event in YAML(typ="rt", pure=True).parse(text):
        place = place_of(event.start_mark)
        depth += isinstance(event, CollectionStartEvent) - isinstance(event, CollectionEndEvent)
        aliases += isinstance(event, AliasEvent)
        if isinstance(event, ScalarEvent | CollectionStartEvent) and event.tag is not None:
            yield source.problem(place, (), f"tags such as {event.tag} are refused; remove it")
        if depth > MAX_DEPTH or aliases > MAX_ALIASES:
            what = f"more than {MAX_ALIASES} aliases" if depth <= MAX_DEPTH else f"over {MAX_DEPTH} levels"
            yield source.problem(place, (), f"the file has {what}; write it plainly")
            return


def syntax_problem(source: Source, error: Exception) -> Problem:
    """Return where and why the text is not YAML."""
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    what = error.problem if isinstance(error, MarkedYAMLError) and error.problem else str(error)
    return source.problem(place_of(mark), (), f"not valid YAML: {what}".splitlines()[0])


def place_of(mark: object) -> Place:
    """Return line and column of a mark of the parser."""
    return (getattr(mark, "line", 0), getattr(mark, "column", 0))


@dataclass(slots=True)
class Builder:
    """Makes plain values of a node tree and notes where they stand; `left` bounds how many it makes."""

    source: Source
    left: int = MAX_NODES
    values: dict[Path, Place] = field(default_factory=dict)
    keys: dict[Path, Place] = field(default_factory=dict)
    repeated: list[tuple[Path, Place]] = field(default_factory=list)

    def build(self, node: Node, path: Path) -> object:
        """Return the plain value of `node`; raise RolloutFileError when aliases make it endless."""
        self.left -= 1
        place = place_of(node.start_mark)
        if self.left < 0 or len(path) > MAX_DEPTH:
            message = f"with its aliases the file has over {MAX_NODES} values or {MAX_DEPTH} levels"
            raise RolloutFileError([self.source.problem(place, (), message)])
        self.values[path] = place
        if isinstance(node, MappingNode):
            return self.build_mapping(node, path)
        if isinstance(node, SequenceNode):
            return [self.build(item, (*path, index)) for index, item in enumerate(node.value)]
        assert isinstance(node, ScalarNode)
        return scalar(node)

    def build_mapping(self, node: MappingNode, path: Path) -> dict[str, object]:
        """Return a mapping with text keys; the first of equal keys is kept and the others are noted."""
        mapping: dict[str, object] = {}
        for key_node, value_node in node.value:
            place = place_of(key_node.start_mark)
            if not isinstance(key_node, ScalarNode):
                raise RolloutFileError([self.source.problem(place, path, "a key must be a word")])
            key = str(key_node.value)
            if key in mapping:
                self.repeated.append(((*path, key), place))
                continue
            self.keys[*path, key] = place
            mapping[key] = self.build(value_node, (*path, key))
        return mapping


def scalar(node: ScalarNode) -> object:
    """Return null, a boolean, a number or text, by the rules of YAML 1.2."""
    text, kind = str(node.value), str(node.tag).rpartition(":")[2]
    if kind == "null":
        return None
    if kind == "bool":
        return text.lower() == "true"
    if kind in ("int", "float"):
        return number(text)
    return text


def number(text: str) -> object:
    """Return an integer or float; text that only older YAML takes for a number (`1_000`, `1:30`) stays text."""
    if "_" in text:
        return text
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text
