"""The project's application, as Celery's documentation tells Django users to write it."""

import os

from tq import TQ

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.support.shop.settings")

app = TQ("shop", broker=os.environ["PEER_URL"], backend=os.environ["PEER_URL"])
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
