"""Which variables a connection becomes, and what is refused because it cannot become any."""

from __future__ import annotations

import json
from typing import Any

import pytest
from airflow.sdk import Connection
from airflow.sdk.exceptions import AirflowFailException

from afterscope_airflow.connections import storage_variables


def variables(conn_type: str, extra: dict[str, Any] | None = None, **fields: Any) -> dict[str, str]:
    conn = Connection(conn_id="store", conn_type=conn_type, extra=json.dumps(extra or {}), **fields)
    return storage_variables(conn)[1]


def test_aws() -> None:
    assert variables("aws", login="id", password="secret") == {
        "AWS_ACCESS_KEY_ID": "id",
        "AWS_SECRET_ACCESS_KEY": "secret",
    }
    extra = {"aws_session_token": "token", "region_name": "eu-1", "endpoint_url": "http://127.0.0.1:9"}
    assert variables("aws", extra, login="id", password="secret") == {
        "AWS_ACCESS_KEY_ID": "id",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_SESSION_TOKEN": "token",
        "AWS_REGION": "eu-1",
        "AWS_ENDPOINT_URL_S3": "http://127.0.0.1:9",
    }
    keys = {"aws_access_key_id": "id", "aws_secret_access_key": "secret"}
    assert variables("aws", keys) == {"AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": "secret"}


@pytest.mark.parametrize("host", ["https://acct.blob.core.windows.net/", "acct.dfs.core.windows.net", "acct"])
def test_azure_by_a_clients_secret(host: str) -> None:
    assert variables("wasb", {"tenant_id": "tenant"}, host=host, login="client", password="secret") == {
        "AZURE_STORAGE_ACCOUNT_NAME": "acct",
        "AZURE_TENANT_ID": "tenant",
        "AZURE_CLIENT_ID": "client",
        "AZURE_CLIENT_SECRET": "secret",
    }


def test_azure_by_a_key_a_token_or_a_connection_string() -> None:
    assert variables("wasb", login="acct", password="key") == {
        "AZURE_STORAGE_ACCOUNT_NAME": "acct",
        "AZURE_STORAGE_ACCOUNT_KEY": "key",
    }
    emulator = "http://127.0.0.1:10000/devstoreaccount1"
    assert variables("wasb", login="devstoreaccount1", password="key", host=emulator) == {
        "AZURE_STORAGE_ACCOUNT_NAME": "devstoreaccount1",
        "AZURE_STORAGE_ENDPOINT": emulator,
        "AZURE_STORAGE_ACCOUNT_KEY": "key",
    }
    for token in ("sv=1&sig=s%3D", "?sv=1&sig=s%3D", "https://acct.blob.core.windows.net/?sv=1&sig=s%3D"):
        assert variables("wasb", {"sas_token": token}, login="acct") == {
            "AZURE_STORAGE_ACCOUNT_NAME": "acct",
            "AZURE_STORAGE_SAS_TOKEN": "sv=1&sig=s%3D",
        }
    text = "AccountName=acct;AccountKey=key"
    assert variables("wasb", {"connection_string": text}) == {"AZURE_STORAGE_CONNECTION_STRING": text}


def test_google_cloud() -> None:
    key = {"type": "service_account", "client_email": "a@b"}
    for extra in (
        {"keyfile_dict": json.dumps(key)},
        {"keyfile_dict": key, "project": "p"},
        {"extra__google_cloud_platform__keyfile_dict": json.dumps(key)},
    ):
        found = variables("google_cloud_platform", extra)
        assert list(found) == ["GOOGLE_SERVICE_ACCOUNT_KEY"]
        assert json.loads(found["GOOGLE_SERVICE_ACCOUNT_KEY"]) == key
    path = {"key_path": "/run/secrets/key.json"}
    assert variables("google_cloud_platform", path) == {"GOOGLE_APPLICATION_CREDENTIALS": "/run/secrets/key.json"}


@pytest.mark.parametrize(
    ("conn_type", "fields", "extra", "said"),
    [
        ("aws", {}, {}, "has no login"),
        ("aws", {"login": "id"}, {}, "has no login"),
        (
            "aws",
            {"login": "id", "password": "p"},
            {"role_arn": "arn:aws:iam::1:role/r"},
            "has role_arn in its extra",
        ),
        ("wasb", {"login": "acct"}, {}, "has no password"),
        ("wasb", {"login": "client", "password": "p"}, {"tenant_id": "t"}, "has no account"),
        ("wasb", {"host": "acct", "password": "p"}, {"tenant_id": "t"}, "has no password"),
        (
            "wasb",
            {"login": "a", "password": "p"},
            {"managed_identity_client_id": "m"},
            "managed_identity_client_id",
        ),
        ("google_cloud_platform", {}, {"project": "p"}, "has no keyfile_dict"),
        ("google_cloud_platform", {}, {"key_path": "/k", "impersonation_chain": "x"}, "has impersonation_chain"),
        ("ftp", {}, {}, "is of type `ftp`"),
    ],
)
def test_what_cannot_be_handed_on_is_refused(
    conn_type: str, fields: dict[str, str], extra: dict[str, str], said: str
) -> None:
    with pytest.raises(AirflowFailException, match=said):
        variables(conn_type, extra, **fields)


def operator(**options: Any) -> Any:
    from afterscope_airflow import AfterscopeOperator

    return AfterscopeOperator(task_id="report", config="a.toml", **options)


def test_two_connections_need_a_prefix_where_they_set_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LOGS", "REPORTS"):
        conn = {"conn_type": "aws", "login": f"{name}-id", "password": f"{name}-secret"}
        monkeypatch.setenv(f"AIRFLOW_CONN_{name}", json.dumps(conn))
    monkeypatch.setenv("AWS_REGION", "of-the-worker")
    with pytest.raises(AirflowFailException, match="`reports` sets AWS_ACCESS_KEY_ID, which another one sets"):
        operator(connections=["logs", "reports"])._environment({}, [])
    found = operator(connections={"logs": "LOGS_"})._environment({}, [])
    assert (found["LOGS_AWS_SECRET_ACCESS_KEY"], found["AWS_REGION"]) == ("LOGS-secret", "of-the-worker")
    found = operator(connections={"logs": "LOGS_", "reports": ""})._environment({}, [])
    assert found["LOGS_AWS_ACCESS_KEY_ID"] == "LOGS-id"
    assert found["AWS_ACCESS_KEY_ID"] == "REPORTS-id"
    assert "AWS_REGION" not in found
