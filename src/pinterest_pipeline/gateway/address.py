"""Where callers find the gateway (pure)."""

from starlette.requests import Request

from pinterest_pipeline.config import GatewaySettings


def own_address(request: Request, settings: GatewaySettings) -> str:
    """The address that is set, or the one the request came in on with its stage; no slash at its end.

    Not from the Host header: anybody can write anything there.
    """
    if settings.advertised_url:
        return settings.advertised_url.rstrip("/")
    host, port = request.scope.get("server") or (settings.host, settings.port)
    name = f"[{host}]" if ":" in host else host
    stage: str = request.scope.get("stage", "")
    return f"{request.scope['scheme']}://{name}" + (f":{port}" if port else "") + stage
