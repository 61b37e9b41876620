"""Settings: one typed, frozen record, its checks, its sources, and the facade behind `app.conf`.

Settings            the record; `settings.replace(**values)` checks and copies
Conf                `app.conf`: attribute and item access, `update`, `settings` (the record)
load_object(obj, namespace, source), load_environment(environ)   sources -> checked values
"""

from tq.config.conf import Conf, LateSettingWarning, UnusedSettingWarning, mask_password
from tq.config.loading import load_environment, load_object
from tq.config.private_queues import QueueOptions, queue_options
from tq.config.settings import DEFAULTS, FIELD_NAMES, Settings

__all__ = [
    "DEFAULTS",
    "FIELD_NAMES",
    "Conf",
    "LateSettingWarning",
    "QueueOptions",
    "Settings",
    "UnusedSettingWarning",
    "load_environment",
    "load_object",
    "mask_password",
    "queue_options",
]
