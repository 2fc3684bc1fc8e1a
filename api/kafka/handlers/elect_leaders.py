"""ElectLeaders, 0-2: with one broker every partition has its preferred leader already."""

from __future__ import annotations

from typing import Any

from tidelog.api.caller import ALTER, DESCRIBE
from tidelog.api.error_codes import ELECTION_NOT_NEEDED, INVALID_REQUEST
from tidelog.api.kafka.lookups import code_of, not_authorized
from tidelog.api.kafka.peer import Call
from tidelog.api.kafka.wire.apis import Api
from tidelog.api.kafka.wire.encoding import Values

API = Api(key=43, name="elect_leaders", versions=(0, 2), flexible_from=2)

_PREFERRED, _UNCLEAN = 0, 1


def handle(call: Call, request: Any) -> Values:
    """One answer for each partition; null asks for all, and tells only of those elected."""
    kind = getattr(request, "election_type", _PREFERRED)
    forbidden = not_authorized(call, ALTER)
    if forbidden is not None:
        return {**forbidden, "replica_election_results": ()}
    refusal = None
    elected: dict[str, list[dict[str, Any]]]
    if kind not in (_PREFERRED, _UNCLEAN):
        refusal = INVALID_REQUEST, f"there is no election type {kind}"
    if request.topic_partitions is None:
        elected = {} if refusal else {topic.name: [] for topic in call.access.topics(DESCRIBE)}
    else:
        elected = {
            asked.topic: [_result(call, asked.topic, index, refusal) for index in asked.partitions]
            for asked in request.topic_partitions
        }
    results = [{"topic": topic, "partition_result": one} for topic, one in elected.items()]
    return {"error_code": refusal[0] if refusal else 0, "replica_election_results": results}


def _result(call: Call, topic: str, index: int, refusal: tuple[int, str] | None) -> dict[str, Any]:
    code, message = refusal or (ELECTION_NOT_NEEDED, "the preferred replica is the leader")
    if refusal is None:
        try:
            call.access.topic(topic, DESCRIBE).partition(index)
        except Exception as error:
            code, message = code_of(error), str(error)
    return {"partition_id": index, "error_code": code, "error_message": message}
