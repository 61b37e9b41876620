"""The app's configuration."""

from django.apps import AppConfig


class OrdersConfig(AppConfig):
    name = "tests.support.shop.orders"
    label = "orders"
