"""A program of the project: places orders in transactions and prints what became of them."""

import json

import django

from tests.support.shop.app import app

django.setup()

from django.db import connection, transaction  # noqa: E402

from tests.support.shop.orders.models import Order  # noqa: E402
from tests.support.shop.orders.tasks import pack  # noqa: E402

with connection.schema_editor() as editor:
    editor.create_model(Order)
waiting = lambda: app.broker.depths(["shop"])["shop"]  # noqa: E731
told = {}
try:
    with transaction.atomic():
        order = Order.objects.create(item="ink")
        pack.delay_on_commit(order.pk)
        raise KeyError("no ink")
except KeyError:
    told["after rollback"] = waiting()
with transaction.atomic():
    order = Order.objects.create(item="paper")
    pack.delay_on_commit(order.pk)
    told["before commit"] = waiting()
    told["wrong call"] = None
    try:
        pack.delay_on_commit()
    except TypeError as exc:
        told["wrong call"] = str(exc)
told["after commit"] = waiting()
told["order"] = order.pk
print(json.dumps(told))
app.close()
