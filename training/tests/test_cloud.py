"""The cloud's scripts: run for real against a local server, killed, continued; and what their pages promise."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Thread

import pytest
import yaml
from cachelora.application import command_of, installed_commands

CLOUD = Path(__file__).resolve().parents[1] / "cloud"
ROOT = CLOUD.parents[1]
README = (CLOUD / "README.md").read_text(encoding="utf-8")
SCRIPT = (CLOUD / "run.sh").read_text(encoding="utf-8")
SAMPLES = 24


class ChatServer:
    """An OpenAI-compatible server that answers with a triplet; ``go`` lets answers after the first few through."""

    def __init__(self, before_pause: int) -> None:
        self.before_pause, self.answered, self.go = before_pause, 0, Event()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, format: str, *arguments: object) -> None:
                pass

            def do_POST(self) -> None:
                asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                if outer.answered >= outer.before_pause:
                    outer.go.wait()
                (question,) = re.findall(r"^Question: (.*)$", asked["messages"][-1]["content"], flags=re.MULTILINE)
                answer = {"positive": f"In other words, {question}", "negative": f"{question} without a prescription"}
                message = {"role": "assistant", "content": json.dumps(answer)}
                body = json.dumps({
                    "id": "1", "object": "chat.completion", "created": 0, "model": asked["model"],
                    "choices": [{"index": 0, "finish_reason": "stop", "message": message}],
                    "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
                }).encode()  # fmt: skip
                outer.answered += 1
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/v1"


@pytest.fixture
def chat() -> Iterator[ChatServer]:
    running = ChatServer(before_pause=8)
    thread = Thread(target=running.server.serve_forever, daemon=True)
    thread.start()
    yield running
    running.go.set()
    running.server.shutdown()
    running.server.server_close()
    thread.join()


def start(bucket: Path, machine: Path, chat: ChatServer, base: Path) -> subprocess.Popen[str]:
    """Start run.sh on a machine with an empty disk."""
    machine.mkdir()
    environment = os.environ | {
        "HOME": str(machine),
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "KEEP_SECONDS": "0.2",
        "ENDPOINTS": chat.url,
        "BASE_MODEL": str(base),
        "DOMAIN": "medical",
        "MODEL": "any",
        "COPIES": "1",
        "NUM_SAMPLES": str(SAMPLES),
        "RECIPE": "demo",
        "QUERIES": "training/data/medical/train.jsonl",
        "TEST_FILE": "training/data/medical/test.jsonl",
    }
    return subprocess.Popen(
        ["bash", str(CLOUD / "run.sh"), str(bucket)],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def test_a_lost_machine_costs_no_answer(chat, base, tmp_path):
    bucket = tmp_path / "bucket"
    journal = bucket / "triplets.jsonl.journal"
    first = start(bucket, tmp_path / "first", chat, base)
    deadline = time.monotonic() + 120
    while not (journal.is_file() and journal.read_bytes().count(b"\n") > chat.before_pause):
        assert first.poll() is None, first.communicate()
        assert time.monotonic() < deadline, "no journal in the bucket"
        time.sleep(0.1)
    # A spot machine gets no chance to clean up.
    os.killpg(first.pid, signal.SIGKILL)
    first.communicate()
    assert not (bucket / "triplets.jsonl").exists()

    chat.go.set()
    answered = chat.answered
    second = start(bucket, tmp_path / "second", chat, base)
    said, problems = second.communicate(timeout=300)
    assert second.returncode == 0, problems
    assert f"{chat.before_pause} replies from before" in said, said
    results = json.loads((bucket / "results.json").read_text())
    assert "margin" in results["adapter"]["by_domain"]["all"]
    assert (bucket / "adapter" / "adapter_model.safetensors").is_file()
    assert 0 < len((bucket / "triplets.jsonl").read_text().splitlines()) <= SAMPLES

    # With everything in the bucket a third machine asks nothing and trains nothing; a triplet file that was cut
    # short on its way is not believed.
    answered = chat.answered
    third = start(bucket, tmp_path / "third", chat, base)
    assert third.communicate(timeout=60)[0] == ""
    assert third.returncode == 0
    assert chat.answered == answered


def test_a_failure_is_a_failure(chat, base, tmp_path):
    chat.server.RequestHandlerClass.do_POST = lambda self: self.send_error(401)  # type: ignore[attr-defined]
    failed = start(tmp_path / "bucket", tmp_path / "machine", chat, base)
    problems = failed.communicate(timeout=120)[1]
    assert failed.returncode == 1, problems
    assert "401" in problems
    assert not (tmp_path / "bucket" / "adapter").exists()


@pytest.mark.parametrize("name", ["generate", "train", "evaluate"])
def test_commands_and_their_flags_exist(name):
    calls = re.findall(rf"cachelora {name} ((?:.*\\\n)*.*)", SCRIPT)
    assert calls
    command = command_of(name, installed_commands()[name].load())
    known = {flag for parameter in command.params for flag in parameter.opts}
    for call in calls:
        flags = set(re.findall(r"(?<!\S)--[a-z-]+", call))
        assert flags
        assert flags <= known


def test_every_variable_of_the_script_has_a_value_in_the_task():
    task = yaml.safe_load((CLOUD / "train.yaml").read_text(encoding="utf-8"))
    upper = set(re.findall(r"\$\{?([A-Z][A-Z_]+)", SCRIPT)) - {"HOME", "PATH"}
    optional = {"WORK", "KEEP_SECONDS", "ENDPOINTS", "BASE_MODEL"}
    assert upper - optional <= set(task["envs"])
    plain = set(re.findall(r"\b([A-Z_]+)=", README))
    assert upper - optional <= plain
    for key in ("QUERIES", "TEST_FILE"):
        assert (ROOT / task["envs"][key]).is_file()


def test_no_file_holds_a_secret():
    secret = re.compile(
        r"AKIA[0-9A-Z]{16}|hf_[A-Za-z0-9]{20,}|sk-[A-Za-z0-9]{20,}|(?i:secret_access_key|password)\s*[=:]"
    )
    for path in CLOUD.iterdir():
        assert not secret.search(path.read_text(encoding="utf-8")), path
    assert secret.search("export AWS_SECRET_ACCESS_KEY=x")


def test_plain_aws_terminates_itself():
    (block,) = re.findall(r"```sh\n(cat > user-data.*?)```", README, flags=re.DOTALL)
    script = block.partition("<<'END'\n")[2].partition("\nEND\n")[0]
    assert subprocess.run(["bash", "-n"], input=script, text=True).returncode == 0
    assert subprocess.run(["bash", "-n"], input=block, text=True).returncode == 0
    lines = [line for line in script.splitlines() if not line.startswith("#")]
    assert lines[0].startswith("shutdown -h +"), "the end comes before all that may fail"
    assert lines[1] == "trap 'shutdown -h now' EXIT"
    assert "--instance-initiated-shutdown-behavior terminate" in block
    assert "DeleteOnTermination=true" in block


def test_the_costs_add_up():
    setup, samples, tokens, rate, training = 0.4, 10_000, 120, 2_000, 0.1
    rows = re.findall(r"^\| (.+?) \| ([\d.]+) \| \$([\d.]+) \| \$([\d.]+) \|$", README, flags=re.MULTILINE)
    assert len(rows) == 4
    for name, hours, price, cost in rows:
        assert abs(float(hours) * float(price) - float(cost)) < 0.03, name
        if "samples" in name:
            count = int(name.split()[0].replace(",", ""))
            assert count % samples == 0
            assert float(hours) == pytest.approx(setup + count * tokens / (rate * 3600) + training, abs=0.01)
