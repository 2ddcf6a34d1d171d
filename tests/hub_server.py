"""A model hub on the loopback: what the real client asks for, answered from memory.

Repositories, branches, commits, files by hash, large files through the LFS protocol with a redirect to another
host, a token for what writes, and the check of a card's metadata. It keeps a log of the requests.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock, Thread
from urllib.parse import unquote, urlsplit

import yaml

TOKEN = "hf_token_of_the_test_server"
LARGE = (".safetensors", ".onnx", ".bin")
KINDS = r"(?P<kind>models|datasets)"
ID = r"(?P<id>[\w.-]+/[\w.-]+)"


@dataclass
class Repository:
    private: bool = False
    branches: dict[str, str] = field(default_factory=dict)
    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)

    def commit(self, branch: str, files: dict[str, bytes]) -> str:
        parent = self.branches.get(branch, "")
        content = self.commits.get(parent, {}) | files
        listed = "".join(f"{name} {hashlib.sha1(data).hexdigest()}\n" for name, data in sorted(content.items()))
        sha = hashlib.sha1(f"{parent}\n{listed}{len(self.commits)}".encode()).hexdigest()
        self.commits[sha] = content
        self.branches[branch] = sha
        return sha


class Hub:
    """The state of the server. ``requests`` holds (method, path) of everything that was asked."""

    def __init__(self) -> None:
        self.repositories: dict[tuple[str, str], Repository] = {}
        self.large: dict[str, bytes] = {}
        self.requests: list[tuple[str, str]] = []
        self.messages: list[str] = []
        self.url = ""
        self.storage = ""
        self.lock = Lock()

    def add(self, identifier: str, files: dict[str, bytes], *, kind: str = "models", branch: str = "main") -> str:
        """Commit ``files`` and return the commit."""
        return self.repositories.setdefault((kind, identifier), Repository()).commit(branch, files)

    def asked_for(self, part: str) -> bool:
        return any(part in path for _, path in self.requests)


class RefusedError(Exception):
    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status, self.code = status, code


def is_large(name: str) -> bool:
    return name.endswith(LARGE)


class Handler(BaseHTTPRequestHandler):
    hub: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *arguments: object) -> None:
        pass

    def do_GET(self) -> None:
        self.answer()

    do_HEAD = do_POST = do_PUT = do_GET  # noqa: N815

    def answer(self) -> None:
        path = urlsplit(self.path).path
        self.body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        with self.hub.lock:
            self.hub.requests.append((self.command, path))
            try:
                for method, pattern, handle in ROUTES:
                    match = re.fullmatch(pattern, path)
                    if method == self.command.replace("HEAD", "GET") and match:
                        if method in ("POST", "PUT") and "lfs-store" not in path and "validate" not in path:
                            self.check_token()
                        handle(self, **match.groupdict())
                        return
                raise RefusedError(404, "", f"no route for {self.command} {path}")
            except RefusedError as refused:
                self.send(
                    refused.status,
                    json.dumps({"error": str(refused)}).encode(),
                    {"X-Error-Code": refused.code, "X-Error-Message": str(refused)},
                )

    def send(self, status: int, body: bytes = b"", headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def send_json(self, content: object) -> None:
        self.send(200, json.dumps(content).encode(), {"Content-Type": "application/json"})

    def check_token(self) -> None:
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            raise RefusedError(401, "", "Invalid credentials in Authorization header")

    def repository(self, kind: str, id: str) -> Repository:
        found = self.hub.repositories.get((kind, id))
        if found is None or (found.private and self.headers.get("Authorization") != f"Bearer {TOKEN}"):
            raise RefusedError(
                404 if self.headers.get("Authorization") else 401, "RepoNotFound", "Repository not found"
            )
        return found

    def commit_of(self, repository: Repository, revision: str) -> str:
        revision = unquote(revision)
        sha = repository.branches.get(revision, revision)
        if sha not in repository.commits:
            raise RefusedError(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        return sha

    # --- reading

    def info(self, kind: str, id: str, revision: str | None = None) -> None:
        repository = self.repository(kind, id)
        sha = self.commit_of(repository, revision or "main")
        siblings = [{"rfilename": name} for name in sorted(repository.commits[sha])]
        self.send_json({"id": id, "sha": sha, "private": repository.private, "siblings": siblings, "tags": []})

    def tree(self, kind: str, id: str, revision: str) -> None:
        repository = self.repository(kind, id)
        files = repository.commits[self.commit_of(repository, revision)]
        self.send_json([
            {"type": "file", "path": name, "size": len(data), "oid": hashlib.sha1(data).hexdigest()}
            for name, data in sorted(files.items())
        ])  # fmt: skip

    def resolve(self, id: str, revision: str, path: str, dataset: str | None = None) -> None:
        repository = self.repository("datasets" if dataset else "models", id)
        sha = self.commit_of(repository, revision)
        data = repository.commits[sha].get(unquote(path))
        commit = {"X-Repo-Commit": sha}
        if data is None:
            raise RefusedError(404, "EntryNotFound", f"{path} does not exist")
        if is_large(path):
            oid = hashlib.sha256(data).hexdigest()
            self.hub.large[oid] = data
            link = {"X-Linked-Etag": f'"{oid}"', "X-Linked-Size": str(len(data))}
            self.send(302, headers=commit | link | {"Location": f"{self.hub.storage}/lfs-store/{oid}"})
            return
        etag = hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()
        self.send(200, data, commit | {"ETag": f'"{etag}"'})

    def large_file(self, oid: str) -> None:
        self.send(200, self.hub.large[oid], {"ETag": f'"{oid}"'})

    # --- writing

    def create(self) -> None:
        asked = json.loads(self.body)
        kind, identifier = f"{asked.get('type') or 'model'}s", f"{asked['organization']}/{asked['name']}"
        # Clients from version 2 on send the second form.
        private = bool(asked.get("private")) or asked.get("visibility") == "private"
        if (kind, identifier) in self.hub.repositories:
            self.send(409, json.dumps({"error": "exists", "url": f"{self.hub.url}/{identifier}"}).encode())
            return
        repository = self.hub.repositories[(kind, identifier)] = Repository(private=private)
        repository.commit("main", {".gitattributes": b"*.safetensors filter=lfs\n"})
        self.send_json({"url": f"{self.hub.url}/{identifier}"})

    def validate(self) -> None:
        matter = re.match(r"---\n(.*?)\n---", json.loads(self.body)["content"], flags=re.DOTALL)
        data = yaml.safe_load(matter[1]) if matter else {}
        errors = []
        base = data.get("base_model")
        if base is not None and not re.fullmatch(r"[\w.-]+/[\w.-]+", str(base)):
            errors.append(f'"base_model" {base!r} is not a valid model id')
        for model in data.get("model-index", []):
            for result in model.get("results", []):
                if not {"task", "dataset", "metrics"} <= set(result) or not model.get("name"):
                    errors.append('"model-index" is not complete')
        answer = {"errors": [{"message": error} for error in errors], "warnings": []}
        self.send(400 if errors else 200, json.dumps(answer).encode())

    def preupload(self, kind: str, id: str, revision: str) -> None:
        self.commit_of(self.repository(kind, id), revision)
        files = json.loads(self.body)["files"]
        modes = [
            {"path": file["path"], "uploadMode": "lfs" if is_large(file["path"]) else "regular", "shouldIgnore": False}
            for file in files
        ]
        self.send_json({"files": modes})

    def lfs_batch(self, id: str) -> None:
        objects = [
            item if item["oid"] in self.hub.large
            else item | {"actions": {"upload": {"href": f"{self.hub.url}/lfs-store/{item['oid']}"}}}
            for item in json.loads(self.body)["objects"]
        ]  # fmt: skip
        self.send_json({"transfer": "basic", "objects": objects})

    def store_large(self, oid: str) -> None:
        if hashlib.sha256(self.body).hexdigest() != oid:
            raise RefusedError(400, "", "the content does not have this hash")
        self.hub.large[oid] = self.body
        self.send(200)

    def branch(self, kind: str, id: str, name: str) -> None:
        repository = self.repository(kind, id)
        if name in repository.branches:
            raise RefusedError(409, "", "the branch is there")
        repository.branches[name] = repository.branches["main"]
        self.send_json({})

    def commit(self, kind: str, id: str, revision: str) -> None:
        repository = self.repository(kind, id)
        self.commit_of(repository, revision)
        files: dict[str, bytes] = {}
        for line in self.body.splitlines():
            entry = json.loads(line)
            value = entry["value"]
            if entry["key"] == "header":
                self.hub.messages.append(value["summary"])
            elif entry["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif entry["key"] == "lfsFile":
                files[value["path"]] = self.hub.large[value["oid"]]
            else:
                raise RefusedError(400, "", f"unknown operation {entry['key']}")
        sha = repository.commit(unquote(revision), files)
        self.send_json({"commitUrl": f"{self.hub.url}/{id}/commit/{sha}", "commitOid": sha, "success": True})


ROUTES = [
    ("GET", rf"/api/{KINDS}/{ID}", Handler.info),
    ("GET", rf"/api/{KINDS}/{ID}/revision/(?P<revision>[^/]+)", Handler.info),
    ("GET", rf"/api/{KINDS}/{ID}/tree/(?P<revision>[^/]+)", Handler.tree),
    ("GET", rf"/(?P<dataset>datasets/)?{ID}/resolve/(?P<revision>[^/]+)/(?P<path>.+)", Handler.resolve),
    ("GET", r"/lfs-store/(?P<oid>\w+)", Handler.large_file),
    ("POST", r"/api/repos/create", Handler.create),
    ("POST", r"/api/validate-yaml", Handler.validate),
    ("POST", rf"/api/{KINDS}/{ID}/preupload/(?P<revision>[^/]+)", Handler.preupload),
    ("POST", rf"/{ID}\.git/info/lfs/objects/batch", Handler.lfs_batch),
    ("PUT", r"/lfs-store/(?P<oid>\w+)", Handler.store_large),
    ("POST", rf"/api/{KINDS}/{ID}/branch/(?P<name>[^/]+)", Handler.branch),
    ("POST", rf"/api/{KINDS}/{ID}/commit/(?P<revision>[^/]+)", Handler.commit),
]


@contextmanager
def serve() -> Iterator[Hub]:
    """Run a hub on a free port of the loopback."""
    hub = Hub()
    handler = type("HandlerOfOneHub", (Handler,), {"hub": hub})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    hub.url = f"http://127.0.0.1:{server.server_address[1]}"
    # Large files come from another host, as they do from a real hub.
    hub.storage = hub.url.replace("127.0.0.1", "localhost")
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
