"""The table of what works as in Celery, written from the code of both.

celery_names.py   the names that the installed Celery has
evidence.py       what tq's source really reads and sends
verdicts.py       why a name differs or is not provided; nothing else about it is written by hand
seen.py           what differs when one project runs on both; the tests accept that and no more
page.py           the table, and what contradicts itself in it

`python -m tools.compatibility` writes core/docs/compatibility.md.
"""
