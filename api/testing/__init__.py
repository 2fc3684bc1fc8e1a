"""A real broker for the tests of other projects: a process of its own, gone when the test is.

    from tidelog.testing import TidelogBroker

    with TidelogBroker() as broker:
        producer = KafkaProducer(bootstrap_servers=broker.kafka)

Nothing of the broker is imported into the process that tests. With unittest, start it in
``setUpModule`` or ``setUpClass``; with asyncio, ``async with`` does not block the event loop.
With pytest there are fixtures: see ``tidelog.api.pytest_plugin``.

A test can stop it in every way: ``broker.kill()`` is a crash, ``start()`` after it brings it back
at the same addresses with the same data, ``restart()`` does both in order; between
``broker.pause()`` and ``resume()``, or in ``with broker.paused():``, it is there and silent. With
``broker.clock.advance(hours=2)`` time passes, for retention, sessions and delays.

The broker has the defaults of ``tidelog serve`` but for one: ``flush.mode`` is ``os``, so that
``acks=all`` does not wait for the disk. No test can tell the difference short of cutting the
power, and the slow disks of continuous integration cost each acknowledgement milliseconds.
Settings in ``TIDELOG_*`` variables or in a ``tidelog.toml`` do not reach it.
"""

from tidelog.api.testing.broker import BrokerNotRunning, BrokerNotStarted, TidelogBroker
from tidelog.api.testing.clock import BrokerClock

__all__ = ["BrokerClock", "BrokerNotRunning", "BrokerNotStarted", "TidelogBroker"]
