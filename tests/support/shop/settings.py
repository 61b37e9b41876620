"""Settings of the project; `SHOP_DATABASE` is the path of its SQLite file."""

import os

SECRET_KEY = "only for tests"
INSTALLED_APPS = ["tests.support.shop.orders.apps.OrdersConfig", "django.contrib.contenttypes"]
DATABASES = {
    "default": {"ENGINE": "django.db.backends.sqlite3", "NAME": os.environ["SHOP_DATABASE"]}
}
USE_TZ = True
CELERY_TASK_DEFAULT_QUEUE = "shop"
CELERY_TASK_ALWAYS_EAGER = False
