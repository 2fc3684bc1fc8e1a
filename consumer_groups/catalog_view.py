"""The broker's topics as groups of the new protocol look at them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from tidelog.broker.broker import Broker
from tidelog.broker.errors import UnknownTopic
from tidelog.consumer_groups.consumer.consumer_group import TopicInfo


class CatalogView(Mapping[str, TopicInfo]):
    """Always what the broker has at the moment."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker

    def __getitem__(self, name: str) -> TopicInfo:
        try:
            topic = self._broker.topic(name)
        except UnknownTopic:
            raise KeyError(name) from None
        return TopicInfo(topic.id, len(topic.partitions))

    def __iter__(self) -> Iterator[str]:
        return (topic.name for topic in self._broker.topics())

    def __len__(self) -> int:
        return len(self._broker.topics())
