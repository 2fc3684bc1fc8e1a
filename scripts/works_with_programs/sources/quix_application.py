"""Copies records to another topic, in capitals: Quix Streams."""

import sys

from quixstreams import Application

bootstrap, source, target, group = sys.argv[1:]
application = Application(
    broker_address=bootstrap, consumer_group=group, auto_offset_reset="earliest"
)
values = application.dataframe(application.topic(source, value_deserializer="str"))
values = values.apply(str.upper)
values.to_topic(application.topic(target, value_serializer="str"))
application.run()
