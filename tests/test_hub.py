"""pull and push as a user runs them: the real client against a hub on the loopback."""

from __future__ import annotations

import json
import os
import pickle
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from cachelora import Embedder
from hub_server import TOKEN, Hub, serve

ROWS = b'{"anchor": "a", "positive": "b", "negative": "c"}\n'


@pytest.fixture
def hub() -> Iterator[Hub]:
    with serve() as running:
        yield running


class Machine:
    """A user's machine: its own cache, its own login, one hub."""

    def __init__(self, home: Path, hub: Hub) -> None:
        self.home, self.hub = home, hub

    def run(
        self, *arguments: object, code: int = 0, token: str | None = None, offline: bool = False, **variables: str
    ) -> subprocess.CompletedProcess[str]:
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "CACHELORA_M"))}
        environment |= {
            "HF_HOME": str(self.home),
            "HF_ENDPOINT": self.hub.url,
            "HF_HUB_OFFLINE": str(int(offline)),
            **({"HF_TOKEN": token} if token else {}),
            **variables,
        }
        done = subprocess.run(
            [sys.executable, "-m", "cachelora", *map(str, arguments)],
            capture_output=True,
            text=True,
            timeout=120,
            env=environment,
        )
        assert done.returncode == code, done.stderr + done.stdout
        assert "Traceback" not in done.stderr, done.stderr
        assert TOKEN not in done.stderr + done.stdout
        return done

    def facts(self, *arguments: object, **how: Any) -> dict[str, Any]:
        facts: dict[str, Any] = json.loads(self.run(*arguments, "--json", **how).stdout)
        return facts


@pytest.fixture
def machine(hub, tmp_path) -> Machine:
    return Machine(tmp_path / "hf", hub)


def files_of(directory: Path) -> dict[str, bytes]:
    return {
        path.relative_to(directory).as_posix(): path.read_bytes()
        for path in sorted(directory.rglob("*"))
        if path.is_file()
    }


def front_matter(card: str) -> dict[str, Any]:
    match = re.match(r"---\n(.*?)\n---\n", card, flags=re.DOTALL)
    assert match, card
    matter: dict[str, Any] = yaml.safe_load(match[1])
    return matter


# --- pull


def test_an_adapter_is_pulled_without_its_pickles(hub, machine, tiny):
    program = pickle.dumps({"weights": [1, 2, 3]})
    commit = hub.add(
        "owner/medical-lora",
        files_of(tiny.adapter) | {"pytorch_model.bin": program, "training_args.pt": program, ".gitattributes": b""},
    )
    facts = machine.facts("pull", "owner/medical-lora")
    assert facts["kind"] == "adapter"
    assert facts["commit"] == commit
    assert facts["from_cache"] is False
    assert files_of(Path(facts["path"])) == files_of(tiny.adapter)
    assert facts["bytes"] == sum(map(len, files_of(tiny.adapter).values())) == sum(facts["files"].values())
    assert facts["not_downloaded"] == ["pytorch_model.bin", "training_args.pt"]
    assert not hub.asked_for(".bin")
    assert not hub.asked_for("training_args")
    shown = machine.run("pull", "owner/medical-lora").stdout
    assert facts["path"] in shown
    assert commit in shown
    assert "adapter_model.safetensors" in shown


def test_a_revision_is_pinned_to_a_commit(hub, machine, tiny):
    old = hub.add("owner/lora", files_of(tiny.adapter) | {"note.txt": b"old"})
    hub.repositories["models", "owner/lora"].branches["v1"] = old
    new = hub.add("owner/lora", {"note.txt": b"new"})
    assert old != new
    for revision, commit, note in (("", new, "new"), ("@v1", old, "old"), (f"@{old}", old, "old")):
        facts = machine.facts("pull", f"owner/lora{revision}")
        assert facts["commit"] == commit
        assert (Path(facts["path"]) / "note.txt").read_text() == note
    said = machine.run("pull", "owner/lora@v2", code=1).stderr
    assert "owner/lora@v2" in said
    assert "no such revision" in said


@pytest.mark.parametrize("way", ["HF_HUB_OFFLINE", "the hub is down"])
def test_the_second_pull_works_offline(machine, tiny, tmp_path, way):
    with serve() as hub:
        machine.hub = hub
        hub.add("owner/bundle", files_of(tiny.bundle))
        first = machine.facts("pull", "owner/bundle")
        asked = len(hub.requests)
        if way == "HF_HUB_OFFLINE":
            second = machine.facts("pull", "owner/bundle", offline=True)
            assert len(hub.requests) == asked
    if way != "HF_HUB_OFFLINE":
        second = machine.facts("pull", "owner/bundle")
    assert second["from_cache"] is True
    assert second == first | {"from_cache": True}
    again = machine.facts("pull", f"owner/bundle@{first['commit']}", "--output", tmp_path / "copy", offline=True)
    assert again["commit"] == first["commit"]
    assert files_of(tmp_path / "copy") == files_of(tiny.bundle)
    said = machine.run("pull", "owner/other", code=1, offline=True).stderr
    assert "owner/other" in said
    assert "no earlier pull" in said


def test_a_cached_copy_does_not_hide_that_the_repository_is_gone(hub, machine, tiny):
    hub.add("owner/lora", files_of(tiny.adapter))
    machine.run("pull", "owner/lora")
    hub.repositories.clear()
    assert "no such model" in machine.run("pull", "owner/lora", code=1).stderr


@pytest.mark.parametrize("name", ["medical", "owner/", "owner/name@", "../etc/passwd", "https://hub/owner/name"])
def test_a_name_of_another_form_is_refused_before_the_hub_is_asked(hub, machine, name):
    assert "owner/name" in machine.run("pull", name, code=2).stderr
    assert hub.requests == []


def test_a_wrong_id_says_what_to_check(hub, machine):
    said = machine.run("pull", "owner/nothing", code=1).stderr
    assert said.startswith("error: model owner/nothing: the hub has no such model")
    assert "--kind" in said


def test_what_is_not_ours_is_refused_before_it_is_downloaded(hub, machine, tiny):
    hub.add("owner/large", {"config.json": b"{}", "model.safetensors": b"x" * 1000})
    assert "neither a bundle" in machine.run("pull", "owner/large", code=1).stderr
    hub.add("owner/pickled", {"adapter_config.json": b"{}", "adapter_model.bin": pickle.dumps({})})
    assert "safetensors" in machine.run("pull", "owner/pickled", code=1).stderr
    hub.add("owner/lora", files_of(tiny.adapter))
    assert "no bundle" in machine.run("pull", "owner/lora", "--kind", "bundle", code=1).stderr
    hub.add("owner/bundle", files_of(tiny.bundle))
    assert "no PEFT adapter" in machine.run("pull", "owner/bundle", "--kind", "adapter", code=1).stderr
    assert not hub.asked_for("/resolve/")


def test_a_corrupt_bundle_is_refused_and_placed_nowhere(hub, machine, tiny, tmp_path):
    files = files_of(tiny.bundle)
    graph = bytearray(files["model.onnx"])
    graph[len(graph) // 2] ^= 1
    hub.add("owner/bundle", files | {"model.onnx": bytes(graph)})
    said = machine.run("pull", "owner/bundle", code=1, CACHELORA_MODELS=str(tmp_path / "models")).stderr
    assert "model.onnx" in said
    assert "damaged" in said
    machine.run("pull", "owner/bundle", "--output", tmp_path / "copy", code=1)
    assert not (tmp_path / "models").exists()
    assert not (tmp_path / "copy").exists()


def test_a_damaged_cache_is_noticed(hub, machine, tiny):
    hub.add("owner/lora", files_of(tiny.adapter))
    weights = Path(machine.facts("pull", "owner/lora")["path"]) / "adapter_model.safetensors"
    damaged = bytearray(weights.read_bytes())
    damaged[-1] ^= 1
    weights.resolve().write_bytes(damaged)
    said = machine.run("pull", "owner/lora", code=1, offline=True).stderr
    assert "adapter_model.safetensors" in said
    assert str(weights.resolve()) in said


def test_bundles_are_placed_where_serving_programs_look(hub, machine, tiny, tmp_path):
    models = tmp_path / "models"
    hub.add("owner/my-bundle", files_of(tiny.bundle))
    facts = machine.facts("pull", "owner/my-bundle", CACHELORA_MODELS=str(models))
    place = models / "owner--my-bundle"
    assert facts["path"] == str(place)
    assert files_of(place) == files_of(tiny.bundle)
    assert not any(path.is_symlink() for path in place.iterdir())
    with Embedder(place) as embedder:
        assert facts["fingerprint"] == embedder.fingerprint
        assert np.abs(embedder.encode(tiny.texts[12]) - tiny.vectors[12]).max() < 1e-5
    inode = place.stat().st_ino
    machine.run("pull", "owner/my-bundle", CACHELORA_MODELS=str(models))
    assert place.stat().st_ino == inode, "the same bundle was written again"
    hub.add("owner/my-bundle", {"README.md": b"# changed\n"})
    machine.run("pull", "owner/my-bundle", CACHELORA_MODELS=str(models))
    assert (place / "README.md").read_text() == "# changed\n"
    assert sorted(path.name for path in models.iterdir()) == ["owner--my-bundle"]


def test_an_output_that_is_there_is_kept(hub, machine, tiny, tmp_path):
    hub.add("owner/lora", files_of(tiny.adapter))
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("mine")
    assert "--force" in machine.run("pull", "owner/lora", "--output", tmp_path / "mine", code=1).stderr
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "mine"
    machine.run("pull", "owner/lora", "--output", tmp_path / "mine", "--force")
    assert files_of(tmp_path / "mine") == files_of(tiny.adapter)


def test_test_sets_are_pulled_with_their_directories(hub, machine):
    commit = hub.add(
        "owner/test-sets",
        {"medical/test_set.jsonl": ROWS, "law/test_set.jsonl": ROWS * 3, "cache.pkl": b"x"},
        kind="datasets",
    )
    facts = machine.facts("pull", "owner/test-sets", "--kind", "dataset")
    assert facts["commit"] == commit
    assert facts["files"] == {"law/test_set.jsonl": 3 * len(ROWS), "medical/test_set.jsonl": len(ROWS)}
    assert (Path(facts["path"]) / "medical" / "test_set.jsonl").read_bytes() == ROWS
    assert machine.facts("pull", "owner/test-sets", "--kind", "dataset", offline=True)["files"] == facts["files"]
    assert "no such model" in machine.run("pull", "owner/test-sets", code=1).stderr


# --- push


def trained(tiny: Any, directory: Path) -> Path:
    """Return a directory as `cachelora train` leaves it, the card aside."""
    shutil.copytree(tiny.adapter, directory)
    measures = {"triplets": 40, "margin": 0.25, "roc_auc": 0.75, "average_precision": 0.7}
    facts = {
        "data": {"eval": [{"name": "medical/test.jsonl", "sha256": "0" * 64, "rows": 40}]},
        "before": {"all": measures, "medical": measures},
        "after": {"all": measures | {"margin": 0.5}, "medical": measures | {"roc_auc": 0.875}},
    }
    (directory / "cachelora_training.json").write_text(json.dumps(facts))
    return directory


def results_of(card: str) -> dict[tuple[str, str], float]:
    (model,) = front_matter(card)["model-index"]
    return {
        (result["dataset"]["config"], metric["type"]): metric["value"]
        for result in model["results"]
        for metric in result["metrics"]
    }


def test_push_and_pull_give_the_same_adapter(hub, machine, tiny, tmp_path):
    directory = trained(tiny, tmp_path / "adapter")
    before = files_of(directory)
    pushed = machine.facts("push", directory, "owner/lora", "--message", "the first", token=TOKEN)
    assert files_of(directory) == before
    repository = hub.repositories["models", "owner/lora"]
    assert pushed["commit"] == repository.branches["main"]
    assert pushed["url"] == f"{hub.url}/owner/lora/commit/{pushed['commit']}"
    assert hub.messages == ["the first"], "one commit was expected"
    facts = machine.facts("pull", "owner/lora")
    assert facts["commit"] == pushed["commit"]
    found = files_of(Path(facts["path"]))
    card = found.pop("README.md").decode()
    assert found == before
    results = results_of(card)
    assert results["all", "margin"] == 0.5
    assert results["medical", "roc_auc"] == 0.875
    assert len(results) == 6
    assert front_matter(card)["library_name"] == "peft"
    assert "| medical | 40 | 0.2500 | 0.2500 | 0.7500 | 0.8750 |" in card


def test_push_and_pull_give_the_same_bundle(hub, machine, tiny, tmp_path):
    pushed = machine.facts("push", tiny.bundle, "owner/bundle", "--private", "--revision", "next", token=TOKEN)
    assert hub.repositories["models", "owner/bundle"].private
    assert "no such model" in machine.run("pull", "owner/bundle@next", code=1).stderr
    facts = machine.facts("pull", "owner/bundle@next", token=TOKEN, CACHELORA_MODELS=str(tmp_path))
    assert facts["commit"] == pushed["commit"]
    with Embedder(tiny.bundle) as original, Embedder(tmp_path / "owner--bundle") as pulled:
        assert pulled.fingerprint == original.fingerprint
        assert np.array_equal(pulled.encode("my card"), original.encode("my card"))
    card = (tmp_path / "owner--bundle" / "README.md").read_text()
    assert "| all | 0.05 | 0.8750 |" in card
    assert "base_model" not in front_matter(card), "the tiny base is no model of the hub"


def test_a_card_that_is_there_keeps_its_words_and_gets_the_results(hub, machine, tiny, tmp_path):
    directory = trained(tiny, tmp_path / "adapter")
    (directory / "README.md").write_text(
        "---\nlicense: mit\nbase_model: builtin:all-MiniLM-L6-v2\n---\n\n# My adapter\n\nMy words.\n"
    )
    machine.run("push", directory, "owner/lora", token=TOKEN)
    repository = hub.repositories["models", "owner/lora"]
    card = repository.commits[repository.branches["main"]]["README.md"].decode()
    assert card.endswith("# My adapter\n\nMy words.\n")
    assert front_matter(card)["license"] == "mit"
    assert front_matter(card)["base_model"] == "sentence-transformers/all-MiniLM-L6-v2"
    assert results_of(card)["all", "margin"] == 0.5
    # Results that somebody wrote are not overruled.
    (directory / "README.md").write_text(card.replace("value: 0.5", "value: 0.625"))
    machine.run("push", directory, "owner/lora", token=TOKEN)
    card = repository.commits[repository.branches["main"]]["README.md"].decode()
    assert results_of(card)["all", "margin"] == 0.625


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("optimizer.pt", b"x", "may hold pickles"),
        ("checkpoint-1/training_args.bin", b"x", "may hold pickles"),
        ("notes.txt", pickle.dumps({"a": 1}), "not UTF-8"),
        ("extra.safetensors", pickle.dumps({"a": 1}), "no safetensors"),
        ("run.sh", b"rm -rf /\n", "only safetensors"),
        ("model.onnx", pickle.dumps({"a": 1}), "no ONNX"),
    ],
)
def test_what_must_not_travel_stops_the_push(hub, machine, tiny, tmp_path, name, content, said):
    directory = Path(shutil.copytree(tiny.adapter, tmp_path / "adapter"))
    (directory / name).parent.mkdir(exist_ok=True)
    (directory / name).write_bytes(content)
    stderr = machine.run("push", directory, "owner/lora", code=1, token=TOKEN).stderr
    assert said in stderr
    assert name in stderr
    assert hub.requests == []


def test_only_adapters_and_sound_bundles_are_pushed(hub, machine, tiny, tmp_path):
    for directory in (tiny.base, tmp_path / "missing", tmp_path):
        assert str(directory) in machine.run("push", directory, "owner/x", code=1, token=TOKEN).stderr
    bundle = Path(shutil.copytree(tiny.bundle, tmp_path / "bundle"))
    with (bundle / "tokenizer.json").open("a") as file:
        file.write("\n")
    assert "tokenizer.json" in machine.run("push", bundle, "owner/x", code=1, token=TOKEN).stderr
    assert "--revision" in machine.run("push", tiny.adapter, "owner/x@main", code=2, token=TOKEN).stderr
    assert hub.requests == []


def test_hidden_files_stay_at_home(hub, machine, tiny, tmp_path):
    directory = Path(shutil.copytree(tiny.adapter, tmp_path / "adapter"))
    (directory / ".env").write_text("SECRET=1")
    (directory / ".cache").mkdir()
    (directory / ".cache" / "state.json").write_text("{}")
    assert set(machine.facts("push", directory, "owner/lora", token=TOKEN)["files"]) == {
        "README.md",
        "adapter_config.json",
        "adapter_model.safetensors",
    }


def test_the_token_is_the_clients_own(hub, machine, tiny):
    said = machine.run("push", tiny.adapter, "owner/lora", code=1).stderr
    assert "HF_TOKEN" in said
    assert hub.requests == []
    assert "owner/lora" in machine.run("push", tiny.adapter, "owner/lora", code=1, token="hf_wrong").stderr
    assert not hub.repositories
    machine.home.mkdir(exist_ok=True)
    (machine.home / "token").write_text(TOKEN)
    machine.run("push", tiny.adapter, "owner/lora")
    assert "owner/lora" in {identifier for _, identifier in hub.repositories}


def test_private_never_ends_up_public(hub, machine, tiny):
    commit = hub.add("owner/lora", {"README.md": b"# public\n"})
    said = machine.run("push", tiny.adapter, "owner/lora", "--private", code=1, token=TOKEN).stderr
    assert "public" in said
    assert hub.repositories["models", "owner/lora"].branches["main"] == commit


def test_without_the_client_the_install_line_is_given(tmp_path):
    program = (
        "import sys\nsys.modules['huggingface_hub'] = None\nsys.argv = ['cachelora', 'pull', 'owner/name']\n"
        "from cachelora.cli import main\nmain()"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert 'pip install "cachelora[hub]"' in done.stderr
    assert "Traceback" not in done.stderr
