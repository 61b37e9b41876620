"""Which nodes a command is for.

Patterns come from whoever can publish, so matching one must not take long whatever it is.

Source: PROTOCOL 8.1; kombu/matcher.py; RELIABILITY 7, item 19.
"""

import re
from functools import lru_cache

from tq.wire.command import Command

__all__ = ["addressed_to", "glob_match", "matches"]

_LONGEST_PATTERN = 512
_MOST_REPEATS = 3
_REPEATED_GROUP = re.compile(r"\)(?:[*+]|\{\d*,\d*\})")
_BACK_REFERENCE = re.compile(r"\\[1-9]|\(\?P=|\(\?\(")
_REPEAT = re.compile(r"(?<!\\)(?:[*+]|\{\d*,\d*\})")


def addressed_to(hostname: str, command: Command) -> bool:
    """Tell whether a command is for the node `hostname`.

    Destinations rule over a pattern; a pattern without a matcher reaches everybody, as in Celery.

    Raises:
        ValueError: The pattern cannot be used.
    """
    if command.destination:
        return hostname in command.destination
    if command.pattern and command.matcher:
        return matches(hostname, command.pattern, command.matcher)
    return True


def matches(hostname: str, pattern: str, matcher: str) -> bool:
    """Tell whether a node's name fits a pattern.

    Args:
        hostname: The node's name.
        pattern: The pattern, at most 512 characters.
        matcher: `glob`, or `pcre` for a regular expression anchored at the start.

    Raises:
        ValueError: No such matcher, or the pattern is not valid, too long, or could take long.
    """
    if len(pattern) > _LONGEST_PATTERN:
        raise ValueError(f"pattern of {len(pattern)} characters; at most {_LONGEST_PATTERN}")
    if matcher == "glob":
        return glob_match(hostname, pattern)
    if matcher == "pcre":
        return _compiled(pattern).match(hostname[:_LONGEST_PATTERN]) is not None
    raise ValueError(f"no matcher {matcher[:50]!r}; there are glob and pcre")


def glob_match(text: str, pattern: str) -> bool:
    """Match `*`, `?`, `[abc]` and `[!abc]`, in time proportional to both lengths at worst.

    Only the last `*` is ever retried, so there is no backtracking over combinations.
    """
    tokens = _tokens(pattern)
    at = token = 0
    star, resume = -1, 0
    while at < len(text):
        wanted = tokens[token] if token < len(tokens) else None
        if wanted == "*":
            star, resume = token, at
            token += 1
        elif wanted is not None and _fits(text[at], wanted):
            at += 1
            token += 1
        elif star >= 0:
            resume += 1
            at, token = resume, star + 1
        else:
            return False
    return all(rest == "*" for rest in tokens[token:])


def _fits(char: str, token: str) -> bool:
    """Match one character against one token of a glob."""
    if token == "?":
        return True
    if len(token) == 1:
        return char == token
    negated = token[1] == "!"
    allowed = token[2 if negated else 1 : -1]
    return _in_class(char, allowed) is not negated


def _in_class(char: str, allowed: str) -> bool:
    """Tell whether a character is in a class such as `a-z_`."""
    at = 0
    while at < len(allowed):
        if at + 2 < len(allowed) and allowed[at + 1] == "-":
            if allowed[at] <= char <= allowed[at + 2]:
                return True
            at += 3
        else:
            if allowed[at] == char:
                return True
            at += 1
    return False


@lru_cache(maxsize=64)
def _tokens(pattern: str) -> tuple[str, ...]:
    """Split a glob into single characters, `*`, `?` and classes in brackets."""
    tokens: list[str] = []
    at = 0
    while at < len(pattern):
        if pattern[at] == "[":
            # A bracket directly after `[` or `[!` belongs to the class.
            first = at + (2 if pattern[at + 1 : at + 2] == "!" else 1)
            end = pattern.find("]", first + 1)
            if end > 0:
                tokens.append(pattern[at : end + 1])
                at = end + 1
                continue
            tokens.append("[[]")
        elif pattern[at] != "*" or not tokens or tokens[-1] != "*":
            tokens.append(pattern[at])
        at += 1
    return tuple(tokens)


@lru_cache(maxsize=64)
def _compiled(pattern: str) -> re.Pattern[str]:
    """Compile a regular expression whose cost on a node name is small.

    Repeated groups and references are what makes matching exponential, and each further repeat
    multiplies the cost by the name's length; node names need none of that.
    """
    if _REPEATED_GROUP.search(pattern) or _BACK_REFERENCE.search(pattern):
        raise ValueError("pattern repeats a group or refers back; a node pattern may not")
    if len(_REPEAT.findall(pattern)) > _MOST_REPEATS:
        raise ValueError(f"pattern with more than {_MOST_REPEATS} repeats")
    try:
        return re.compile(pattern)
    except (re.error, RecursionError, OverflowError) as error:
        raise ValueError(f"not a regular expression: {error}") from error
