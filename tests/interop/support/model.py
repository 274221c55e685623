"""The service model that is checked in, and values made from it.

Nothing here knows an operation: from a shape and its constraints come the values
that it allows, those at its boundaries, and those beyond them.
"""

import json
import re
import re._constants as tokens
import re._parser as parser
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

MODEL = Path(__file__).resolve().parents[3] / "crates/wire/model/ecr-2015-09-21.json"

# Numbers of JSON that are in every member of the type, if the model says no more.
INTEGER_LIMITS = {"integer": (-(2**31), 2**31 - 1), "long": (-(2**63), 2**63 - 1)}

# Timestamps of answers are between these years; seconds or milliseconds taken for
# the other are not.
EARLIEST, LATEST = 1_600_000_000, 4_000_000_000
# Where the service says by the beginning of time that something has not happened yet.
NEVER = ".lastEvaluatedAt"


class Model:
    """The operations and shapes of the checked-in model."""

    def __init__(self, path: Path = MODEL):
        document = json.loads(path.read_text())
        self.service: str = document["service"]
        self.operations: dict[str, Any] = document["operations"]
        self.shapes: dict[str, Any] = document["shapes"]

    def input(self, operation: str) -> dict[str, Any]:
        return self.shape(self.operations[operation].get("input"))

    def output(self, operation: str) -> dict[str, Any]:
        return self.shape(self.operations[operation].get("output"))

    def shape(self, name: str | None) -> dict[str, Any]:
        return self.shapes[name] if name else {"type": "structure", "members": {}}


@cache
def matching(pattern: str, length: int) -> str | None:
    """A text of this length that the whole pattern matches, or None if none is found."""
    for text in _texts(list(parser.parse(pattern)), length):
        if len(text) == length and fits(pattern, text):
            return text
    return None


def fits(pattern: str, text: str) -> bool:
    """Whether a whole text matches: `$` is the very end, `\\w` is ASCII, as in the service."""
    return re.fullmatch(pattern.replace("$", r"\Z"), text, re.ASCII) is not None


def shortest(pattern: str, least: int) -> str:
    """A short text that a pattern matches, of at least this length."""
    for length in range(least, least + 200):
        text = matching(pattern, length)
        if text is not None:
            return text
    raise AssertionError(f"no text found for the pattern {pattern}")


def _texts(nodes: list[Any], length: int) -> Iterator[str]:
    """Texts that a parsed pattern matches, close to this length."""
    options: list[list[Any]] = [[]]
    for node in nodes:
        choices = _alternatives(node)
        options = [[*option, choice] for option in options for choice in choices][:64]
    for option in options:
        least = sum(_least(node) for node in option)
        yield _fill(option, length - least)


def _alternatives(node: Any) -> list[Any]:
    kind, value = node
    if kind is tokens.BRANCH:
        return [("sequence", list(branch)) for branch in value[1]]
    if kind is tokens.SUBPATTERN:
        inner: list[list[Any]] = [[]]
        for each in value[3]:
            inner = [[*option, choice] for option in inner for choice in _alternatives(each)][:64]
        return [("sequence", option) for option in inner]
    return [node]


def _least(node: Any) -> int:
    kind, value = node
    if kind == "sequence":
        return sum(_least(each) for each in value)
    if kind is tokens.BRANCH or kind is tokens.SUBPATTERN:
        return min(_least(choice) for choice in _alternatives(node))
    if kind in (tokens.MAX_REPEAT, tokens.MIN_REPEAT):
        low, _, inner = value
        return low * sum(_least(each) for each in inner)
    return 0 if kind is tokens.AT else 1


def _fill(nodes: list[Any], extra: int) -> str:
    """The shortest text of a sequence, with `extra` characters where it has room."""
    text = ""
    for node in nodes:
        part = _one(node, max(extra, 0))
        extra -= len(part) - _least(node)
        text += part
    return text


def _one(node: Any, extra: int) -> str:
    kind, value = node
    if kind == "sequence":
        return _fill(value, extra)
    if kind is tokens.BRANCH or kind is tokens.SUBPATTERN:
        return _one(min(_alternatives(node), key=_least), extra)
    if kind in (tokens.MAX_REPEAT, tokens.MIN_REPEAT):
        low, high, inner = value
        inner = list(inner)
        text = "".join(_fill(inner, 0) for _ in range(low))
        size = sum(_least(each) for each in inner)
        room = None if high is tokens.MAXREPEAT else high - low
        while extra >= max(size, 1) and room != 0 and len(text) < 100_000:
            part = _fill(inner, extra - size)
            text += part
            extra -= len(part)
            room = None if room is None else room - 1
        return text
    if kind is tokens.LITERAL:
        return chr(value)
    if kind is tokens.AT:
        return ""
    if kind is tokens.IN:
        return _member(value)
    if kind in (tokens.ANY, tokens.NOT_LITERAL):
        return "x"
    raise AssertionError(f"the pattern has {kind}, which is not known here")


def _member(items: list[Any]) -> str:
    """A character of a set, a letter or digit if there is one."""
    found = [
        chr(value) if kind is tokens.LITERAL else chr(value[0]) if kind is tokens.RANGE else "w"
        for kind, value in items
        if kind is not tokens.NEGATE
    ]
    plain = [character for character in found if character.isalnum()]
    return (plain or found)[0]


@dataclass(frozen=True)
class Case:
    """A value to put at a place of an input.

    Without a `constraint` the value is allowed, and what may not be said of it is
    that a constraint of the model is violated.
    """

    path: tuple[str | int, ...]
    value: Any
    # What the refusal has to speak of: "type", or words of the constraint.
    constraint: str | None = None
    # How the refusal may name the place.
    names: tuple[str, ...] = ()

    def __str__(self) -> str:
        place = ".".join(map(str, self.path)) or "the input"
        shown = json.dumps(self.value)
        return f"{place} = {shown if len(shown) < 100 else shown[:100] + '...'}"


ABSENT = object()


class Cases:
    """The cases of one input, around an input that is valid."""

    def __init__(self, model: Model, samples: "Samples"):
        self._model = model
        self._samples = samples

    def of(self, operation: str) -> list[Case]:
        root = self._model.operations[operation].get("input")
        cases = [Case((), {"unknownMember": {"deeply": [1, None]}})]
        for wrong in ([], "text", 7, True, None):
            cases.append(Case((), wrong, "type", ("request body",)))
        if root:
            cases.extend(self._structure(root, ()))
        return cases

    def document(self, operation: str, case: Case) -> Any:
        """A valid input, but for the value of the case."""
        root = self._model.operations[operation].get("input")
        return self._put(root, self._samples.value(root) if root else {}, case.path, case.value)

    def _put(self, name: str | None, document: Any, path: tuple[str | int, ...], value: Any) -> Any:
        if not path:
            # An unknown member of the whole input.
            both = isinstance(document, dict) and isinstance(value, dict) and "unknownMember" in value
            return document | value if both else value
        step, rest = path[0], path[1:]
        shape = self._model.shape(name)
        if isinstance(step, int):
            items = list(document)
            items[step] = self._put(shape["member"], items[step], rest, value)
            return items
        members = dict(document)
        if rest:
            inner = shape["members"][step]
            there = members.get(step) or self._samples.value(inner)
            members[step] = self._put(inner, there, rest, value)
        elif value is ABSENT:
            members.pop(step, None)
        else:
            members[step] = value
        return members

    def _structure(self, name: str, path: tuple[str | int, ...]) -> Iterator[Case]:
        shape = self._model.shape(name)
        required = shape.get("required", [])
        for member, shape_name in shape.get("members", {}).items():
            place = (*path, member)
            if member in required:
                names = (_spelled(place),)
                yield Case(place, ABSENT, "must not be null", names)
                yield Case(place, None, "must not be null", names)
            else:
                yield Case(place, None)
            yield from self._value(shape_name, place, in_list=False)
        if path:
            yield Case((*path, "unknownMember"), 1)

    def _value(self, name: str, path: tuple[str | int, ...], *, in_list: bool) -> Iterator[Case]:
        shape = self._model.shape(name)
        kind = shape["type"]
        spelled = (_spelled(path),)
        for wrong in _wrong_types(kind):
            yield Case(path, wrong, "type", spelled)
        if in_list:
            scalar = kind not in ("structure", "list", "map")
            # Of a scalar in a list the service speaks at the list, of a name at the name.
            own = name[0].lower() + name[1:]
            spelled = (_spelled(path[:-1]), own) if scalar else spelled
            yield Case(path, None, "must not be null", spelled)
        yield Case(path, self._samples.value(name))
        if kind == "structure":
            yield from self._structure(name, path)
        elif kind == "list":
            yield from self._list(name, path, spelled)
        elif kind == "map":
            yield Case(path, {})
        elif kind in ("string", "blob"):
            yield from self._lengths(name, path, spelled)
            yield from self._texts(name, path, spelled)
        elif kind in INTEGER_LIMITS:
            yield from self._numbers(name, path, spelled)
        elif kind == "boolean":
            yield Case(path, True)
            yield Case(path, False)

    def _list(
        self, name: str, path: tuple[str | int, ...], spelled: tuple[str, ...]
    ) -> Iterator[Case]:
        shape = self._model.shape(name)
        element = shape["member"]
        items = lambda count: [self._samples.value(element, number) for number in range(count)]  # noqa: E731
        for length, constraint in _boundaries(shape, "length", 0, 10_000):
            yield Case(path, items(length), constraint, spelled if constraint else ())
        for case in self._value(element, (*path, 0), in_list=True):
            yield case

    def _lengths(
        self, name: str, path: tuple[str | int, ...], spelled: tuple[str, ...]
    ) -> Iterator[Case]:
        shape = self._model.shape(name)
        if "enum" in shape:
            return
        for length, constraint in _boundaries(shape, "length", 0, 30_000_000):
            if shape["type"] == "blob":
                text = base64_of(length)
            elif "pattern" in shape:
                # A value that violates both is refused for its length.
                text = matching(shape["pattern"], length) or ("a" * length if constraint else None)
                if text is None:
                    continue
            else:
                text = "a" * length
            yield Case(path, text, constraint, spelled if constraint else ())

    def _texts(
        self, name: str, path: tuple[str | int, ...], spelled: tuple[str, ...]
    ) -> Iterator[Case]:
        shape = self._model.shape(name)
        if shape["type"] == "blob":
            for text in ("no base64!", "abc", "Zm9v\n", "=", "____"):
                yield Case(path, text, "type", (_spelled(path),))
        if "enum" in shape:
            for text in shape["enum"]:
                yield Case(path, text)
            for text in ("WRONG", "", shape["enum"][0].swapcase(), shape["enum"][0] + " "):
                yield Case(path, text, "must satisfy enum value set", spelled)
        if "pattern" in shape:
            pattern = shape["pattern"]
            sample = shortest(pattern, max(shape.get("min", 0), 2))
            for text in (sample + "\n", sample + "!", " " + sample, "ä" + sample[1:], sample + "\0", "%2e%2e/" + sample):
                in_range = shape.get("min", 0) <= len(text) <= shape.get("max", len(text))
                if in_range and not fits(pattern, text):
                    words = "must satisfy regular expression"
                    yield Case(path, text, words, spelled)

    def _numbers(
        self, name: str, path: tuple[str | int, ...], spelled: tuple[str, ...]
    ) -> Iterator[Case]:
        shape = self._model.shape(name)
        low, high = INTEGER_LIMITS[shape["type"]]
        for number, constraint in _boundaries(shape, "value", low, high):
            yield Case(path, number, constraint, spelled if constraint else ())
        for number in (low - 1, high + 1, 1.5, 10**30):
            yield Case(path, number, "type", (_spelled(path),))


def _boundaries(
    shape: dict[str, Any], measure: str, low: int, high: int
) -> Iterator[tuple[int, str | None]]:
    """The numbers at each boundary and one beyond, with the words that refuse those."""
    if "min" in shape:
        least = shape["min"]
        yield least, None
        if least > low:
            yield least - 1, f"must have {measure} greater than or equal to {least}"
    if "max" in shape:
        most = shape["max"]
        yield most, None
        if most < high:
            yield most + 1, f"must have {measure} less than or equal to {most}"


def base64_of(length: int) -> str:
    """The base64 text of so many zero bytes."""
    digits = "A" * ((length * 8 + 5) // 6)
    return digits + "=" * (-len(digits) % 4)


def _wrong_types(kind: str) -> list[Any]:
    examples: dict[str, Any] = {
        "string": "text",
        "number": 7,
        "boolean": True,
        "list": [],
        "structure": {},
    }
    own = {"integer": "number", "long": "number", "double": "number", "timestamp": "number"}
    own |= {"blob": "string", "map": "structure"}
    return [value for name, value in examples.items() if name != own.get(kind, kind)]


def _spelled(path: tuple[str | int, ...]) -> str:
    """A path as the service writes it: `imageIds.1.member.imageTag`."""
    words = [
        f"{each + 1}.member" if isinstance(each, int) else each[0].lower() + each[1:]
        for each in path
    ]
    return ".".join(words)


class Samples:
    """Valid values by shape. What has a meaning to the service comes from outside."""

    def __init__(self, model: Model, known: dict[str, Any]):
        self._model = model
        self._known = known

    def value(self, name: str, number: int = 0) -> Any:
        """A valid value of a shape; of some shapes there are several."""
        if name in self._known:
            known = self._known[name]
            return known(number) if callable(known) else known
        shape = self._model.shape(name)
        match shape["type"]:
            case "structure":
                members = shape.get("members", {})
                return {
                    member: self.value(members[member], number)
                    for member in shape.get("required", [])
                }
            case "list":
                return [self.value(shape["member"], each) for each in range(max(shape.get("min", 1), 1))]
            case "map":
                return {"key": "value"}
            case "string" if "enum" in shape:
                return shape["enum"][0]
            case "string" if "pattern" in shape:
                return shortest(shape["pattern"], shape.get("min", 0))
            case "string":
                return "a" * max(shape.get("min", 1), 1)
            case "integer" | "long":
                return max(shape.get("min", 0), 0)
            case "boolean":
                return False
            case "double" | "timestamp":
                return 1_700_000_000
            case "blob":
                return base64_of(1)
        raise AssertionError(f"{name} has a type that is not known here: {shape['type']}")


def misfits(model: Model, name: str | None, value: Any, path: str = "output") -> Iterator[str]:
    """What of an answer does not fit its shape."""
    shape = model.shape(name)
    kind = shape["type"]
    if kind == "structure":
        if not isinstance(value, dict):
            yield f"{path} is no object: {value!r}"
            return
        for member, inner in value.items():
            if member not in shape.get("members", {}):
                yield f"{path} has a member that the model does not know: {member}"
            elif inner is None:
                yield f"{path}.{member} is null"
            else:
                yield from misfits(model, shape["members"][member], inner, f"{path}.{member}")
        for member in shape.get("required", []):
            if member not in value:
                yield f"{path} lacks {member}"
        return
    expected: dict[str, type | tuple[type, ...]] = {
        "list": list,
        "map": dict,
        "string": str,
        "blob": str,
        "boolean": bool,
        "integer": int,
        "long": int,
        "double": (int, float),
        "timestamp": (int, float),
    }
    if not isinstance(value, expected[kind]) or (isinstance(value, bool) and kind != "boolean"):
        yield f"{path} is no {kind}: {value!r}"
    elif kind == "list":
        for number, inner in enumerate(value):
            yield from misfits(model, shape["member"], inner, f"{path}[{number}]")
    elif kind == "map":
        for key, inner in value.items():
            yield from misfits(model, shape["value"], inner, f"{path}[{key!r}]")
    elif "enum" in shape and value not in shape["enum"]:
        yield f"{path} is none of the values of the model: {value!r}"
    elif kind == "timestamp" and not (EARLIEST < value < LATEST or (value == 0 and path.endswith(NEVER))):
        yield f"{path} is no time of these years: {value!r}"
    elif kind in INTEGER_LIMITS:
        low, high = INTEGER_LIMITS[kind]
        if not low <= value <= high or value < shape.get("min", value):
            yield f"{path} is out of range: {value!r}"
    elif kind == "string" and "pattern" in shape and not fits(shape["pattern"], value):
        yield f"{path} does not match its pattern: {value!r}"
