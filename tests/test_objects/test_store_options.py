"""Variables that the libraries of object stores read."""

from __future__ import annotations

import pytest

from rivers_objects.store_options import missing_credentials, store_variables

DOTENV = {
    "AWS_ACCESS_KEY_ID": "a",
    "AWS_DEFAULT_REGION": "b",
    "AWS_REGION": "c",
    "AZURE_STORAGE_ACCOUNT_KEY": "d",
    "AZURE_STORAGE_SAS_TOKEN": "e",
    "GOOGLE_SERVICE_ACCOUNT": "f",
    "OTHER": "g",
}


@pytest.fixture(autouse=True)
def without_credentials(monkeypatch):
    for name in DOTENV:
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    ("address", "options", "names"),
    [
        ("s3://bucket/x", (), {"AWS_ACCESS_KEY_ID", "AWS_REGION"}),
        ("s3a://bucket", ("region",), {"AWS_ACCESS_KEY_ID"}),
        ("s3://bucket", ("aws_default_region", "AWS_ACCESS_KEY_ID"), set()),
        ("abfss://c@account.dfs.core.windows.net/x", ("access_key",), {"AZURE_STORAGE_SAS_TOKEN"}),
        ("az://c", ("azure_storage_sas_key",), {"AZURE_STORAGE_ACCOUNT_KEY"}),
        ("gs://bucket", (), {"GOOGLE_SERVICE_ACCOUNT"}),
        ("gs://bucket", ("service_account_path",), set()),
        ("./folder", (), set()),
        ("file:///folder", (), set()),
        ("memory://", (), set()),
        ("https://host/x", (), set()),
        ("", (), set()),
    ],
)
def test_store_variables_of_the_scheme_below_options(address, options, names):
    assert store_variables(address, DOTENV, options) == {name: DOTENV[name] for name in names}


def test_store_variables_leave_what_the_environment_sets(monkeypatch):
    monkeypatch.setenv("AWS_DEFAULT_REGION", "here")
    assert store_variables("s3://bucket", DOTENV) == {"AWS_ACCESS_KEY_ID": "a"}


@pytest.mark.parametrize(
    ("address", "text", "variable"),
    [
        ("s3://b/x", "Error performing PUT http://169.254.169.254/latest/api/token", "AWS_SECRET_ACCESS_KEY"),
        ("s3://b/x", "failed to load IMDS session token", "AWS_SECRET_ACCESS_KEY"),
        ("gs://b/x", "GET http://metadata.google.internal/computeMetadata", "GOOGLE_SERVICE_ACCOUNT"),
        ("az://b/x", "Account must be specified", "AZURE_STORAGE_ACCOUNT_NAME"),
        ("s3://b/x", "AccessDenied", ""),
        ("/folder", "IMDS", ""),
    ],
)
def test_missing_credentials_names_variables(address, text, variable):
    message = missing_credentials(address, text)
    assert bool(message) == bool(variable)
    assert variable in message
