"""The short name of ``tidelog.api.testing``: a real broker for the tests of other projects."""

from tidelog.api.testing import BrokerClock, BrokerNotRunning, BrokerNotStarted, TidelogBroker

__all__ = ["BrokerClock", "BrokerNotRunning", "BrokerNotStarted", "TidelogBroker"]
