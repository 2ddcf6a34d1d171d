from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from threading import Semaphore

import pytest
import torch
import yaml
from cachelora import Embedder
from cachelora.errors import UsageError
from cachelora_training.errors import LeakError, OutputExistsError, RowsError
from cachelora_training.generate.endpoints import EndpointError
from cachelora_training.pipeline.plan import Plan, queries_by_domain
from cachelora_training.pipeline.run import run_pipeline
from cachelora_training.recipe import Recipe
from chat_server import ChatServer
from filelock import FileLock

STAGES = ["generate medical", "train", "evaluate", "export", "calibrate"]
MEDICAL = [
    f"can {who} take {amount} mg of {drug} {when} work"
    for who in ("a child", "my friend")
    for amount, drug in ((200, "ibuprofen"), (500, "metformin"), (100, "aspirin"))
    for when in ("before", "after")
]
LAW = [
    f"can my landlord {verb} {when} the {thing} of {year}"
    for verb in ("change the rent", "end the lease", "enter the house")
    for when, thing, year in (("before", "court date", 2021), ("after", "first payment", 2023))
]


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    """Models this small gain nothing from a second thread, and wait for it for ages on a busy machine."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", "1")
        yield
    torch.set_num_threads(threads)


@pytest.fixture
def questions(tmp_path):
    def write_questions(name, texts):
        path = tmp_path / f"{name}.txt"
        path.write_text("\n".join(texts) + "\n")
        return str(path)

    return write_questions


@pytest.fixture
def plan(base, write, rows, questions, tmp_path) -> Plan:
    """One domain, generated and given rows, test data."""
    return Plan(
        domains=("medical",),
        output=tmp_path / "out",
        recipe=Recipe(base_model=str(base), batch_size=8, learning_rate=0.01),
        queries={"medical": questions("medical", MEDICAL)},
        train_data=(write("given.jsonl", rows(16)),),
        test_data=(write("test.jsonl", rows(30, start=100)),),
        backend="rules",
        samples=12,
        budgets=(0.5,),
    )


def status(facts):
    return {one["stage"]: one["status"] for one in facts["stages"]}


def done(facts):
    return [stage for stage, found in status(facts).items() if found == "done"]


def times(directory):
    return {
        path.relative_to(directory).as_posix(): path.stat().st_mtime_ns
        for path in sorted(directory.rglob("*"))
        if path.is_file() and path.name != ".lock"
    }


def damage(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def test_the_whole_road_and_a_second_run_that_touches_nothing(plan):
    facts = run_pipeline(plan)
    assert list(status(facts)) == done(facts) == STAGES

    generated = [json.loads(line) for line in (plan.output / "data" / "medical.jsonl").read_text().splitlines()]
    assert generated
    assert {row["model"] for row in generated} == {"rules"}
    kept = json.loads((plan.output / "adapter" / "cachelora_training.json").read_text())
    assert kept["triplets"] == len(generated) + 16
    assert kept["after"] == facts["after"]
    assert kept["data"]["eval"][0]["rows"] == 30
    assert "## Results" in (plan.output / "adapter" / "README.md").read_text()
    assert facts["before"].keys() == facts["after"].keys() == {"general", "support", "all"}
    assert facts["before"]["all"]["margin"] != facts["after"]["all"]["margin"]
    with Embedder(plan.output / "bundle") as embedder:
        vector = embedder.encode("how can i reset my password")
    assert abs(float(vector @ vector) - 1) < 1e-5
    manifest = json.loads((plan.output / "bundle" / "cachelora.json").read_text())
    assert "calibration.json" in manifest["files"]

    before = times(plan.output)
    again = run_pipeline(plan)
    assert set(status(again).values()) == {"reused"}
    assert times(plan.output) == before
    assert (again["before"], again["after"]) == (facts["before"], facts["after"])


def test_a_changed_input_reruns_what_it_reaches(plan, write, rows):
    run_pipeline(plan)

    # The same rows under another name are the same rows.
    renamed = replace(plan, train_data=(write("renamed.jsonl", rows(16)),))
    assert done(run_pipeline(renamed)) == []

    changed = replace(plan, train_data=(write("given.jsonl", rows(24)),))
    assert done(run_pipeline(changed)) == ["train", "evaluate", "export", "calibrate"]

    slower = replace(changed, recipe=changed.recipe.model_copy(update={"learning_rate": 0.005}))
    assert done(run_pipeline(slower)) == ["train", "evaluate", "export", "calibrate"]

    stricter = replace(slower, budgets=(0.25, 0.5))
    assert done(run_pipeline(stricter)) == ["calibrate"]

    # Nothing is learned from test data, so nothing is learned again. What is generated keeps away from them.
    tested = replace(stricter, test_data=(write("test.jsonl", rows(40, start=200)),))
    assert done(run_pipeline(tested)) == ["generate medical", "evaluate", "calibrate"]
    kept = json.loads((plan.output / "adapter" / "cachelora_training.json").read_text())
    assert kept["data"]["eval"][0]["rows"] == 40

    reseeded = replace(tested, seed=1)
    assert done(run_pipeline(reseeded))[:2] == ["generate medical", "train"]

    untested = replace(reseeded, test_data=())
    assert list(status(run_pipeline(untested))) == ["generate medical", "train", "export"]
    kept = json.loads((plan.output / "adapter" / "cachelora_training.json").read_text())
    assert "after" not in kept


def test_what_is_damaged_is_made_again_and_nothing_else(plan):
    run_pipeline(plan)
    out = plan.output
    original = {path: (out / path).read_bytes() for path in times(out) if not path.startswith("stamps/")}
    # The same inputs give the same adapter, so that what follows from it stands.
    for path, expected in (
        ("data/medical.jsonl", ["generate medical"]),
        ("adapter/adapter_model.safetensors", ["train"]),
        ("adapter/README.md", []),
        ("report.json", ["evaluate"]),
        ("bundle/tokenizer.json", ["export", "calibrate"]),
        ("bundle/calibration.json", ["calibrate"]),
        ("bundle/cachelora.json", ["export", "calibrate"]),
    ):
        damage(out / path)
        assert done(run_pipeline(plan)) == expected, path
        if path not in ("bundle/cachelora.json", "report.json"):
            assert (out / path).read_bytes() == original[path], path
        assert done(run_pipeline(plan)) == [], path

    (out / "bundle" / "model.onnx").unlink()
    assert done(run_pipeline(plan)) == ["export", "calibrate"]
    damage(out / "stamps" / "evaluate.json")
    assert done(run_pipeline(plan)) == ["evaluate"]
    assert done(run_pipeline(plan, force=True)) == STAGES


def test_several_domains_make_one_adapter(plan, questions, write, rows):
    several = replace(
        plan,
        domains=("medical", "law", "support"),
        queries={**plan.queries, "law": questions("law", LAW)},
        test_data=(),
    )
    facts = run_pipeline(several)
    assert list(status(facts)) == ["generate medical", "generate law", "train", "export"]
    kept = json.loads((plan.output / "adapter" / "cachelora_training.json").read_text())
    names = ["data/medical.jsonl", "data/law.jsonl", "given.jsonl"]
    assert [file["name"].endswith(name) for file, name in zip(kept["data"]["train"], names, strict=True)] == [True] * 3
    assert all(file["rows"] for file in kept["data"]["train"])

    # A second look at one domain leaves the other's data alone.
    edited = replace(several, queries={**several.queries, "law": questions("law", LAW[1:])})
    assert done(run_pipeline(edited)) == ["generate law", "train", "export"]


def command(plan, tmp_path):
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(yaml.safe_dump({"batch_size": 8, "learning_rate": 0.01}))
    return [sys.executable, "-m", "cachelora", "pipeline", "--domain", "medical", "--output", str(plan.output),
            "--queries", f"medical={plan.queries['medical']}", "--train-data", plan.train_data[0],
            "--test-data", plan.test_data[0], "--recipe", str(recipe), "--base-model", plan.recipe.base_model,
            "--backend", "rules", "--num-samples", "12", "--budget", "0.5"]  # fmt: skip


def test_a_killed_run_continues(plan, tmp_path):
    arguments = command(plan, tmp_path)
    finished = ["generate medical"]
    for last in ("generate medical", "train"):
        running = subprocess.Popen([*arguments, "--json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        stamp = plan.output / "stamps" / f"{last}.json"
        deadline = time.monotonic() + 120
        while not stamp.exists() and running.poll() is None and time.monotonic() < deadline:
            time.sleep(0.005)
        running.send_signal(signal.SIGKILL)
        said = running.communicate()[1].decode()
        assert running.returncode == -signal.SIGKILL, said
        assert not (plan.output / "stamps" / "calibrate.json").exists()
        finished.append(last)
    # A directory that a kill kept from its place.
    (plan.output / ".bundle.abc.partial").mkdir(exist_ok=True)
    weights = plan.output / "adapter" / "adapter_model.safetensors"
    made = weights.stat().st_mtime_ns

    completed = subprocess.run([*arguments, "--json"], capture_output=True, text=True, check=False)
    assert completed.returncode == 0, completed.stderr
    facts = json.loads(completed.stdout)
    assert [stage for stage, found in status(facts).items() if found == "reused"][:2] == ["generate medical", "train"]
    assert "calibrate" in done(facts)
    assert weights.stat().st_mtime_ns == made
    assert [path.name for path in plan.output.iterdir() if path.name.startswith(".")] == []

    shown = subprocess.run(arguments, capture_output=True, text=True, check=True)
    for stage in STAGES:
        assert stage in shown.stdout
    assert "reused" in shown.stdout
    assert "->" in shown.stdout
    assert shown.stderr == ""


def test_triplets_that_were_paid_for_are_not_asked_for_again(plan):
    with ChatServer() as server:
        handler = server.server.RequestHandlerClass
        reply = handler.do_POST

        # Taken as a request comes, not as it is answered: all may be in flight at once.
        credit = Semaphore(6)

        def until_the_credit_is_used_up(self):
            if credit.acquire(blocking=False):
                reply(self)
            else:
                self.send_error(401)

        by_model = replace(plan, backend="endpoint", endpoint=(server.url,), model="small", test_data=(), train_data=())
        handler.do_POST = until_the_credit_is_used_up
        with pytest.raises(EndpointError, match="401"):
            run_pipeline(by_model)
        journal = plan.output / "data" / "medical.jsonl.journal"
        kept = len(journal.read_text().splitlines()) - 1
        asked = sum(server.answered.values())
        assert kept == asked == 6
        handler.do_POST = reply
        run_pipeline(by_model)
        assert sum(server.answered.values()) == 12
        assert not journal.exists()

        # The same model at another address is the same model; another model is not.
        with ChatServer() as other:
            assert done(run_pipeline(replace(by_model, endpoint=(other.url,)))) == []
            assert not other.answered
            larger = replace(by_model, endpoint=(other.url,), model="large")
            assert done(run_pipeline(larger))[:2] == ["generate medical", "train"]
            assert sum(other.answered.values()) == 12


def test_plans_that_cannot_succeed_are_refused_before_any_work(plan, write, rows, questions):
    nothing = replace(plan, queries={}, train_data=())
    for refused, error, said in (
        (nothing, UsageError, "medical=FILE"),
        (replace(plan, domains=("medical", "medical")), UsageError, "twice"),
        (replace(plan, backend="oracle"), UsageError, "endpoint, vllm, rules"),
        (replace(plan, backend="endpoint"), UsageError, "--model"),
        (replace(plan, domains=("astrology",), queries={"astrology": plan.queries["medical"]}), UsageError, "biology"),
        (replace(plan, queries={"medical": "nowhere.txt"}), RowsError, "nowhere.txt"),
        (replace(plan, test_data=("nowhere.jsonl",)), RowsError, "nowhere.jsonl"),
    ):
        with pytest.raises(error, match=said):
            run_pipeline(refused)
    assert not plan.output.exists()

    leaking = replace(plan, test_data=(write("leaking.jsonl", rows(4, start=15)),))
    with pytest.raises(LeakError, match=r"leaking\.jsonl:1"):
        run_pipeline(leaking)
    assert not (plan.output / "adapter").exists()

    fruitless = replace(plan, queries={"medical": questions("vague", ["hello there", "well then"])})
    with pytest.raises(RowsError, match="no triplet came"):
        run_pipeline(fruitless)


def test_a_directory_of_someone_else_is_kept(plan):
    plan.output.mkdir()
    (plan.output / "precious").write_text("")
    with pytest.raises(OutputExistsError, match="--force"):
        run_pipeline(plan)
    assert [path.name for path in plan.output.iterdir()] == ["precious"]


def test_two_runs_do_not_share_a_directory(plan):
    (plan.output / "stamps").mkdir(parents=True)
    with FileLock(plan.output / "stamps" / ".lock"), pytest.raises(UsageError, match="another pipeline"):
        run_pipeline(plan)
    assert not (plan.output / "data").exists()


def test_a_missing_export_names_what_brings_it(plan, tmp_path):
    program = (
        "import sys\nsys.modules['cachelora_export'] = None\nfrom cachelora.cli import main\n"
        f"sys.argv = {['cachelora', *command(plan, tmp_path)[3:]]!r}\nmain()\n"
    )
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=os.environ)
    assert said.returncode == 2
    assert "pip install cachelora-export" in said.stderr
    assert not plan.output.exists()


def test_questions_belong_to_a_domain():
    assert queries_by_domain(["law=a=b.txt", "medical=q.txt"], ["law", "medical"]) == {
        "law": "a=b.txt",
        "medical": "q.txt",
    }
    assert queries_by_domain(["q.txt"], ["law"]) == queries_by_domain(["law=q.txt"], ["law"]) == {"law": "q.txt"}
    for given, said in ((["q.txt"], "NAME=FILE"), (["tax=q.txt"], "law, medical"), (["law=a", "law=b"], "already")):
        with pytest.raises(UsageError, match=said):
            queries_by_domain(given, ["law", "medical"])
