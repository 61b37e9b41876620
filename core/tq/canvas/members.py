"""A group's members, which a generator may still be making.

Source: celery/utils/functional.py, `regen`: a header's first parts run while the last are still
made (celery#3021).
"""

import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any, SupportsIndex

__all__ = ["Members", "members_of"]

# What a generator gives by then is taken when the group is made, as from a list: its errors show
# there, and its variables have the values they have there. Only long or slow ones are read later.
FIRST = 1000
FIRST_SECONDS = 0.5

_NOT_OF_ITS_CONTENT = frozenset({"__class_getitem__", "__getattribute__", "__new__", "__sizeof__"})


def members_of(values: Iterable[Any], convert: Callable[[Any], Any]) -> list[Any]:
    """Return `values`, each passed through `convert`; a long or slow generator is read in part.

    Args:
        values: Signatures, in any iterable.
        convert: Makes a member of a value.
    """
    if isinstance(values, Members):
        return values  # converted already, and shared as far as it is made
    if isinstance(values, list | tuple):
        return [convert(value) for value in values]
    rest = map(convert, values)
    deadline = time.monotonic() + FIRST_SECONDS
    made = []
    for member in rest:
        made.append(member)
        if len(made) >= FIRST or time.monotonic() >= deadline:
            return Members(made, rest)
    return made


class Members(list[Any]):
    """A list whose tail is made when somebody looks there: every method of a list sees all of it.

    Iterating makes one member at a time, so that a caller can act on the first while the last is
    not there yet. Pickled and copied as a plain list.
    """

    __slots__ = ("_error", "_rest")

    def __init__(self, made: Iterable[Any], rest: Iterator[Any]) -> None:
        """Begin with `made`, one at least; `rest` gives what follows."""
        super().__init__(made)
        self._rest = rest
        self._error: Exception | None = None

    def _more(self) -> bool:
        """Make one more member; False when there is none. A generator's error is raised again."""
        if self._error is not None:
            raise self._error
        try:
            member = next(self._rest)
        except StopIteration:
            return False
        except Exception as exc:  # a generator that failed only says that it is at its end
            self._error = exc
            raise
        list.append(self, member)
        return True

    def fill(self) -> None:
        """Make all members."""
        while self._more():
            pass

    def __iter__(self) -> Iterator[Any]:
        """Yield what is there, then what comes; several readers may be under way."""
        at = 0
        while at < list.__len__(self) or self._more():
            yield list.__getitem__(self, at)
            at += 1

    def __bool__(self) -> bool:
        """Say yes without making more."""
        return list.__len__(self) > 0

    def __getitem__(self, index: Any) -> Any:
        """Return a member, or several; only as many are made as that takes."""
        last = index.stop if isinstance(index, slice) else index
        if last is None or last < 0:
            self.fill()
        while last is not None and list.__len__(self) <= last and self._more():
            pass
        return list.__getitem__(self, index)

    def __radd__(self, other: list[Any]) -> list[Any]:
        """Return a plain list of both."""
        return [*other, *self]

    def __reduce_ex__(self, protocol: SupportsIndex) -> tuple[Any, ...]:
        """Pickle and copy as a plain list."""
        return list, (list(self),)


def _on_the_whole(method: Callable[..., Any]) -> Callable[..., Any]:
    def on_the_whole(*args: Any, **options: Any) -> Any:
        for arg in args:
            if isinstance(arg, Members):
                arg.fill()
        return method(*args, **options)

    on_the_whole.__doc__ = method.__doc__
    return on_the_whole


for _name, _method in vars(list).items():
    if callable(_method) and _name not in vars(Members) and _name not in _NOT_OF_ITS_CONTENT:
        setattr(Members, _name, _on_the_whole(_method))
