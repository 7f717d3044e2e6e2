"""A project with thirty planted secrets, whose handlers, resources and functions show them in ten spellings."""

from __future__ import annotations

import base64
import html
import json
import re
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote, quote_plus

from pydantic import BaseModel, SecretBytes, SecretStr

import rivers as rs
from rivers_core import BaseIOHandler
from rivers_pickle import PickleIOHandler

if TYPE_CHECKING:
    from collections.abc import Callable

PLANTED: Final = [f"planted{number:02d}/q Z+\"k'é\n%<&>\\{number * 7919:x}" for number in range(30)]
SPELLINGS: Final[dict[str, Callable[[str], str]]] = {
    "plain": str,
    "in a repr": repr,
    "in JSON": json.dumps,
    "in JSON of Unicode": lambda secret: json.dumps(secret, ensure_ascii=False),
    "part of a URL": lambda secret: quote(secret, safe=""),
    "path of a URL": quote,
    "form of a URL": quote_plus,
    "Base64": lambda secret: base64.b64encode(secret.encode()).decode(),
    "Base64 of user and password": lambda secret: base64.b64encode(f"ada:{secret}".encode()).decode(),
    "Base64 for URLs": lambda secret: base64.urlsafe_b64encode(secret.encode()).decode(),
}


def spelled(secrets: list[str]) -> str:
    """Return what a talkative library would say about secrets: each in every spelling."""
    return " ".join(spell(secret) for secret in secrets for spell in SPELLINGS.values())


_NAME: Final = re.compile(r"planted\d\d")
_ENCODED: Final = {
    piece
    for secret in PLANTED
    for spell in ("Base64", "Base64 of user and password", "Base64 for URLs")
    for piece in [SPELLINGS[spell](secret)[8:-4]]  # without the edges, which hold bits of their neighbors
}


def leaks(text: str) -> list[str]:
    """Return the pieces of planted secrets in a text, escaped for HTML or not."""
    return [*_NAME.findall(html.unescape(text)), *(piece for piece in _ENCODED if piece in text)]


class Login(BaseModel):
    user: str = "ada"
    pin: SecretStr = SecretStr(PLANTED[0])


class Vault(BaseIOHandler):
    """Quotes its settings when it fails, as the drivers of some databases do."""

    password: SecretStr = SecretStr(PLANTED[1])
    api_key: str = PLANTED[2]
    tokens: list[SecretStr] = [SecretStr(PLANTED[3]), SecretStr(PLANTED[4])]
    certificate: SecretBytes = SecretBytes(PLANTED[5].encode())
    options: dict[str, Any] = {"auth": {"token": PLANTED[6]}}
    headers: dict[str, str] = {"Authorization": PLANTED[7], "Cookie": PLANTED[8]}
    dsn: str = f"postgres://ada:{quote(PLANTED[9], safe='')}@host/db"
    login: Login = Login()
    inner: BaseIOHandler | None = None

    def _fail(self) -> None:
        text = spelled(PLANTED[:15])
        try:
            raise OSError(5, text, f"data/{text}")
        except OSError as error:
            error.add_note(text)
            raise ExceptionGroup(text, [ConnectionError(text), ValueError("columns", text)]) from error

    def handle_output(self, context: rs.OutputContext, obj: object) -> None:
        self._fail()

    def load_input(self, context: rs.InputContext) -> None:
        self._fail()

    def exists(self, context: rs.InputContext) -> bool:
        raise ConnectionError(spelled(PLANTED[:15]))

    def delete(self, context: rs.InputContext) -> None:
        self._fail()

    def describe_address(self, context: rs.OutputContext | rs.InputContext) -> str:
        return self.dsn


class Talkative(Vault):
    """Shows its settings in logs, metadata and versions, and stores nothing."""

    def handle_output(self, context: rs.OutputContext, obj: object) -> None:
        text = spelled(PLANTED[:15])
        context.add_output_metadata({"text": text, "json": rs.MetadataValue.json({"deep": [text]})})
        context.add_output_metadata({"query": rs.MetadataValue.sql(text), "size": 3})
        context.register_data_version(text)
        context.log.warning("connected with %s", text)


class Api(rs.Resource):
    token: SecretStr = SecretStr(PLANTED[15])
    secret_key: str = PLANTED[16]
    url: str = f"https://ada:{quote(PLANTED[17], safe='')}@host"
    login: Login = Login(pin=SecretStr(PLANTED[18]))
    spare: dict[str, SecretStr] = {"a": SecretStr(PLANTED[19])}


class Limits(BaseModel):
    token: SecretStr = SecretStr(PLANTED[20])
    password: str = PLANTED[21]
    certificates: tuple[SecretBytes, ...] = tuple(SecretBytes(text.encode()) for text in PLANTED[22:25])


def vault(kind: type[Vault]) -> Vault:
    """Return a handler with ten secrets of its own, and five of a handler in one of its fields."""
    signed = PickleIOHandler(store="memory://", signing_keys=PLANTED[10:12])
    bucket = PickleIOHandler(
        store="s3://bucket/x",
        storage_options={"aws_secret_access_key": PLANTED[13], "aws_session_token": PLANTED[14]},
        signing_key=PLANTED[12],
    )
    from rivers_overlay import OverlayIOHandler

    return kind(inner=OverlayIOHandler(top=signed, base=bucket))


def spill(context: rs.AssetExecutionContext[Limits], api: Api) -> int:
    """Fail with the secrets of a resource and a configuration."""
    text = spelled(PLANTED[15:25])
    context.log.warning("called with %s", text)
    context.add_output_metadata({"text": text})
    raise ValueError(text)


spill.__annotations__ |= {"context": rs.AssetExecutionContext[Limits], "api": Api, "return": int}


def make_repository() -> rs.CodeRepository:
    """Return the repository; the handler of `kept` comes from the configuration."""
    assets = [
        rs.Asset(name="people", io_handler=vault(Vault), retry=rs.RetryPolicy(1))(lambda: 1),
        rs.Asset(name="logged", io_handler=vault(Talkative))(lambda: 1),
        rs.Asset(name="spilled")(spill),
        rs.Asset(name="kept", io_handler="files")(lambda: 1),
    ]
    return rs.CodeRepository(assets, resources={"api": Api()}, jobs=[rs.Job("nightly", assets)])


TOML: Final = f"""
repository = "definitions:repo"
default_io_handler = "files"

[io_handlers.files]
use = "pickle"
store = "file:./data"
signing_key = {json.dumps(PLANTED[25])}

[io_handlers.bucket]
use = "pickle"
store = "s3://bucket/x"
[io_handlers.bucket.storage_options]
aws_secret_access_key = {json.dumps(PLANTED[26])}
custom_password = {json.dumps(PLANTED[27])}

[io_handlers.tables]
use = "delta"
table_uri = "s3://bucket/tables"
storage_options = {{ AWS_SESSION_TOKEN = {json.dumps(PLANTED[28])} }}

[io_handlers.layered]
use = "overlay"
top = "files"
base = "bucket"
"""
DOTENV: Final = f"RIVERS_IO_HANDLERS__FILES__SIGNING_KEY={json.dumps(PLANTED[29], ensure_ascii=False)}\n"
DEFINITIONS: Final = "from tests.robustness.planted import make_repository\nrepo = make_repository()\n"
