"""The private services themselves."""

import socket

import boto3
import httpx
import psycopg
import pytest
import redis
from django.conf import settings

from embedded.private import PrivateServices


def test_postgres__owner_makes_table__app_may_write_but_not_empty_it(
    services: PrivateServices,
) -> None:
    with psycopg.connect(services.owner_url("switchyard"), autocommit=True) as owner:
        owner.execute("CREATE TABLE IF NOT EXISTS probe_table (name citext)")
        with psycopg.connect(services.app_url("switchyard"), autocommit=True) as app:
            app.execute("INSERT INTO probe_table VALUES ('a')")
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                app.execute("TRUNCATE probe_table")
        owner.execute("DROP TABLE probe_table")


def test_postgres__app_role__cannot_create(services: PrivateServices) -> None:
    with (
        psycopg.connect(services.app_url("switchyard")) as app,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        app.execute("CREATE TABLE mine (id int)")


def test_valkey__without_password__refused(services: PrivateServices) -> None:
    client = redis.Redis(host="127.0.0.1", port=services.ports["VALKEY"])
    with pytest.raises(redis.AuthenticationError):
        client.ping()
    client.close()


def test_valkey__started__keeps_an_append_only_file(redis_client: "redis.Redis") -> None:
    assert redis_client.config_get("appendonly") == {"appendonly": "yes"}


def test_s3__conditional_put_of_known_key__refused(services: PrivateServices, s3: str) -> None:
    client = boto3.client(
        "s3",
        endpoint_url=s3,
        region_name="us-east-1",
        aws_access_key_id=services.secrets["S3_ACCESS_KEY_ID"],
        aws_secret_access_key=services.secrets["S3_SECRET_ACCESS_KEY"],
    )
    client.put_object(Bucket="switchyard", Key="k", Body=b"1", IfNoneMatch="*")
    with pytest.raises(client.exceptions.ClientError, match="PreconditionFailed"):
        client.put_object(Bucket="switchyard", Key="k", Body=b"2", IfNoneMatch="*")
    client.close()


def test_triton__repository_call_without_key__forbidden(triton: str) -> None:
    assert httpx.post(f"{triton}/v2/repository/index").status_code == 403


def test_sockets__address_beyond_loopback__blocked() -> None:
    with socket.socket() as sock, pytest.raises(PermissionError, match="loopback only"):
        sock.connect(("192.0.2.1", 80))


def test_settings__of_this_worker__name_its_own_services(services: PrivateServices) -> None:
    assert settings.CONFIG.s3_endpoint_url == services.s3().url
    assert services.valkey().url() == settings.REDIS_URL
