"""Redaction: none of thirty planted secrets appears in any output, error or event log."""

from __future__ import annotations

import base64
import contextlib
import copy
import logging
import traceback

import pytest
from pydantic import Secret, SecretBytes, SecretStr

from rivers_core import BaseIOHandler, load_config
from rivers_core.authoring import REDACTED

PLANTED = [f"planted{number:02d}q7Zk{number * 7919:x}" for number in range(1, 31)]

TOML = """
repository = "definitions:repo"
default_io_handler = "signed"

[io_handlers.signed]
use = "pickle"
store = "file:./data"
signing_key = "{0}"

[io_handlers.bucket]
use = "pickle"
store = "s3://bucket/x"
[io_handlers.bucket.storage_options]
aws_access_key_id = "{1}"
aws_secret_access_key = "{2}"
aws_session_token = "{3}"
endpoint = "http://127.0.0.1:9"
allow_http = "true"
max_retries = "0"

[io_handlers.azure]
use = "pickle"
store = "az://container/x"
storage_options = {{ account_name = "me", account_key = "{4}" }}

[io_handlers.shared]
use = "pickle"
store = "az://container/x"
storage_options = {{ account_name = "me", sas_token = "sv=2024&sig={5}" }}

[io_handlers.web]
use = "pickle"
store = "https://127.0.0.1:9/x"
storage_options = {{ max_retries = "0", timeout = "2s" }}

[io_handlers.tables]
use = "delta"
table_uri = "s3://bucket/tables"
[io_handlers.tables.storage_options]
AWS_SECRET_ACCESS_KEY = "{7}"
AWS_SESSION_TOKEN = "{8}"
custom_password = "{9}"

[io_handlers.layered]
use = "overlay"
top = "signed"
base = "bucket"

[environments.wrong.io_handlers.signed]
fsync = "{11}"
[environments.wrong.io_handlers.shared]
signing_key = {{ value = "{10}" }}
storage_options = "{12}"
[environments.wrong.io_handlers.tables]
storage_options = {{ nested = {{ token = "{13}" }} }}
[environments.wrong.io_handlers.web]
store = "https://ada:{6}@127.0.0.1:9/x"
[environments.wrong.io_handlers.azure]
passwrod = "{14}"
"""

DEFINITIONS = """
import os
import rivers as rs
from pydantic import BaseModel, SecretBytes, SecretStr
from rivers_core import BaseIOHandler

planted = os.environ["PLANTED"].split()

class Database(BaseIOHandler):
    password: SecretStr
    api_key: str = ""
    options: dict = {}
    dsn: str = ""
    tokens: list[SecretStr] = []
    certificate: SecretBytes = SecretBytes(b"")

    def handle_output(self, context, obj):
        raise ConnectionError(
            f"refused: {self.password.get_secret_value()} {self.api_key} {self.options} {self.dsn} "
            f"{[token.get_secret_value() for token in self.tokens]} {self.certificate.get_secret_value().decode()}"
        )

    def load_input(self, context):
        raise ConnectionError(f"refused: {self.password.get_secret_value()} {self.dsn}")

    def exists(self, context):
        raise ConnectionError(f"refused: {self.password.get_secret_value()} {self.dsn}")

    def delete(self, context):
        raise ConnectionError(f"refused: {self.password.get_secret_value()} {self.dsn}")

    def describe_address(self, context):
        return self.dsn.rpartition("@")[2]

class Talkative(Database):
    def handle_output(self, context, obj):
        context.add_output_metadata({
            "dsn": self.dsn,
            "key": rs.MetadataValue.json({"deep": [self.api_key]}),
            "password": f"used {self.password.get_secret_value()}",
        })
        context.log.warning("connected to %s with %s", self.dsn, self.password.get_secret_value())

class Api(rs.Resource):
    token: SecretStr

class Limits(BaseModel):
    token: SecretStr = SecretStr("")
    top: int = 1

database = Database(
    password=planted[15], api_key=planted[16], options={"auth": {"token": planted[17]}},
    dsn=f"postgres://ada:{planted[18]}@host/db", tokens=[planted[19], planted[20]], certificate=planted[21],
)

@rs.Asset(io_handler=database)
def people() -> int:
    return 1

talkative = Talkative(password=planted[15], api_key=planted[16], dsn=f"postgres://ada:{planted[18]}@host/db")

@rs.Asset(io_handler=talkative)
def logged() -> int:
    return 1

@rs.Asset(io_handler="bucket")
def far() -> int:
    return 1

@rs.Asset(io_handler="web")
def farther() -> int:
    return 1

@rs.Asset(io_handler="layered")
def near(api: Api, context_free: int = 1) -> int:
    return 1

@rs.Asset
def best(context: rs.AssetExecutionContext[Limits]) -> int:
    raise ValueError(f"called with {context.config!r} and {database!r}")

repo = rs.CodeRepository([people, logged, far, farther, near, best], resources={"api": Api(token=planted[22])})
"""

COMMANDS = [
    ["assets"],
    ["check", "--timeout", "20"],
    ["config", "schema"],
    ["config", "show"],
    ["graph", "--html"],
    ["graph", "--mermaid"],
    ["handlers"],
    *(
        ["handlers", "show", name]
        for name in ("signed", "bucket", "azure", "shared", "web", "tables", "layered")
    ),
    ["handlers", "show", "Database"],
    ["load", "people"],
    ["load", "far"],
    ["log"],
    ["log", "people", "--metadata"],
    ["log", "logged", "--metadata"],
    ["materialize"],
    ["materialize", "--fail-fast"],
    ["materialize", "best", "--set", f"best.token={PLANTED[23]}"],
    ["materialize", "best", "--set", f"best.top={PLANTED[24]}", "--set", f"best.token={PLANTED[24]}"],
    ["migrate", "--from", "Database", "--to", "signed", "people"],
    ["migrate", "--from", "bucket", "--to", "signed"],
    ["plugins", "--load"],
    ["runs"],
]


def leaks(text):
    encoded = [base64.b64encode(secret.encode()).decode().rstrip("=") for secret in PLANTED]
    return [secret for secret in [*PLANTED, *encoded] if secret in text]


@pytest.fixture
def planted(empty, monkeypatch, caplog):
    """Create a project with a secret in every possible place, and record all log messages."""
    caplog.set_level(logging.DEBUG)
    values = [base64.b64encode(PLANTED[4].encode()).decode() if n == 4 else PLANTED[n] for n in range(15)]
    empty.write("rivers.toml", TOML.format(*values))
    empty.write("definitions.py", DEFINITIONS)
    empty.write(".env", f"RIVERS_IO_HANDLERS__BUCKET__STORAGE_OPTIONS__AWS_SESSION_TOKEN={PLANTED[25]}\n")
    monkeypatch.setenv("RIVERS_IO_HANDLERS__SIGNED__SIGNING_KEY", PLANTED[26])
    monkeypatch.setenv("RIVERS_PICKLE_SIGNING_KEY", PLANTED[27])
    monkeypatch.setenv("PLANTED", " ".join(PLANTED))
    return empty


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_output_contains_no_secret(planted, caplog, command):
    planted.rivers("materialize")
    out = []
    has_json = command != ["config", "schema"]
    for more in ([], ["--traceback"], *([["--json"]] if has_json else [])):
        for environment in ([], ["--env", "wrong"]):
            done = planted.rivers(*command, *more, *environment)
            out += [done.out, done.err]
    assert any(out)
    ours = [
        record.getMessage() for record in caplog.records if not record.pathname.endswith("definitions.py")
    ]
    assert not leaks("\n".join([*out, *ours]))


def test_planted_secrets_are_reached(planted, monkeypatch):
    """Prove that the tests above can fail."""
    for name in ("signed", "bucket", "azure", "shared", "tables", "layered", "Database"):
        assert REDACTED in planted.ok("handlers", "show", name).out
    done = planted.rivers("check", "--env", "wrong")
    for place in (
        "signed] fsync",
        "shared] signing_key",
        "shared] storage_options",
        "tables] storage_options",
        "web] store",
        "azure] passwrod",
    ):
        assert f"[environments.wrong.io_handlers.{place}" in done.out + done.err
    with monkeypatch.context() as patch:
        patch.setattr(
            logging.getLogger(), "handlers", []
        )  # without those of pytest, the command prints records
        done = planted.rivers("materialize")
    assert f"connected to postgres://ada:{REDACTED}@host/db with {REDACTED}" in done.err
    log = planted.ok("log", "logged", "--metadata").out
    assert f'key: {{"deep": ["{REDACTED}"]}}' in log
    assert f"password: used {REDACTED}" in log


def test_event_log_contains_no_secret(planted):
    for command in (
        ["materialize"],
        ["materialize", "--fail-fast"],
        ["migrate", "--from", "Database", "--to", "signed"],
    ):
        planted.rivers(*command)
    stored = b"".join(path.read_bytes() for path in (planted.path / ".rivers").rglob("*") if path.is_file())
    assert b"refused: **********" in stored
    assert not leaks(stored.decode("latin-1"))


def test_handler_repr_and_dump_contain_no_secret(planted):
    config = load_config(planted.path / "rivers.toml")
    shown = [repr(config)]
    for name in config.handler_names:
        with contextlib.suppress(Exception):
            handler = config.handler(name)
            shown += [repr(handler), str(handler), f"{handler!r:.>500}", repr(copy.deepcopy(handler))]
            shown += [
                repr(handler.model_dump()),
                str(handler.model_dump(mode="json")),
                handler.model_dump_json(),
            ]
            shown.append(repr(config.fields(name)))
    assert len(shown) > 20
    assert not leaks("\n".join(shown))


class Vault(BaseIOHandler):
    """Third-party handler with secrets of every type."""

    password: SecretStr
    pin: Secret[int] = Secret(0)
    certificate: SecretBytes = SecretBytes(b"")
    nested: dict[str, dict[str, SecretStr]] = {}
    size: int = 0

    def handle_output(self, context, obj):
        raise OSError("disk full")

    def load_input(self, context):
        raise OSError("disk gone")


@pytest.mark.parametrize(
    "arguments",
    [
        {"password": PLANTED[28], "size": PLANTED[29]},
        {"password": [PLANTED[28]], "certificate": PLANTED[29]},
        {"password": PLANTED[28], "pasword": PLANTED[29]},
        {"password": PLANTED[28], "nested": {"a": PLANTED[29]}},
        {"password": PLANTED[28], "nested": {"a": {"b": [PLANTED[29]]}}},
        {"certificate": PLANTED[28], "pin": PLANTED[29]},
    ],
)
def test_validation_error_contains_no_secret(arguments):
    with pytest.raises(ValueError, match="Vault") as caught:
        Vault(**arguments)
    text = "".join(traceback.format_exception(caught.value))
    assert not leaks("\n".join([text, str(caught.value), repr(caught.value)]))


def test_resume_command_omits_secret_settings(planted):
    done = planted.rivers("materialize", "best", "--set", f"best.token={PLANTED[23]}", "--set", "best.top=2")
    assert "--set best.token=... --set best.top=2 --resume" in done.err


HIDDEN = """
from pydantic import BaseModel, Field, SecretStr

class Door(BaseModel):
    code: SecretStr = SecretStr("")

class Bank(BaseModel):
    pin: SecretStr = SecretStr("pin-by-default")
    door: Door = Door()
    spare: SecretStr = Field(SecretStr(""), alias="other")
    top: int = 1

class Api(rs.Resource):
    pin: SecretStr

@rs.Asset
def account(context: rs.AssetExecutionContext[Bank], api: Api) -> int:
    bank = context.config
    raise ValueError(
        f"refused {bank.pin.get_secret_value()} {bank.door.code.get_secret_value()} {api.pin.get_secret_value()}"
    )

repo = rs.CodeRepository([account], resources={"api": Api(pin="pin-of-the-resource")})
"""


@pytest.mark.parametrize(
    "setting",
    ["pin=hidden-1", 'pin="123456"', 'door={"code": "hidden-1"}', "other=hidden-1", 'pni="hidden-1"'],
)
def test_resume_command_omits_fields_of_secret_type(project_of, setting):
    done = project_of(HIDDEN).rivers("materialize", "--set", f"account.{setting}", "--set", "account.top=2")
    assert "hidden-1" not in done.err
    assert "123456" not in done.out + done.err
    if not setting.startswith("pni"):  # an unknown field
        field = setting.partition("=")[0]
        assert f"--set account.{field}=... --set account.top=2 --resume" in done.err


@pytest.mark.parametrize("option", [[], ["--traceback"], ["--json"], ["--fail-fast"]])
def test_error_contains_no_secret_of_resource_or_config(project_of, option):
    project = project_of(HIDDEN)
    done = project.rivers("materialize", "--set", 'account.door={"code": "hidden-1"}', *option)
    assert done.code == 1
    assert f"refused {REDACTED} {REDACTED} {REDACTED}" in done.out + done.err
    for secret in ("pin-by-default", "hidden-1", "pin-of-the-resource"):
        assert secret not in done.out + done.err


def test_invalid_setting_is_reported_without_value(project_of):
    done = project_of(HIDDEN).rivers("materialize", "--set", "pin=hidden-1")
    assert done.code == 2
    assert "--set must be asset.field=value" in done.err
    assert "pin=..." in done.err
    assert "hidden-1" not in done.err
