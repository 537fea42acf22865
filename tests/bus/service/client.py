"""A Python Lightbus client: reads one JSON request a line, answers one JSON object a line.

    {"call": "add", "arguments": {"a": 1}}      {"answer": true, "result": 8} or {"answer": true, "error": "…", "kind": "…"}
    {"fire": "user_registered", "arguments": …} {"answer": true, "id": "…", "native_id": "…"}
"""

import asyncio
import json
import os
import sys
from datetime import date, datetime, timezone
from decimal import Decimal
from uuid import UUID

# Only an owner of an API may fire its events. One that is none knows the API by its schema on the bus.
os.environ.setdefault("SERVE", "1")

from bus import Colour, Money, Point, User, bus  # noqa: E402

API = "my_company.auth"

# Exceptions, in the words of the Rust peer.
KINDS = {
    "LightbusTimeout": "timeout",
    "LightbusWorkerError": "remote",
    "ValidationError": "invalid",
    "InvalidEventArguments": "invalid",
}

# Values that JSON has no words for, by name.
TYPED = {
    "when": datetime(2024, 2, 29, 13, 5, 7, 250000, tzinfo=timezone.utc),
    "day": date(2024, 2, 29),
    "price": Decimal("12.50"),
    "uid": UUID("12345678-1234-5678-1234-567812345678"),
    "blob": b"\x00\xffhi",
    "colour": Colour.RED,
    "point": Point(1, 2),
    "user": User("ann", True),
    "tags": ["a", "é", "😀"],
    "mapping": {"k": 1},
    "nothing": None,
    "money": Money("9.99"),
    "phase": 1 + 2j,
    "names": {"only-one"},
}
TYPED_EVENT = {**TYPED, "pair": (1, "x"), "num": 0.5, "big": 2**70, "anything": [1, None], "either": "x"}


def arguments(request):
    given = request.get("arguments", {})
    if given == "typed":
        return TYPED_EVENT if "fire" in request else TYPED
    return given


async def answer(request):
    try:
        if "call" in request:
            options = {"timeout": request["timeout_s"]} if "timeout_s" in request else {}
            result = await bus.client.call_rpc_remote(API, request["call"], arguments(request), options)
            return {"result": result}
        message = await bus.client.fire_event(API, request["fire"], arguments(request))
        return {"id": message.id, "native_id": message.native_id}
    except Exception as error:
        kind = type(error).__name__
        return {"error": str(error), "kind": KINDS.get(kind, kind)}


async def main():
    loop = asyncio.get_running_loop()
    print(json.dumps({"ready": True}), flush=True)
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        print(json.dumps({"answer": True, **await answer(json.loads(line))}, default=str), flush=True)


asyncio.get_event_loop().run_until_complete(main())
