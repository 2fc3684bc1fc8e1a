"""Variables that Kubernetes sets in every container, for every service of its namespace.

A service called ``tidelog-kafka`` brings ``TIDELOG_KAFKA_PORT=tcp://10.0.0.7:9092`` and more:
kubernetes.io/docs/concepts/services-networking/service/#environment-variables.
"""

from __future__ import annotations

import re

_HOST = r"(?:\d{1,3}(?:\.\d{1,3}){3}|[0-9a-fA-F]*:[0-9a-fA-F:.]+)"
_URL = r"(?:tcp|udp|sctp)://(?:\d{1,3}(?:\.\d{1,3}){3}|\[[0-9a-fA-F:.]+\]):\d{1,5}"
_SHAPE = re.compile(
    rf"""
    [A-Z][A-Z0-9_]*_
    (?: SERVICE_HOST={_HOST}
      | SERVICE_PORT(?:_[A-Z0-9_]+)?=\d{{1,5}}
      | PORT={_URL}
      | PORT_\d{{1,5}}_(?:TCP|UDP|SCTP)
        (?: ={_URL} | _PROTO=(?:tcp|udp|sctp) | _PORT=\d{{1,5}} | _ADDR={_HOST} )
    )
    """,
    re.VERBOSE | re.ASCII,
)


def is_service_variable(name: str, value: str) -> bool:
    """Whether both name and value are as Kubernetes writes them."""
    return _SHAPE.fullmatch(f"{name}={value}") is not None
