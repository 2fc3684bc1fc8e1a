"""Writes a hundred records and reads them as a group: confluent-kafka."""

import sys

from confluent_kafka import Consumer, Producer

bootstrap, topic, group = sys.argv[1:]
wanted = {f"value {n}" for n in range(100)}

producer = Producer({"bootstrap.servers": bootstrap, "compression.type": "zstd"})
for n in range(100):
    producer.produce(topic, key=f"key {n}", value=f"value {n}")
assert producer.flush(60) == 0

settings = {"group.id": group, "auto.offset.reset": "earliest", "enable.auto.commit": False}
consumer = Consumer({"bootstrap.servers": bootstrap, **settings})
consumer.subscribe([topic])
seen = set()
while seen < wanted:
    message = consumer.poll(60)
    assert message is not None
    assert message.error() is None, message.error()
    seen.add(message.value().decode())
consumer.commit(asynchronous=False)
consumer.close()
