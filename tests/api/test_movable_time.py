"""A clock and an event loop that a test moves: what waits for time, and what time it is."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator

import pytest

from tidelog.api.movable_time import MovableClock, MovableLoop, MovableTime
from tidelog.broker.clock import Clock

HOUR_S = 3600


@pytest.fixture
def loop() -> Iterator[MovableLoop]:
    made = MovableLoop()
    yield made
    made.close()


def test_timers_are_called_when_their_time_has_passed(loop: MovableLoop) -> None:
    called: list[str] = []

    async def wait() -> None:
        for hours in (3, 1, 2):
            loop.call_later(hours * HOUR_S, called.append, f"{hours}h")
        loop.call_at(loop.time() + 4 * HOUR_S, called.append, "4h")
        loop.call_later(0.5 * HOUR_S, called.append, "never").cancel()
        for expected in ("", "1h", "1h 2h 3h", "1h 2h 3h 4h"):
            await asyncio.sleep(0)
            assert " ".join(called) == expected
            loop.pass_time(HOUR_S * (1 if len(called) in (0, 3) else 2))

    loop.run_until_complete(wait())


def test_timers_are_called_by_themselves_too(loop: MovableLoop) -> None:
    async def wait() -> list[str]:
        called: list[str] = []
        later = loop.create_future()
        loop.call_later(0.02, later.set_result, None)
        loop.call_later(0.01, called.append, "second")
        loop.call_later(0, called.append, "first")
        await later
        return called

    assert loop.run_until_complete(wait()) == ["first", "second"]


def test_what_waits_by_the_loop(loop: MovableLoop) -> None:
    async def wait() -> None:
        before = loop.time()
        sleeping = asyncio.create_task(asyncio.sleep(HOUR_S, "slept"))
        limited = asyncio.create_task(asyncio.wait_for(asyncio.Event().wait(), HOUR_S))
        await asyncio.sleep(0)
        loop.pass_time(HOUR_S)
        assert await sleeping == "slept"
        with pytest.raises(TimeoutError):
            await limited
        assert loop.time() - before == pytest.approx(HOUR_S, abs=60)

    loop.run_until_complete(wait())


def test_the_wall_goes_anywhere_and_steady_time_only_on() -> None:
    clock, machine = MovableClock(-5000), Clock()
    steady = clock.monotonic_ms()
    assert abs(clock.now_ms() - machine.now_ms() + 5000) < 1000
    assert clock.move(10_000) == 15_000
    assert clock.move(-1_000_000) == 0
    assert clock.move(-990_000) == 10_000
    assert abs(clock.now_ms() - machine.now_ms() + 990_000) < 1000
    assert 25_000 <= clock.monotonic_ms() - steady < 26_000
    assert abs(clock.monotonic_ns() // 1_000_000 - clock.monotonic_ms()) < 1000


@pytest.mark.parametrize("line", ["", "{", "7", "[]", "{}", '{"ahead_ms": "x"}', "\x00", "€"])
def test_lines_that_say_nothing(line: str, caplog: pytest.LogCaptureFixture) -> None:
    """They are told and leave the time alone; lines may come in pieces and many at once."""
    movable, told = MovableTime(0), asyncio.Queue[str]()

    async def caught_up() -> None:
        assert movable.clock.ahead_ms in (1000, 2000)

    async def follow() -> list[str]:
        movable.follow(caught_up, told.put_nowait)
        said = f'{line}\n{{"ahead_ms": 1000}}\n{{"ahead_ms": 2000}}\n'.encode()
        for piece in (said[:5], said[5:]):
            movable.heard(piece)
        return [await told.get(), await told.get()]

    with asyncio.Runner(loop_factory=lambda: movable.loop) as runner:
        answers = runner.run(follow())
    first, second = (json.loads(answer) for answer in answers)
    assert first["event"] == second["event"] == "clock"
    assert 1000 <= second["now_ms"] - first["now_ms"] < 2000
    assert "standard input" in caplog.text
