"""Writes a hundred records and reads them as a group: kafka-python."""

import sys

from kafka import KafkaConsumer, KafkaProducer

bootstrap, topic, group = sys.argv[1:]
wanted = {f"value {n}" for n in range(100)}

producer = KafkaProducer(bootstrap_servers=bootstrap)
for n in range(100):
    producer.send(topic, key=b"key %d" % n, value=b"value %d" % n)
producer.flush(60)
producer.close()

consumer = KafkaConsumer(
    topic,
    bootstrap_servers=bootstrap,
    group_id=group,
    auto_offset_reset="earliest",
    enable_auto_commit=False,
)
seen = set()
while seen < wanted:
    seen.add(next(consumer).value.decode())
consumer.commit()
consumer.close()
