from __future__ import annotations

import hashlib
import shutil

import pytest
from cachelora_training.bases import BUILTIN_BASES, resolve_base
from cachelora_training.errors import AdapterError, BaseModelError
from cachelora_training.hub import HubError, split_revision


def test_a_directory(base):
    found = resolve_base(str(base))
    assert found.name == "tiny-base"
    assert found.path == base
    assert found.weights_sha256 == hashlib.sha256((base / "model.safetensors").read_bytes()).hexdigest()


def test_the_builtin_base_is_the_published_one():
    found = resolve_base("builtin:all-MiniLM-L6-v2")
    assert found.weights_sha256 == "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
    assert found.license == "apache-2.0"
    assert "all-MiniLM-L6-v2" in BUILTIN_BASES


@pytest.mark.parametrize("name", ["builtin:nonsense", "./nowhere", "one", "a/b/c"])
def test_what_is_no_base_is_named(name):
    with pytest.raises(BaseModelError, match="builtin:all-MiniLM-L6-v2"):
        resolve_base(name)


def test_missing_files_are_named(base, tmp_path):
    copy = shutil.copytree(base, tmp_path / "copy")
    (copy / "tokenizer.json").unlink()
    with pytest.raises(BaseModelError, match=r"tokenizer\.json"):
        resolve_base(str(copy))


def test_a_base_from_the_hubs_cache(base, tmp_path, monkeypatch):
    """A hub id is read from the hub's local cache where the hub can't be reached."""
    commit = "0123456789abcdef0123456789abcdef01234567"
    repository = tmp_path / "hub" / "models--owner--tiny"
    shutil.copytree(base, repository / "snapshots" / commit)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(commit)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub._snapshot_download.constants.HF_HUB_OFFLINE", True)
    found = resolve_base("owner/tiny")
    assert (found.name, found.revision) == ("owner/tiny", commit)
    with pytest.raises(HubError, match="owner/other"):
        resolve_base("owner/other")


def test_revisions():
    assert split_revision("owner/name@v1") == ("owner/name", "v1")
    assert split_revision("owner/name") == ("owner/name", None)


def test_an_adapter_that_is_none():
    from cachelora_training.adapters import resolve_adapter

    with pytest.raises(AdapterError, match="owner/name"):
        resolve_adapter("./nowhere")
