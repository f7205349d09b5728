"""What the HTTP server loads in each of its worker processes."""

from __future__ import annotations

from litestar import Litestar

from api.app import create_app
from gavel.settings import Settings, metrics_folder
from gavel.telemetry import configure_logging
from gavel.wiring import ApiProcess


def create(settings: Settings) -> Litestar:
    """The application of one API process; its lifespan connects it."""
    configure_logging(settings.log_level, process="api")
    process = ApiProcess(settings, multiprocess_metrics=metrics_folder())
    return create_app(process.services, lifespan=[process.opened])
