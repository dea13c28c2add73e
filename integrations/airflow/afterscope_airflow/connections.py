"""Airflow's connections to storage, as the variables that `afterscope` reads."""

from __future__ import annotations

import json
import re
from collections.abc import Collection
from urllib.parse import urlsplit

from airflow.sdk import Connection
from airflow.sdk.exceptions import AirflowFailException, AirflowNotFoundException

#: Names of variables end so where no log and no command line may show what they hold.
SECRET_ENDS = ("_KEY", "_SECRET", "_TOKEN", "_STRING")


def connection(conn_id: str) -> Connection:
    """One of Airflow's connections; that it is not there is nothing that waiting mends."""
    try:
        found: Connection = Connection.get(conn_id)
        return found
    except AirflowNotFoundException as error:
        raise AirflowFailException(f"there is no connection `{conn_id}`: {error}") from error


def storage_variables(conn: Connection) -> tuple[tuple[str, ...], dict[str, str]]:
    """How the names begin of all variables that the program reads for such a store; those of the connection.

    A setting that cannot be handed on is refused: without it the program might read as somebody else.
    """
    kinds = {
        "aws": (("AWS_",), aws),
        "wasb": (("AZURE_", "IDENTITY_ENDPOINT"), azure),
        "adls": (("AZURE_", "IDENTITY_ENDPOINT"), azure),
        "google_cloud_platform": (("GOOGLE_", "SERVICE_ACCOUNT", "STORAGE_EMULATOR_HOST"), google),
    }
    if conn.conn_type not in kinds:
        raise AirflowFailException(
            f"connection `{conn.conn_id}` is of type `{conn.conn_type}`; these can be handed on: "
            f"{', '.join(kinds)}. Give others by `env` or the worker's environment"
        )
    names, variables = kinds[conn.conn_type]
    return names, {name: value for name, value in variables(conn).items() if value}


def aws(conn: Connection) -> dict[str, str]:
    keys = ("aws_session_token", "region_name", "endpoint_url", "aws_access_key_id", "aws_secret_access_key")
    extra = known_extra(conn, keys)
    login = conn.login or extra.get("aws_access_key_id", "")
    password = conn.password or extra.get("aws_secret_access_key", "")
    if not (login and password):
        raise without(conn, "login (the access key's id) and password (the secret access key)")
    return {
        "AWS_ACCESS_KEY_ID": login,
        "AWS_SECRET_ACCESS_KEY": password,
        "AWS_SESSION_TOKEN": extra.get("aws_session_token", ""),
        "AWS_REGION": extra.get("region_name", ""),
        "AWS_ENDPOINT_URL_S3": extra.get("endpoint_url", ""),
    }


def azure(conn: Connection) -> dict[str, str]:
    extra = known_extra(conn, ("connection_string", "tenant_id", "sas_token"))
    if "connection_string" in extra:
        return {"AZURE_STORAGE_CONNECTION_STRING": extra["connection_string"]}
    host = conn.host or ""
    name = urlsplit(host if "//" in host else f"//{host}").hostname or ""
    of_azure = re.fullmatch(r"([a-z0-9]+)(\.(blob|dfs)\.core\.windows\.net)?", name)
    endpoint = "" if of_azure or not host else host
    account = of_azure[1] if of_azure else ("" if "tenant_id" in extra else conn.login or "")
    if not account:
        raise without(conn, "account: host is to be its address, such as https://NAME.blob.core.windows.net")
    place = {"AZURE_STORAGE_ACCOUNT_NAME": account, "AZURE_STORAGE_ENDPOINT": endpoint}
    if "sas_token" in extra:
        # Some write the token as the whole address that Azure shows.
        return place | {"AZURE_STORAGE_SAS_TOKEN": extra["sas_token"].rpartition("?")[2]}
    if not conn.password or not (conn.login or "tenant_id" not in extra):
        raise without(conn, "password (the account's key, or the client's secret, with its id as login)")
    if "tenant_id" not in extra:
        return place | {"AZURE_STORAGE_ACCOUNT_KEY": conn.password}
    return place | {
        "AZURE_TENANT_ID": extra["tenant_id"],
        "AZURE_CLIENT_ID": conn.login or "",
        "AZURE_CLIENT_SECRET": conn.password,
    }


def google(conn: Connection) -> dict[str, str]:
    # Of these, project, scope and num_retries say nothing of who reads.
    extra = known_extra(conn, ("keyfile_dict", "key_path", "project", "scope", "num_retries"))
    if "keyfile_dict" not in extra and "key_path" not in extra:
        raise without(conn, "keyfile_dict and no key_path in its extra")
    return {
        "GOOGLE_SERVICE_ACCOUNT_KEY": extra.get("keyfile_dict", ""),
        "GOOGLE_APPLICATION_CREDENTIALS": "" if "keyfile_dict" in extra else extra["key_path"],
    }


def known_extra(conn: Connection, known: Collection[str]) -> dict[str, str]:
    """The extra's settings as texts, without empty ones and the prefix that older versions gave them."""
    prefix = f"extra__{conn.conn_type}__"
    settings = {key.removeprefix(prefix): value for key, value in conn.extra_dejson.items() if value}
    unknown = sorted(set(settings) - set(known))
    if unknown:
        raise AirflowFailException(
            f"connection `{conn.conn_id}` has {', '.join(unknown)} in its extra, which cannot be handed to "
            f"afterscope (it can take {', '.join(known)}); use a connection without, or `env`"
        )
    return {key: value if isinstance(value, str) else json.dumps(value) for key, value in settings.items()}


def without(conn: Connection, what: str) -> AirflowFailException:
    return AirflowFailException(
        f"connection `{conn.conn_id}` ({conn.conn_type}) has no {what}. For the worker's own credentials "
        "leave it out of `connections`"
    )
