"""A Python Lightbus service: `lightbus run` serves its API and starts the listeners that LISTEN names.

What a listener is given is printed, one JSON object a line, so that a test can wait for it.
"""

import asyncio
import dataclasses
import json
import os
import traceback
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from enum import Enum
from typing import Any, Dict, List, NamedTuple, Optional, Set, Tuple, Union
from uuid import UUID

import lightbus
from lightbus import Api, Event, Parameter

# Lightbus 1.1.2 calls `traceback.format_exception(etype=…)`, a keyword Python 3.10 removed.
_format_exception = traceback.format_exception


def _with_etype(*arguments, etype=None, **options):
    return _format_exception(*((etype,) if etype else ()), *arguments, **options)


traceback.format_exception = _with_etype

bus = lightbus.create()


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


class Point(NamedTuple):
    x: int
    y: int = 0


@dataclass
class User:
    username: str
    admin: bool = False


class Money:
    """A class that says itself how it crosses the bus."""

    def __init__(self, amount):
        self.amount = amount

    def __to_bus__(self) -> str:
        return self.amount

    @classmethod
    def __from_bus__(cls, amount):
        return cls(amount)

    def __repr__(self):
        return f"Money({self.amount!r})"


class AuthApi(Api):
    """The API that the Rust peer (`crates/bus/examples/peer`) serves, too."""

    user_registered = Event(
        parameters=(
            Parameter("username", str),
            Parameter("email", str),
            Parameter("is_admin", bool, default=False),
        )
    )
    untyped = Event(parameters=("a", "b"))
    typed = Event(
        parameters=(
            Parameter("when", datetime),
            Parameter("day", date),
            Parameter("price", Decimal),
            Parameter("uid", UUID),
            Parameter("blob", bytes),
            Parameter("colour", Colour),
            Parameter("point", Point),
            Parameter("user", User),
            Parameter("tags", List[str]),
            Parameter("pair", Tuple[int, str]),
            Parameter("mapping", Dict[str, int]),
            Parameter("nothing", Optional[str], default=None),
            Parameter("num", float),
            Parameter("big", int),
            Parameter("anything", Any),
            Parameter("either", Union[int, str]),
            Parameter("money", Money),
            Parameter("phase", complex),
            Parameter("names", Set[str]),
        )
    )

    class Meta:
        name = "my_company.auth"

    def check_password(self, username: str, password: str) -> bool:
        return username == "admin" and password == "secret"

    async def add(self, a: int, b: int = 7) -> int:
        return a + b

    async def get_user(self, username: str) -> User:
        return User(username=username, admin=True)

    async def fail(self, why: str) -> None:
        raise ValueError("failed: " + why)

    async def slow(self, seconds: float) -> str:
        await asyncio.sleep(seconds)
        return "done"

    async def bad_result(self) -> bool:
        return "not a truth value"

    async def who_serves(self) -> str:
        return f"python {os.getpid()}"

    async def describe(
        self,
        when: datetime,
        day: date,
        price: Decimal,
        uid: UUID,
        blob: bytes,
        colour: Colour,
        point: Point,
        user: User,
        tags: List[str],
        mapping: Dict[str, int],
        money: Money,
        phase: complex,
        names: Set[str],
        nothing: Optional[str] = None,
    ) -> Dict[str, Any]:
        """Answers what each argument was cast to."""
        return {
            "when": when.isoformat(),
            "day": day.isoformat(),
            "price": str(price),
            "uid": str(uid),
            "blob": blob.hex(),
            "colour": colour.name,
            "point": [point.x, point.y],
            "user": dataclasses.asdict(user),
            "tags": tags,
            "mapping": mapping,
            "nothing": nothing,
            "money": money.amount,
            "phase": str(phase),
            "names": sorted(names),
        }

    async def typed_rpc(
        self,
        when: datetime,
        day: date,
        price: Decimal,
        uid: UUID,
        blob: bytes,
        colour: Colour,
        point: Point,
        user: User,
        tags: Optional[List[str]] = None,
    ) -> Dict[str, Any]:
        return {}


if os.environ.get("SERVE"):
    bus.client.register_api(AuthApi())


def say(**what):
    print(json.dumps(what, default=str), flush=True)


async def on_event(event, **parameters):
    say(
        heard=event.id,
        native_id=event.native_id,
        event=event.event_name,
        version=event.version,
        parameters={name: repr(value) for name, value in parameters.items()},
    )


async def on_typed(
    event,
    when: datetime,
    day: date,
    price: Decimal,
    uid: UUID,
    blob: bytes,
    colour: Colour,
    point: Point,
    user: User,
    tags: List[str],
    pair: Tuple[int, str],
    mapping: Dict[str, int],
    nothing: Optional[str],
    num: float,
    big: int,
    anything: Any,
    either: Union[int, str],
    money: Money,
    phase: complex,
    names: Set[str],
):
    """Lightbus casts each parameter to the type that stands here."""
    parameters = dict(locals())
    await on_event(**parameters)


async def on_event_that_fails(event, **parameters):
    say(failing=event.id)
    raise RuntimeError("the listener failed")


@bus.client.on_start()
def start(client):
    """LISTEN is a list of `listener=event` words; `*` is every event, `!` before it fails, `api:` before it is its API."""
    since = os.environ.get("SINCE")
    options = {"since": since} if since else {}
    for word in os.environ.get("LISTEN", "").split():
        listener, event = word.split("=")
        api, event = event.split(":") if ":" in event else ("my_company.auth", event)
        handler = on_typed if event == "typed" else on_event
        handler = on_event_that_fails if event.startswith("!") else handler
        client.listen_for_events(
            [(api, event.lstrip("!"))], handler, listener_name=listener, options=options
        )
