"""The simulator's HTTP answers: balances, the documented errors, and every known kind of broken answer."""

import asyncio
import html
import json
from collections.abc import Mapping
from datetime import timedelta
from typing import assert_never

from aiohttp import web

from balancebot.domain.balance import Absent, Category, Readings
from balancebot.jsms.answer import EndpointKind
from balancebot.jsms.simulator.scenario import FaultKind, SimulatedFault, SimulatedWallet

_MESSAGES: Mapping[int, tuple[int, str]] = {
    50001: (400, "missing auth"),
    50002: (401, "auth failed"),
    50008: (403, "no sms code auth"),
    50009: (403, "out of freq"),
    50033: (403, "app quota not assigned"),
    50035: (403, "illegal IP"),
    50036: (403, "app in blacklist"),
    50016: (404, "api not found"),
    50018: (405, "method not allowed"),
    50017: (415, "unsupported media type"),
    50019: (500, "server error"),
}
_CODES: Mapping[FaultKind, int] = {
    FaultKind.REJECTED: 50002,
    FaultKind.NOT_OPENED: 50008,
    FaultKind.OUT_OF_FREQ: 50009,
    FaultKind.NOT_ASSIGNED: 50033,
    FaultKind.ILLEGAL_IP: 50035,
    FaultKind.BLACKLISTED: 50036,
    FaultKind.SERVER_ERROR: 50019,
}


def _balances(wallet: SimulatedWallet, readings: Readings) -> dict[str, int | None]:
    return {
        wallet.kind.field(category): None if isinstance(reading, Absent) else reading
        for category, reading in readings.items()
    }


def _json(answer: object, *, status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    return web.Response(
        body=json.dumps(answer).encode(), status=status, headers=headers, content_type="application/json"
    )


def good(wallet: SimulatedWallet, readings: Readings) -> web.Response:
    """Answer with the wallet's balances; an app without any quota gets code 50033."""
    if wallet.kind is EndpointKind.APP and all(isinstance(reading, Absent) for reading in readings):
        return error(50033)
    return _json(_balances(wallet, readings))


def error(code: int, *, headers: Mapping[str, str] | None = None) -> web.Response:
    """Answer with one of the documented return codes."""
    status, message = _MESSAGES[code]
    return _json({"error": {"code": code, "message": message}}, status=status, headers=headers)


def _page(status: int, words: str, headers: Mapping[str, str] | None = None) -> web.Response:
    page = f"<html><head><title>{status}</title></head><body><h1>{html.escape(words)}</h1></body></html>"
    return web.Response(text=page, status=status, headers=headers, content_type="text/html")


async def broken(
    request: web.BaseRequest, wallet: SimulatedWallet, readings: Readings, fault: SimulatedFault
) -> web.StreamResponse:
    """Answer with the given fault."""
    wait = fault.retry_after
    headers = {"Retry-After": str(-(-wait // timedelta(seconds=1)))} if wait is not None else {}
    balances: dict[str, object] = {**_balances(wallet, readings)}
    match fault.kind:
        case (
            FaultKind.REJECTED
            | FaultKind.NOT_OPENED
            | FaultKind.OUT_OF_FREQ
            | FaultKind.NOT_ASSIGNED
            | FaultKind.ILLEGAL_IP
            | FaultKind.BLACKLISTED
            | FaultKind.SERVER_ERROR
        ):
            return error(_CODES[fault.kind], headers=headers)
        case FaultKind.RATE_LIMITED:
            return _page(429, "Too Many Requests", headers)
        case FaultKind.OUTAGE:
            return _page(503, "Service Temporarily Unavailable", headers)
        case FaultKind.REFUSED:
            _hang_up(request)
            return web.Response()
        case FaultKind.SILENCE:
            await asyncio.Event().wait()
            return web.Response()
        case FaultKind.SLOW:
            await asyncio.sleep(fault.delay.total_seconds())
            return good(wallet, readings)
        case FaultKind.TRICKLE:
            return await _trickle(request, json.dumps(balances).encode(), fault.delay.total_seconds())
        case FaultKind.TRUNCATED:
            body = json.dumps(balances).encode()
            response = web.StreamResponse(headers={"Content-Type": "application/json"})
            response.content_length = len(body)
            await response.prepare(request)
            await response.write(body[: len(body) // 2])
            _hang_up(request)
            return response
        case FaultKind.HTML:
            return _page(200, "Welcome")
        case FaultKind.EMPTY:
            return web.Response(body=b"", content_type="application/json")
        case FaultKind.HUGE:
            return _json({**balances, "padding": "x" * 1024 * 1024})
        case FaultKind.MISSING_FIELD:
            balances.pop(wallet.kind.field(Category.MARKET))
            return _json(balances)
        case FaultKind.UNKNOWN_FIELD:
            return _json({**balances, wallet.kind.field(Category.MARKET) + "_special": 42})
        case FaultKind.ALL_NULL:
            return _json(dict.fromkeys(balances))
        case FaultKind.REDIRECT:
            return web.Response(status=302, headers={"Location": "http://127.0.0.1:9/elsewhere?token=1"})
        case _:
            assert_never(fault.kind)


async def _trickle(request: web.BaseRequest, body: bytes, delay: float) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "application/json"})
    response.content_length = len(body)
    await response.prepare(request)
    for place in range(len(body)):
        await response.write(body[place : place + 1])
        await asyncio.sleep(delay)
    return response


def _hang_up(request: web.BaseRequest) -> None:
    if request.transport is not None:
        request.transport.close()
