"""The filter language's grammar: text to a tree, with the column of every mistake.

expr := or ; or := and ("OR" and)* ; and := unary+ ; unary := ["-" | "NOT"] (term | "(" expr ")")
term := "@" saved | "/" regex "/" | word | phrase | field op value ("," value)*
"""

import re
from dataclasses import dataclass
from typing import Literal

__all__ = [
    "And",
    "FilterError",
    "Match",
    "Node",
    "Not",
    "Or",
    "Saved",
    "Text",
    "Value",
    "parse_tree",
]

Operator = Literal[":", "=", "~", ">", ">=", "<", "<="]

MAX_DEPTH = 50  # nested parentheses and negations; Python's own recursion limit lies far beyond
MAX_LENGTH = 4096

_FIELD = re.compile(r"([A-Za-z_][\w-]*(?:\.[\w.-]+)?)(:|=|~|>=|<=|>|<)")
_BARE = re.compile(r"[^\s()\",]+")
_BARE_WORD = re.compile(r"[^\s()\"]+")
_SPACE = re.compile(r"\s+")


class FilterError(ValueError):
    """A filter that cannot be read.

    Attributes:
        column: Where, counted in characters from 0.
        reason: What is wrong there.
    """

    def __init__(self, reason: str, column: int) -> None:
        """Keep the reason and its column."""
        super().__init__(reason)
        self.reason = reason
        self.column = column


@dataclass(frozen=True, slots=True)
class Value:
    """One value as typed; `quoted` values are literal, `pattern` ones were written `/so/`."""

    text: str
    column: int
    quoted: bool = False
    pattern: bool = False


@dataclass(frozen=True, slots=True)
class Text:
    """A word, a phrase or a `/regex/`, looked for in everything a row shows."""

    value: Value


@dataclass(frozen=True, slots=True)
class Saved:
    """A reference to a saved filter."""

    name: str
    column: int


@dataclass(frozen=True, slots=True)
class Match:
    """`field op value,value`: true when any of the values fits."""

    field: str
    operator: Operator
    values: tuple[Value, ...]
    column: int


@dataclass(frozen=True, slots=True)
class Not:
    """The opposite of what it holds."""

    child: "Node"


@dataclass(frozen=True, slots=True)
class And:
    """All of its children."""

    children: tuple["Node", ...]


@dataclass(frozen=True, slots=True)
class Or:
    """Any of its children."""

    children: tuple["Node", ...]


Node = Text | Saved | Match | Not | And | Or


def parse_tree(source: str) -> Node | None:
    """Read a filter; None when there is nothing in it.

    Raises:
        FilterError: It cannot be read; the column says where.
    """
    if len(source) > MAX_LENGTH:
        raise FilterError(f"longer than {MAX_LENGTH} characters", MAX_LENGTH)
    reader = _Reader(source)
    reader.skip_space()
    if reader.at_end():
        return None
    tree = reader.read_or(0)
    if not reader.at_end():  # only a closing parenthesis stops read_or early
        raise FilterError("no parenthesis is open here", reader.position)
    return tree


class _Reader:
    """A cursor over the text; each method reads one rule of the grammar."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.position = 0

    def at_end(self) -> bool:
        return self.position >= len(self.source)

    def peek(self) -> str:
        return self.source[self.position : self.position + 1]

    def skip_space(self) -> None:
        match = _SPACE.match(self.source, self.position)
        if match:
            self.position = match.end()

    def take_word(self, word: str) -> bool:
        """Consume `word` if it stands here on its own."""
        end = self.position + len(word)
        if self.source[self.position : end] != word:
            return False
        if end < len(self.source) and self.source[end] not in " \t\n(":
            return False
        self.position = end
        self.skip_space()
        return True

    def read_or(self, depth: int) -> Node:
        children = [self.read_and(depth)]
        while self.take_word("OR"):
            children.append(self.read_and(depth))
        return children[0] if len(children) == 1 else Or(tuple(children))

    def read_and(self, depth: int) -> Node:
        children: list[Node] = []
        while not self.at_end() and self.peek() != ")":
            if self.source.startswith("OR", self.position) and self._word_ends(2):
                break
            if children and self.take_word("AND"):
                continue
            children.append(self.read_unary(depth))
            self.skip_space()
        if not children:
            raise FilterError("a term is missing here", self.position)
        return children[0] if len(children) == 1 else And(tuple(children))

    def _word_ends(self, length: int) -> bool:
        end = self.position + length
        return end >= len(self.source) or self.source[end] in " \t\n()"

    def read_unary(self, depth: int) -> Node:
        if depth > MAX_DEPTH:
            raise FilterError("nested too deeply", self.position)
        if self.peek() == "-" and self.source[self.position + 1 : self.position + 2].strip():
            self.position += 1
            return Not(self.read_unary(depth + 1))
        if self.take_word("NOT"):
            if self.at_end():
                raise FilterError("NOT needs a term after it", self.position)
            return Not(self.read_unary(depth + 1))
        if self.peek() == "(":
            return self.read_group(depth)
        return self.read_term()

    def read_group(self, depth: int) -> Node:
        opened = self.position
        self.position += 1
        self.skip_space()
        inner = self.read_or(depth + 1)
        if self.peek() != ")":
            raise FilterError("this parenthesis is never closed", opened)
        self.position += 1
        return inner

    def read_term(self) -> Node:
        start = self.position
        if self.peek() == "@":
            name = self._bare(_BARE_WORD)[1:]
            if not name:
                raise FilterError("a saved filter's name is missing after @", start)
            return Saved(name, start)
        field = _FIELD.match(self.source, start)
        if field:
            self.position = field.end()
            operator: Operator = field[2]  # type: ignore[assignment]  # the regex allows no other
            return Match(field[1].lower(), operator, self.read_values(), start)
        return Text(self.read_value(_BARE_WORD))

    def read_values(self) -> tuple[Value, ...]:
        values = [self.read_value(_BARE)]
        while self.peek() == ",":
            self.position += 1
            if self.at_end() or self.peek().isspace():
                raise FilterError("a value is missing after the comma", self.position)
            values.append(self.read_value(_BARE))
        return tuple(values)

    def read_value(self, bare: re.Pattern[str]) -> Value:
        start = self.position
        if self.peek() == '"':
            return Value(self._delimited('"'), start, quoted=True)
        if self.peek() == "/" and self.source.find("/", start + 1) > 0:
            return Value(self._delimited("/"), start, pattern=True)
        text = self._bare(bare)
        if not text:
            raise FilterError("a value is missing here", start)
        return Value(text, start)

    def _bare(self, pattern: re.Pattern[str]) -> str:
        match = pattern.match(self.source, self.position)
        if match is None:
            return ""
        self.position = match.end()
        return match[0]

    def _delimited(self, mark: str) -> str:
        """Read up to the closing mark; a backslash before the mark takes it literally."""
        start = self.position
        out: list[str] = []
        at = start + 1
        while at < len(self.source):
            char = self.source[at]
            if char == "\\" and self.source[at + 1 : at + 2] == mark:
                out.append(mark)
                at += 2
                continue
            if char == mark:
                self.position = at + 1
                return "".join(out)
            out.append(char)
            at += 1
        raise FilterError(f"this {mark} is never closed", start)
