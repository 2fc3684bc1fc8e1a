"""Copies records to another topic, in capitals: Spark's structured streaming."""

import os
import sys
import tempfile

from pyspark.sql import SparkSession

bootstrap, source, target, group = sys.argv[1:]
session = (
    SparkSession.builder.master("local[1]")
    .appName(group)
    .config("spark.jars", os.environ["JARS"])
    .config("spark.ui.enabled", "false")
    .config("spark.driver.memory", "600m")
    .getOrCreate()
)
address = {"kafka.bootstrap.servers": bootstrap}
taken = session.readStream.format("kafka").options(
    **address, subscribe=source, startingOffsets="earliest"
)
capitals = taken.load().selectExpr("key", "upper(cast(value as string)) as value")
with tempfile.TemporaryDirectory() as checkpoints:
    given = capitals.writeStream.format("kafka").options(
        **address, topic=target, checkpointLocation=checkpoints
    )
    given.trigger(availableNow=True).start().awaitTermination()
