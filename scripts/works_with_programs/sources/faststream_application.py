"""Copies records to another topic, in capitals: FastStream."""

import asyncio
import sys

from faststream import FastStream
from faststream.kafka import KafkaBroker

bootstrap, source, target, group = sys.argv[1:]
broker = KafkaBroker(bootstrap)


@broker.subscriber(source, group_id=group, auto_offset_reset="earliest")
@broker.publisher(target)
async def capitals(value: str) -> str:
    return value.upper()


asyncio.run(FastStream(broker).run())
