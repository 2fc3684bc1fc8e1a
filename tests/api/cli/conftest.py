"""What tests of the command line share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.broker_process import BrokerProcess
from tests.support.written_topics import WrittenTopics


@pytest.fixture(scope="session")
def topics(broker: BrokerProcess) -> Iterator[WrittenTopics]:
    """Topics on the shared broker, and commands that use it."""
    topics = WrittenTopics(broker)
    yield topics
    topics.close()
