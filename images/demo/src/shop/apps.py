"""Django's entry point to the shop."""

from django.apps import AppConfig


class ShopConfig(AppConfig):
    """Connects the ledger once the models exist."""

    name = "shop"

    def ready(self) -> None:
        """Import the ledger, whose import connects its signal handlers."""
        from shop import ledger  # noqa: F401
