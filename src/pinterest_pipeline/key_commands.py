"""`pinpipe keys`: make, list and revoke the API keys of the gateway in this working folder."""

import re
import sys
import time
from datetime import UTC, datetime
from typing import Annotated, Any, Final

import msgspec
import typer

from pinterest_pipeline.config import load_settings
from pinterest_pipeline.errors import SettingError
from pinterest_pipeline.terminal import err, out

app: Final = typer.Typer(help="Make, list and revoke API keys of the gateway.", no_args_is_help=True)

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON and nothing else.")]
_UNITS: Final = {"m": 60, "h": 3_600, "d": 86_400}
_LIFE: Final = re.compile(r"([1-9][0-9]{0,4})([mhd])")
_NAME: Final = re.compile(r"[ -~]{1,100}")


@app.command()
def create(
    name: Annotated[str, typer.Option(help="Whose key it is, for people to read.")],
    scope: Annotated[
        list[str], typer.Option(help="VERB:NOUN:NAME, may be given many times; * and ? in NAME.")
    ],
    rate: Annotated[float | None, typer.Option(help="Requests a second; no limit if not given.")] = None,
    burst: Annotated[
        int | None, typer.Option(help="Requests at once after a pause; one second's if not given.")
    ] = None,
    quota: Annotated[str | None, typer.Option(help="Requests of a day, week or month: 10000/day.")] = None,
    expires: Annotated[str | None, typer.Option(help="Its life: 30d, 12h, 45m; no end if not given.")] = None,
    as_json: AsJson = False,
) -> None:
    """Make a key and print it, once: nobody can read it again. AWS' clients sign with its access key.

    Example: pinpipe keys create --name me --scope 'write:topic:*' --rate 50
    """
    from pinterest_pipeline.gateway.keys import access_key_id
    from pinterest_pipeline.gateway.plans import plan

    if not _NAME.fullmatch(name):
        raise SettingError("a name has 1 to 100 printable ASCII characters")
    file = _file()
    text, key = file.create(name, scope, plan(rate, burst, quota), _end(expires))
    signs_as = {"access_key_id": access_key_id(key), "secret_access_key": file.secret_access_key(key)}
    if as_json:
        sys.stdout.write(msgspec.json.encode({"key": text, **signs_as, **_shown(key)}).decode() + "\n")
        return
    out.print(text, soft_wrap=True, markup=False)
    err.print(
        "For boto3, the AWS CLI and the SDKs of AWS, which sign what they send to Kinesis:", soft_wrap=True
    )
    for line, value in signs_as.items():
        err.print(f"aws_{line}={value}", soft_wrap=True, markup=False)
    err.print(f"This is the only time that they are shown. The key's id is {key.id}.", soft_wrap=True)


@app.command("list")
def list_keys(as_json: AsJson = False) -> None:
    """Show every key, what it may do and whether it is still good; never the key itself.

    Example: pinpipe keys list --json
    """
    found = [_shown(key) for key in _file().read()]
    if as_json:
        sys.stdout.write(msgspec.json.encode(found).decode() + "\n")
        return
    if not found:
        out.print("no keys; make one: pinpipe keys create --help")
        return
    for key in found:
        out.print(f"{key['id']}  {key['name']}  {key['state']}", soft_wrap=True, markup=False)
        for line in (*key["scopes"], *_limits(key)):
            out.print(f"    {line}", soft_wrap=True, markup=False)


@app.command()
def revoke(key_id: Annotated[str, typer.Argument(metavar="ID", help="The key's id, as listed.")]) -> None:
    """End a key for good; a gateway that runs takes it no more within a second.

    Example: pinpipe keys revoke 3f9a0c4d5e6b
    """
    _file().revoke(key_id)
    out.print(f"{key_id} is revoked")


def _file() -> Any:
    from pinterest_pipeline.gateway.access import key_file

    return key_file(load_settings().data)


def _end(life: str | None) -> int | None:
    """When a key that is made now ends, in milliseconds since 1970."""
    if life is None:
        return None
    found = _LIFE.fullmatch(life)
    if found is None:
        raise SettingError(f"'{life}' is no time to live", "write 45m, 12h or 30d")
    return time.time_ns() // 1_000_000 + int(found[1]) * _UNITS[found[2]] * 1_000


def _shown(key: Any) -> dict[str, Any]:
    """What of a key anyone may see."""
    return {
        "id": key.id,
        "name": key.name,
        "state": key.ended(time.time()) or "good",
        "scopes": key.scopes,
        "rate": key.plan.rate,
        "burst": key.plan.burst if key.plan.rate else None,
        "quota": f"{key.plan.quota}/{key.plan.period}" if key.plan.quota else None,
        "created": _written(key.created_ms),
        "expires": _written(key.expires_ms),
    }


def _written(milliseconds: int | None) -> str | None:
    if milliseconds is None:
        return None
    return datetime.fromtimestamp(milliseconds / 1000, UTC).isoformat(timespec="seconds")


def _limits(key: dict[str, Any]) -> list[str]:
    """What ends or bounds a key, in words."""
    found = [f"{key['rate']:g} requests/s, {key['burst']:,} at once"] if key["rate"] else []
    found += [key["quota"]] if key["quota"] else []
    return found + ([f"until {key['expires']}"] if key["expires"] else [])
