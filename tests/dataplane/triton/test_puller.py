"""The puller with a real Triton and a real object store, each going away and coming back."""

import httpx
import pytest

from contracts import signing
from contracts.manifest import ManifestFile
from tests.dataplane.triton.conftest import Site, entry_files, manifest, signed, wait_until


def bring_up(site: Site, entry: str) -> None:
    assert site.put(entry, site.upload(entry)).status_code == 202
    site.wait_for(entry, "ready")


def test_puller__signed_entry__is_served(site: Site) -> None:
    bring_up(site, "good-v1")
    assert site.is_served("good-v1")
    assert site.state("good-v1")["progress"] == 1.0


def test_puller__bytes_other_than_signed__never_loaded(site: Site) -> None:
    files = site.upload("forged-v1")
    site.upload("forged-v1", entry_files("forged-v1", offset=9.0))
    site.put("forged-v1", files)
    report = site.wait_for("forged-v1", "failed")
    assert "does not match its signed digest" in report["error"]
    assert not site.entry_dir("forged-v1").exists()


def test_puller__longer_than_signed__never_loaded(site: Site) -> None:
    files = site.upload("longer-v1")
    body = entry_files("longer-v1")["1/model.onnx"] + b"more"
    site.client.put_object(Bucket="switchyard", Key=files[1].key, Body=body)
    site.put("longer-v1", files)
    assert "signed digest or size" in site.wait_for("longer-v1", "failed")["error"]


def test_puller__file_not_in_the_store__fails_after_some_attempts(site: Site) -> None:
    files = site.upload("gone-v1")
    site.client.delete_object(Bucket="switchyard", Key=files[1].key)
    site.put("gone-v1", files)
    assert "not in the object store" in site.wait_for("gone-v1", "failed")["error"]


def test_puller__model_that_cannot_be_loaded__fails_with_tritons_words(site: Site) -> None:
    files = entry_files("broken-v1") | {"1/model.onnx": b"this is no graph"}
    site.put("broken-v1", site.upload("broken-v1", files))
    assert "ONNXRuntimeError" in site.wait_for("broken-v1", "failed")["error"]


def test_puller__failed_entry_put_again_repaired__is_served(site: Site) -> None:
    files = entry_files("mended-v1") | {"1/model.onnx": b"this is no graph"}
    site.put("mended-v1", site.upload("mended-v1", files))
    site.wait_for("mended-v1", "failed")
    bring_up(site, "mended-v1")


def test_puller__store_away__resumes_when_it_is_back(site: Site) -> None:
    files = site.upload("late-v1")
    site.stop_s3()
    site.put("late-v1", files)
    report = wait_until(lambda: site.state("late-v1"), lambda r: bool(r.get("error")))
    assert report["state"] == "fetching"
    site.start_s3()
    site.wait_for("late-v1", "ready")


def test_puller__triton_killed_with_the_store_away__reloads_from_disk(site: Site) -> None:
    bring_up(site, "kept-v1")
    site.stop_s3()
    site.restart_triton()
    assert wait_until(lambda: site.is_served("kept-v1"), bool)
    site.wait_for("kept-v1", "ready")
    site.start_s3()


def test_puller__killed_and_triton_too__reloads_what_was_desired(site: Site) -> None:
    bring_up(site, "durable-v1")
    site.stop_s3()
    site.triton.kill()
    site.restart_puller()
    assert site.state("durable-v1")["state"] == "loading"
    site.restart_triton()
    site.wait_for("durable-v1", "ready")
    site.start_s3()


def test_puller__killed_while_triton_lives__does_not_reload(site: Site) -> None:
    bring_up(site, "steady-v1")
    before = site.triton.log.read_text().count("loading: steady-v1")
    site.restart_puller()
    site.wait_for("steady-v1", "ready")
    assert site.triton.log.read_text().count("loading: steady-v1") == before


def test_puller__local_file_tampered_before_a_restart__fetched_anew(site: Site) -> None:
    bring_up(site, "mauled-v1")
    runtime = site.entry_dir("mauled-v1") / "1" / "model.py"
    original = runtime.read_bytes()
    runtime.write_text("import os")
    site.restart_puller()
    site.wait_for("mauled-v1", "ready")
    assert runtime.read_bytes() == original


def test_puller__deleted_entry__is_unloaded_and_forgotten(site: Site) -> None:
    bring_up(site, "old-v1")
    assert site.http.delete("/v1/entries/old-v1").status_code == 204
    wait_until(lambda: site.is_served("old-v1"), lambda served: not served)
    assert site.http.get("/v1/entries/old-v1").status_code == 404
    assert not site.entry_dir("old-v1").exists()


def test_puller__entries__listed(site: Site) -> None:
    bring_up(site, "listed-v1")
    listed = site.http.get("/v1/entries").json()["entries"]
    assert "listed-v1" in {item["entry"] for item in listed}


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer wrong"}])
def test_puller__without_its_token__refused(site: Site, headers: dict[str, str]) -> None:
    answer = httpx.get(f"{site.http.base_url}/v1/entries", headers=headers)
    assert answer.status_code == 401
    assert answer.headers["content-type"] == "application/problem+json"


def test_puller__unsigned_body__refused(site: Site) -> None:
    assert site.http.put("/v1/entries/x-v1", content=b"rubbish").status_code == 400


def test_puller__huge_body__refused(site: Site) -> None:
    assert site.http.put("/v1/entries/x-v1", content=b"x" * (1 << 21)).status_code == 413


def test_puller__older_manifest__refused(site: Site) -> None:
    bring_up(site, "newer-v1")
    files = [ManifestFile(path="config.pbtxt", sha256="0" * 64, size=1, key="k")]
    document = signed(manifest("newer-v1", files, issued_at=1.0))
    answer = site.http.put("/v1/entries/newer-v1", content=signing.encode(document))
    assert answer.status_code == 409
    assert site.state("newer-v1")["state"] == "ready"


def test_puller__manifest_for_another_entry__refused(site: Site) -> None:
    document = signed(manifest("a-v1", []))
    answer = site.http.put("/v1/entries/b-v1", content=signing.encode(document))
    assert answer.status_code == 422


@pytest.mark.parametrize("name", ["..%2F..%2Fetc", "UPPER-v1", "no-number", "a-v1%0A"])
def test_puller__name_that_is_no_entry__not_found(site: Site, name: str) -> None:
    assert site.http.get(f"/v1/entries/{name}").status_code == 404
