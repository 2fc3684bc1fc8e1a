"""Writes a hundred records and reads them as a group: aiokafka."""

import asyncio
import sys

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer


async def round_trip(bootstrap: str, topic: str, group: str) -> None:
    wanted = {f"value {n}" for n in range(100)}
    async with AIOKafkaProducer(
        bootstrap_servers=bootstrap, enable_idempotence=True, compression_type="gzip"
    ) as producer:
        for n in range(100):
            await producer.send(topic, key=b"key %d" % n, value=b"value %d" % n)
    async with AIOKafkaConsumer(
        topic,
        bootstrap_servers=bootstrap,
        group_id=group,
        auto_offset_reset="earliest",
        enable_auto_commit=False,
    ) as consumer:
        seen = set()
        while seen < wanted:
            seen.add((await consumer.getone()).value.decode())
        await consumer.commit()


asyncio.run(round_trip(*sys.argv[1:]))
