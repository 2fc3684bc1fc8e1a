"""The admin client of every library that has one to speak of, by the library's name.

aiokafka's is not here: it creates, deletes and describes, but cannot delete groups or set
offsets, and sends the same requests as kafka-python, from which it descends.
"""

from __future__ import annotations

from collections.abc import Callable

from tests.support.kafka_clients.confluent_admin import ConfluentAdmin
from tests.support.kafka_clients.contract import KafkaAdmin
from tests.support.kafka_clients.kafka_python_admin import KafkaPythonAdmin
from tests.support.kafka_clients.kafkajs_admin import KafkajsAdmin

ADMINS: dict[str, Callable[[str], KafkaAdmin]] = {
    "confluent-kafka": ConfluentAdmin,
    "kafka-python": KafkaPythonAdmin,
    "kafkajs": KafkajsAdmin,
}
