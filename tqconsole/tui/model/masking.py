"""Secrets in arguments, results and errors: their values are replaced before they are shown.

Source: CONSOLE 5, RELIABILITY 7.15.
"""

import re
from functools import lru_cache

__all__ = ["MASK", "SECRET_NAMES", "masked"]

MASK = "****"

# A key is secret when one of these is in its name: `db_password`, `access-token`.
SECRET_NAMES = (
    "password", "passwd", "pwd", "secret", "token", "credential", "authorization", "cookie",
)  # fmt: skip
# `key` is a part of too many words (monkey, keyboard) and of a queue's own terms, so it must stand
# alone or after one of its own: `key`, `api_key`, `apiKey`, but not `routing_key`.
_KEY = (
    r"(?<!routing[_-])(?<!binding[_-])(?<!primary[_-])(?<!foreign[_-])"
    r"(?:(?<![A-Za-z])[kK][eE][yY](?![a-z])|(?<=[a-z])Key(?![a-z])|(?i:apikey))"
)
_NAMES = "|".join((*SECRET_NAMES, "api[_-]?key"))
_SECRET = rf"(?:(?i:{'|'.join(SECRET_NAMES)})|{_KEY})"
# A name in quotes or a bare one, then `:` or `=`, then a text in quotes that may have been cut, a
# bracketed value without brackets inside, or whatever ends at a comma or a closing bracket. The
# last way of naming is that of errors and source lines (`password: x`, `token = 'x'`); the class
# of an error (`InvalidTokenError: ...`) is no name.
_PAIR = re.compile(
    rf"""(?P<name>
        (?P<quote>['"])[^'"]*?{_SECRET}[^'"]*(?P=quote)\s*:\s*
        |\b\w*?{_SECRET}\w*=(?!=)
        |\b(?!\w*(?:Error|Exception|Warning)\b)[\w-]*?(?i:{_NAMES})[\w-]*
            (?:\s*:\s+(?:(?i:bearer|basic|digest|token)\s+)?|\s+=\s+(?=b?['"]))
    )
    (?P<value>b?'(?:\\.|[^'\\])*(?:'|$)|b?"(?:\\.|[^"\\])*(?:"|$)
        |\[[^\]]*(?:\]|$)|\([^)]*(?:\)|$)|\{{[^}}]*(?:\}}|$)|[^,)\]}}\s&]+)""",
    re.VERBOSE | re.DOTALL,
)
_MAY = re.compile("|".join((*SECRET_NAMES, "key", "://")), re.IGNORECASE)
_URL = re.compile(r"(://[^/\s:@'\"]*:)[^@\s/'\"]+@")


@lru_cache(maxsize=2048)
def masked(text: str | None) -> str:
    """Return a text with the values of secret names replaced; None gives an empty text.

    Arguments travel as Python's or JSON's text, often cut, so this works on text and not on data.
    A name that only looks secret is masked as well: better a value too few than one too many.
    """
    if not text:
        return ""
    if _MAY.search(text) is None:
        return text
    return _URL.sub(rf"\1{MASK}@", _PAIR.sub(_replace, text))


def _replace(found: re.Match[str]) -> str:
    value = found["value"]
    mark = value[-1] if value[-1:] in "'\"" and value[:1] in "'\"" and len(value) > 1 else ""
    opening = value[0] if mark else ""
    return f"{found['name']}{opening}{MASK}{mark}"
