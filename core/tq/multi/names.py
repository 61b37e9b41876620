"""Arguments of `tq multi`: node names, and options for all nodes or for some. Pure.

    10 -A proj -l INFO -Q:1-3 images,video -Q:4,5 data -Q default -L:4,5 debug

Source: CLI 2 (multi); celery/apps/multi.py, `NamespacedOptionParser`, `MultiParser`.
"""

import difflib
import re
from collections.abc import Collection, Mapping, Sequence

import msgspec

from tq.errors import ConfigError

__all__ = ["Parsed", "Plan", "Style", "expand", "parse", "plan"]

_MOST_NODES = 10_000
_RANGE = re.compile(r"(\d+)-(\d+)", re.ASCII)
_CODE = re.compile(r"%([hnNdpiI%])")
_EMPTY = ('""', "''")

Options = dict[str, str | None]


class Parsed(msgspec.Struct):
    """Arguments, sorted.

    Attributes:
        names: What stands where node names stand.
        options: For all nodes; None for an option without a value.
        aimed: (selector, options) in the order given: `1-3`, `4,5`, `images,video`.
        rest: Everything after `--`, for all nodes.
    """

    names: list[str]
    options: Options
    aimed: list[tuple[str, Options]]
    rest: list[str]


class Plan(msgspec.Struct):
    """One node: its name and its options, the later ones stronger."""

    name: str
    options: Options
    rest: list[str] = []


class Style(msgspec.Struct, kw_only=True):
    """How names are made.

    Attributes:
        host: After the `@` of names that have none.
        prefix: Before each name that was given.
        range_prefix: Before the numbers of a range.
        suffix: Instead of `host`.
    """

    host: str
    prefix: str = ""
    range_prefix: str = "celery"
    suffix: str | None = None


def parse(argv: Sequence[str], flags: Collection[str] = ()) -> Parsed:
    """Sort arguments into names and options.

    Args:
        argv: What follows the verb.
        flags: Options that take no value; any other takes the next argument, unless that begins
            with a dash or the option has its value behind `=`.
    """
    found = Parsed([], {}, [], [])
    left = list(reversed(argv))
    while left:
        argument = left.pop()
        if argument == "--":
            found.rest = list(reversed(left))
            break
        if not argument.startswith("-") or argument == "-":
            found.names.append(argument)
            continue
        name, selector, value = _split(argument)
        takes_next = value is None and name not in flags and left and not left[-1].startswith("-")
        if takes_next:
            value = left.pop()
        if selector is None:
            found.options[name] = value
        elif not selector:
            raise ConfigError(f"multi: {argument}: which nodes? Give {name}:1-3 or {name}:name")
        else:
            found.aimed.append((selector, {name: value}))
    return found


def _split(argument: str) -> tuple[str, str | None, str | None]:
    """Split `--name:selector=value` into its parts."""
    head, equals, value = argument.partition("=")
    if not argument.startswith("--") and equals and ":" not in head:
        head, equals, value = argument, "", ""  # -c=2 is no form of a short option
    name, colon, selector = head.partition(":")
    return name, selector if colon else None, value if equals else None


def plan(parsed: Parsed, style: Style) -> list[Plan]:
    """Return the nodes with their options.

    Raises:
        ConfigError: There is no node, there are two of one name, or options are aimed at none.
    """
    if not all(name.partition("@")[0] for name in parsed.names):
        raise ConfigError("multi: a node's name is empty")
    if not parsed.names:
        raise ConfigError("multi: which nodes? Give names, or a number for celery1..celeryN")
    first = parsed.names[0]
    if len(parsed.names) == 1 and first.isdigit():
        count = int(first)
        if not 1 <= count <= _MOST_NODES:
            raise ConfigError(f"multi: {first} is no number of nodes from 1 to {_MOST_NODES}")
        words = [str(number) for number in range(1, count + 1)]
        names = [_full(style.range_prefix + word, style) for word in words]
    else:
        words = parsed.names
        names = [_full(word if "@" in word else style.prefix + word, style) for word in words]
    twice = {name for name in names if names.count(name) > 1} if len(names) < 200 else set()
    if twice or len(set(names)) != len(names):
        raise ConfigError(
            f"multi: a node is named twice: {', '.join(sorted(twice)) or 'see names'}"
        )
    aimed: dict[int, Options] = {}
    for selector, options in parsed.aimed:
        for index in _select(selector, words, names):
            aimed.setdefault(index, {}).update(options)
    return [
        # An option that is aimed takes the place of the one for all, at the end.
        Plan(
            name,
            {**_without(parsed.options, aimed.get(index, {})), **aimed.get(index, {})},
            list(parsed.rest),
        )
        for index, name in enumerate(names)
    ]


def _without(options: Options, others: Mapping[str, str | None]) -> Options:
    return {name: value for name, value in options.items() if name not in others}


def _full(word: str, style: Style) -> str:
    host = style.host if style.suffix is None else style.suffix
    if host in _EMPTY:
        host = ""
    name = word if "@" in word or not host else f"{word}@{host}"
    before, _, domain = style.host.partition(".")
    codes = {"h": style.host, "n": before, "d": domain, "%": "%"}
    return _CODE.sub(lambda match: codes.get(match[1], match[0]), name)


def _select(selector: str, words: Sequence[str], names: Sequence[str]) -> list[int]:
    """Return the indices of the nodes that `1-3,5,images` means."""
    found: list[int] = []
    for part in selector.split(","):
        if part in words and not (part.isdigit() and part == words[0] and len(words) == 1):
            found.append(words.index(part))
        elif part in names:
            found.append(names.index(part))
        elif part in (short := [name.partition("@")[0] for name in names]):
            found.append(short.index(part))
        else:
            found += _numbers(part, selector, words, names)
    return found


def _numbers(part: str, selector: str, words: Sequence[str], names: Sequence[str]) -> list[int]:
    """Read a number or a range of numbers: the nodes' places, counted from 1."""
    match = _RANGE.fullmatch(part)
    low, high = (match[1], match[2]) if match else (part, part)
    if not (low.isdigit() and high.isdigit()):
        near = difflib.get_close_matches(part, [*words, *names], n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise ConfigError(f"multi: :{selector}: there is no node {part!r}{hint}")
    if not 1 <= int(low) <= int(high) <= len(names):
        raise ConfigError(f"multi: :{selector}: {part} is not between 1 and {len(names)}")
    return list(range(int(low) - 1, int(high)))


def expand(template: str, name: str) -> str:
    """Expand the codes that stand for a node; those for a pool process stay for the worker.

    Args:
        template: `%n` the part before `@`, `%d` the host, `%h` and `%p` the whole name.
        name: The node's name.

    Source: celery/apps/multi.py, `Node.expander` (here, unlike elsewhere, `%h` is the whole name).
    """
    before, _, host = name.partition("@")
    codes = {"n": before, "N": before, "d": host, "h": name, "p": name}
    return _CODE.sub(lambda match: codes.get(match[1], match[0]), template)
