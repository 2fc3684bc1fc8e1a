"""Copies records to another topic, in capitals: Faust."""

import sys

import faust

bootstrap, source, target, group = sys.argv[1:]
app = faust.App(
    group,
    broker=f"kafka://{bootstrap}",
    value_serializer="raw",
    consumer_auto_offset_reset="earliest",
    topic_disable_leader=True,
    web_enabled=False,
)
taken, given = app.topic(source), app.topic(target)


@app.agent(taken)
async def capitals(values):
    async for value in values:
        await given.send(value=value.upper())


sys.argv[1:] = ["worker", "--without-web", "--loglevel", "warn"]
app.main()
