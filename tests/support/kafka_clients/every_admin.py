"""The admin client of every library, by the library's name."""

from __future__ import annotations

from collections.abc import Callable

from tests.support.kafka_clients.aio_admin import AiokafkaAdmin
from tests.support.kafka_clients.confluent_admin import ConfluentAdmin
from tests.support.kafka_clients.contract import KafkaAdmin
from tests.support.kafka_clients.kafka_python_admin import KafkaPythonAdmin
from tests.support.kafka_clients.kafkajs_admin import KafkajsAdmin

ADMINS: dict[str, Callable[[str], KafkaAdmin]] = {
    "confluent-kafka": ConfluentAdmin,
    "kafka-python": KafkaPythonAdmin,
    "aiokafka": AiokafkaAdmin,
    "kafkajs": KafkajsAdmin,
}
