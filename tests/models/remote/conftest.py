"""A server that does what a test tells it to, and a model of it."""

from collections.abc import Iterator

import pytest
from faulty_server import FaultyServer, faulty_server, opened
from patlm.models.remote.chat_model import RemoteChatModel


@pytest.fixture
def server() -> Iterator[FaultyServer]:
    with faulty_server() as server:
        yield server


@pytest.fixture
def model(server: FaultyServer) -> Iterator[RemoteChatModel]:
    """Three attempts a call; the circuit opens after five failures in a row."""
    with opened(server.url) as model:
        yield model
