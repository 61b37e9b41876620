"""When periodic tasks are due: intervals, crontabs, the sun. Pure: reads no clock but `now()`.

Source: celery/schedules.py; RELIABILITY 6.7.
"""

from tq.schedules.base import BaseSchedule, schedstate
from tq.schedules.cron import crontab
from tq.schedules.fields import ParseException, crontab_parser
from tq.schedules.given import maybe_schedule
from tq.schedules.interval import schedule
from tq.schedules.sun import solar

__all__ = [
    "BaseSchedule",
    "ParseException",
    "crontab",
    "crontab_parser",
    "maybe_schedule",
    "schedstate",
    "schedule",
    "solar",
]
