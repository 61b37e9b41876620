"""The app's tasks, shared by every application."""

from tests.support.shop.orders.models import Order
from tq import shared_task


@shared_task
def pack(order_id):
    return Order.objects.filter(pk=order_id).update(packed=True)
