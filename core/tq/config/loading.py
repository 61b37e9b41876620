"""Where settings come from: objects, modules, mappings, and the environment.

Later sources win: defaults, the constructor's arguments, the configuration object, environment
variables, later writes to `app.conf`.

Source: SETTINGS.md; celery/app/utils.py, `detect_settings`; celery/loaders/base.py.
"""

import importlib
import os
from collections.abc import Mapping
from types import ModuleType
from typing import Any

from tq.config.aliases import OLD_NAMES, UNUSED_NAMES, canonical
from tq.config.checks import env_text, nearest, unknown_name
from tq.config.settings import FIELD_NAMES
from tq.errors import ConfigError

__all__ = ["load_environment", "load_object", "normalise"]

_ENVIRONMENT = {
    "BROKER_URL": "broker_url",
    "BROKER_READ_URL": "broker_read_url",
    "BROKER_WRITE_URL": "broker_write_url",
    "RESULT_BACKEND": "result_backend",
}
# Prefixes that no module uses for anything but our settings.
_OURS = ("CELERY_", "CELERYD_", "CELERYBEAT_", "BROKER_")


def normalise(values: Mapping[str, Any], source: str) -> dict[str, Any]:
    """Translate every spelling of a setting to today's; any unknown name is an error.

    Raises:
        ConfigError: A name is unknown.
    """
    found: dict[str, Any] = {}
    for name, value in values.items():
        known = canonical(name)
        if known is None:
            raise unknown_name(name, FIELD_NAMES, source)
        found[known] = value
    return found


def load_environment(environ: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Read broker and backend addresses: `TQ_BROKER_URL` before `CELERY_BROKER_URL`, and so on.

    Args:
        environ: The process's own environment by default.
    """
    environ = os.environ if environ is None else environ
    found: dict[str, Any] = {}
    for suffix, name in _ENVIRONMENT.items():
        value = environ.get(f"TQ_{suffix}") or environ.get(f"CELERY_{suffix}")
        if value:
            found[name] = env_text(value)
    return found


def load_object(
    obj: Any, namespace: str | None = None, source: str | None = None
) -> dict[str, Any]:
    """Read settings from a mapping, module, class or other object.

    Without a namespace the names are today's lower-case ones, or Celery 3's upper-case ones, never
    both. With one, `<NAMESPACE>_<NAME>` in upper case. A mapping may hold nothing but settings. A
    module holds other things too: a name there that is no setting is an error only when it is close
    to one.

    Args:
        obj: The object, or the name of a module, or `module:attribute`.
        namespace: The prefix without its underscore, or None.
        source: How errors name the source; by default what `obj` is called.

    Raises:
        ConfigError: The module does not import, a name is unknown, or spellings are mixed.
    """
    if isinstance(obj, str):
        source = source or obj
        obj = _import(obj)
    source = source or _name_of(obj)
    # Not `isinstance`, which would make Django's settings load before errors are expected.
    if issubclass(type(obj), Mapping):
        values, strict = dict(obj), namespace is None
    else:
        values, strict = _attributes(obj, source), False
    if namespace:
        return _with_prefix(values, namespace.rstrip("_") + "_", source)
    return _without_prefix(values, strict, source)


def _import(path: str) -> Any:
    name, _, attribute = path.partition(":")
    try:
        found: Any = importlib.import_module(name)
        for part in attribute.split(".") if attribute else ():
            found = getattr(found, part)
    except ModuleNotFoundError as exc:
        if "." in path and not attribute and not _parent_missing(path, exc):
            head, _, tail = path.rpartition(".")
            return _import(f"{head}:{tail}")
        raise ConfigError(f"configuration {path!r}: {exc}", source=path) from exc
    except AttributeError as exc:
        raise ConfigError(f"configuration {path!r}: {exc}", source=path) from exc
    except Exception as exc:  # a configuration file may raise whatever it likes
        raise ConfigError(
            f"configuration {path!r} does not import: {type(exc).__name__}: {exc}", source=path
        ) from exc
    return found


def _parent_missing(path: str, exc: ModuleNotFoundError) -> bool:
    """Tell whether what is missing is not the last part of `path`, so that it is no attribute."""
    return exc.name != path


def _name_of(obj: Any) -> str:
    if issubclass(type(obj), ModuleType):
        return str(obj.__name__)
    if issubclass(type(obj), Mapping):
        return "settings"
    return str(obj.__qualname__) if issubclass(type(obj), type) else type(obj).__qualname__


def _attributes(obj: Any, source: str) -> dict[str, Any]:
    try:
        names = [name for name in dir(obj) if not name.startswith("_")]
        return {name: getattr(obj, name) for name in names}
    except Exception as exc:  # Django's settings load when they are first looked at
        raise ConfigError(
            f"configuration {source!r} does not load: {type(exc).__name__}: {exc}", source=source
        ) from exc


def _with_prefix(values: dict[str, Any], prefix: str, source: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in values.items():
        if not key.startswith(prefix):
            continue
        known = canonical(key[len(prefix) :].lower()) or canonical(key)
        if known is not None:
            found[known] = value
        elif nearest(key[len(prefix) :], FIELD_NAMES):
            raise unknown_name(key, (prefix + name.upper() for name in FIELD_NAMES), source)
    return found


def _without_prefix(values: dict[str, Any], strict: bool, source: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    spellings: dict[str, str] = {}
    for key, value in values.items():
        known = canonical(key)
        if known is not None:
            found[known] = value
            spellings["old" if key.isupper() else "new"] = key
        elif strict or _looks_meant(key, value):
            raise unknown_name(key, FIELD_NAMES, source)
    if len(spellings) > 1:
        raise ConfigError(
            f"{source} mixes old and new setting names ({spellings['old']}, {spellings['new']}); "
            f"write {canonical(spellings['old'])} for {spellings['old']}",
            source=source,
        )
    return found


def _looks_meant(key: str, value: Any) -> bool:
    """Tell whether an attribute of a module was most likely meant as a setting."""
    if isinstance(value, ModuleType) or callable(value):
        return False
    if key.isupper():
        return key.startswith(_OURS) and nearest(key, _old_spellings()) is not None
    return key.islower() and nearest(key, [*FIELD_NAMES, *UNUSED_NAMES]) is not None


def _old_spellings() -> list[str]:
    return [name.lower() for name in (*OLD_NAMES, *(f"CELERY_{new}" for new in FIELD_NAMES))]
