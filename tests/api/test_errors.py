"""The table of errors: complete, and in words and codes that doors may send."""

from __future__ import annotations

import re
from types import ModuleType

import pytest

from tidelog.api.errors import ANSWERS, ApiError, http_error, kafka_error
from tidelog.api.rest.administration.answers import errors as documented
from tidelog.broker import errors as broker
from tidelog.consumer_groups import errors as groups
from tidelog.storage import errors as storage

BASES = (broker.BrokerError, groups.GroupError, storage.StorageError)


@pytest.mark.parametrize("module", [broker, groups, storage], ids=lambda module: module.__name__)
def test_every_exception_has_an_answer(module: ModuleType) -> None:
    raised = {
        kind
        for kind in vars(module).values()
        if isinstance(kind, type) and issubclass(kind, BASES) and kind not in BASES
    }
    assert raised
    assert {kind.__name__ for kind in raised - ANSWERS.keys()} == set()


@pytest.mark.parametrize("kind", ANSWERS, ids=lambda kind: kind.__name__)
def test_answers_are_errors_of_the_caller_or_of_the_moment(kind: type[Exception]) -> None:
    """Only damage on disk is neither."""
    answer = ANSWERS[kind]
    damaged = kind is storage.CorruptBatch
    assert 400 <= answer.status < 500 or answer.status in (500 if damaged else 503, 507)
    assert documented(answer.status)[answer.status]["description"]
    assert re.fullmatch(r"[a-z]+(_[a-z]+)*", answer.code)
    assert answer.kafka_code > 0


def test_codes_are_told_apart() -> None:
    codes = [answer.code for answer in ANSWERS.values()]
    assert len(codes) == len(set(codes))


def test_details_are_the_attributes() -> None:
    told = http_error(groups.IllegalGeneration("g", 3, 5))
    assert (told.status, told.code) == (409, "illegal_generation")
    assert told.details == {"group": "g", "generation": 3, "current": 5}
    assert kafka_error(groups.IllegalGeneration("g", 3, 5)) == 22


def test_what_people_have_to_do_is_said() -> None:
    assert "POST /v1/topics" in http_error(broker.UnknownTopic("t")).message
    assert "join again" in http_error(groups.UnknownMember("g", "m")).message


def test_our_own_mistakes_say_nothing() -> None:
    told = http_error(KeyError("secret"))
    assert (told.status, told.details) == (500, {})
    assert "secret" not in told.message
    assert kafka_error(KeyError("secret")) == -1


def test_a_door_refuses_in_its_own_words() -> None:
    told = http_error(ApiError(422, "invalid_parameter", "no", parameter="x"))
    assert told == (422, "invalid_parameter", "no", {"parameter": "x"})
