"""The built images, or a loud word about their absence."""

import os

import pytest

from fieldpipe.deploy.images import IMAGES
from tests.images.containers import Image

WRITABLE = {"airflow": ("/tmp", "/opt/airflow")}


@pytest.fixture
def worker() -> Image:
    return built("worker")


@pytest.fixture
def webhook() -> Image:
    return built("webhook")


@pytest.fixture
def airflow() -> Image:
    return built("airflow")


@pytest.fixture
def broker() -> Image:
    return built("broker")


@pytest.fixture(params=IMAGES)
def image(request: pytest.FixtureRequest) -> Image:
    """Each in turn."""
    return built(request.param)


def built(name: str) -> Image:
    """The image. Where it was not built its tests are skipped; where CI builds it (FIELDPIPE_REQUIRE_IMAGES=1) fail."""
    image = Image(name, writable=WRITABLE.get(name, ("/tmp",)))
    if not image.exists():
        message = f"there is no {image.reference} here: `make images` builds it"
        if os.environ.get("FIELDPIPE_REQUIRE_IMAGES"):
            pytest.fail(message)
        pytest.skip(message)
    return image
