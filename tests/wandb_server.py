"""A W&B server for tests: keeps in memory what a real client sends over HTTP on this machine.

It speaks what wandb 0.31 asks for: GraphQL (viewer, upsert and resume of runs, upload addresses, views), the file
stream (history, summary, exit code) and PUT for files. A question that it does not know is refused with 400, which
clients do not repeat, and kept in `unknown`: a test that finds it empty has seen all that the client wanted.
"""

import json
import os
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock, Thread
from typing import Any
from urllib.parse import quote, unquote

from processes import GUARD, PATIENCE

ENTITY = "tester"
KEY = "k" * 40


@dataclass
class ReceivedRun:
    """What has arrived of one run."""

    id: str
    project: str
    name: str = ""
    group: str = ""
    job_type: str = ""
    tags: list[str] = field(default_factory=list)
    config: dict[str, Any] = field(default_factory=dict)
    lines: dict[str, dict[int, str]] = field(default_factory=dict)
    """Streamed files, as lines by their number."""
    exit_code: int | None = None
    files: dict[str, bytes] = field(default_factory=dict)

    @property
    def history(self) -> list[dict[str, Any]]:
        rows = self.lines.get("wandb-history.jsonl", {})
        return [json.loads(rows[number]) for number in sorted(rows)]

    @property
    def summary(self) -> dict[str, Any]:
        lines = self.lines.get("wandb-summary.json")
        return json.loads(lines[0]) if lines else {}

    def upsert(self, values: dict[str, Any]) -> None:
        for name, key in {"name": "displayName", "group": "groupName", "job_type": "jobType", "tags": "tags"}.items():
            if values.get(key) is not None:
                setattr(self, name, values[key])
        sent = json.loads(values.get("config") or "{}")
        self.config |= {key: entry["value"] for key, entry in sent.items() if key != "_wandb"}

    def stream(self, body: dict[str, Any]) -> None:
        for name, part in (body.get("files") or {}).items():
            lines = self.lines.setdefault(name, {})
            lines.update(enumerate(part["content"], part["offset"]))
        if body.get("complete"):
            self.exit_code = body["exitcode"]

    def bucket(self) -> dict[str, Any]:
        """The run as GraphQL tells it."""
        project = {"id": "p", "name": self.project, "entity": {"id": "e", "name": ENTITY}}
        counts = {f"{kind}LineCount": len(self.lines.get(f"wandb-{kind}.jsonl", {})) for kind in ("history", "events")}
        tail = [json.dumps(row) for row in self.history[-1:]]
        return {
            "id": f"id-{self.id}", "name": self.id, "displayName": self.name, "description": "", "sweepName": None,
            "config": json.dumps({key: {"value": value} for key, value in self.config.items()}),
            "project": project, **counts, "logLineCount": 0, "historyTail": json.dumps(tail), "eventsTail": "[]",
            "summaryMetrics": json.dumps(self.summary), "tags": self.tags, "notes": "",
            "wandbConfig": json.dumps({"t": 1}),  # what tells a run that has started from one made ahead for a sweep
        }  # fmt: skip


class WandbServer:
    """What arrived, and the answers to it."""

    def __init__(self) -> None:
        self.url = ""
        self.runs: dict[str, ReceivedRun] = {}
        self.views: list[dict[str, Any]] = []
        self.asked: Counter[str] = Counter()
        """GraphQL operations and "METHOD /first/part" of the other requests."""
        self.unknown: list[str] = []
        self.fault: str | None = None
        """What becomes of requests once a run has begun: "500", "hang up", "silence" until it is None again."""
        self.lock = Lock()

    def answer(self, method: str, path: str, body: bytes) -> dict[str, Any] | None:
        """The JSON to answer a request with; None if it is unknown."""
        with self.lock:
            if path == "/graphql":
                return self._graphql(json.loads(body))
            parts = path.strip("/").split("/")
            self.asked[f"{method} /{parts[0]}"] += 1
            match method, *parts:
                case "POST", "files", _, _, run, "file_stream":
                    self.runs[run].stream(json.loads(body))
                case "PUT", "storage", run, name:
                    self.runs[run].files[unquote(name)] = body
                case "POST", "sdk", "otel", *_:
                    pass
                case _:
                    self.unknown.append(f"{method} {path}")
                    return None
        return {}

    def _graphql(self, question: dict[str, Any]) -> dict[str, Any] | None:
        query = question["query"]
        name = question.get("operationName") or query.split("{")[0].split("(")[0].split()[-1]
        self.asked[name] += 1
        respond = getattr(self, f"_on_{name.lower()}", None)
        if respond is None:
            self.unknown.append(query)
            return None
        return {"data": respond(question.get("variables") or {})}

    def _on_viewer(self, values: dict[str, Any]) -> dict[str, Any]:
        edges: dict[str, Any] = {"edges": []}
        return {"viewer": {"id": "v", "entity": ENTITY, "username": ENTITY, "email": None, "flags": "{}",
                           "teams": edges, "apiKeys": edges, "admin": False}}  # fmt: skip

    def _on_organizationcoreweaveorganizationid(self, values: dict[str, Any]) -> dict[str, Any]:
        return {"entity": {"organization": None}}

    _on_getdefaultentity = _on_viewer

    def _on_getprojects(self, values: dict[str, Any]) -> dict[str, Any]:
        page = {"__typename": "PageInfo", "endCursor": None, "hasNextPage": False}
        return {"models": {"__typename": "ProjectConnection", "pageInfo": page, "edges": []}}

    def _on_createproject(self, values: dict[str, Any]) -> dict[str, Any]:
        asked = values["input"]
        project = {"id": "p", "name": asked["name"], "entityName": asked["entityName"]}
        project |= {"description": None, "access": None, "views": None}
        return {"result": {"project": project, "model": project, "inserted": True}}

    def _on_upsertview(self, values: dict[str, Any]) -> dict[str, Any]:
        """A saved workspace or report."""
        self.views.append(values)
        project = {"id": "p", "name": values["projectName"], "entityName": values["entityName"]}
        times = {"createdAt": "2026-01-01T00:00:00", "updatedAt": "2026-01-01T00:00:00"}
        view = {**values, **times, "id": f"view{len(self.views)}", "project": project}
        return {"upsertView": {"view": view, "inserted": True}}

    _on_upsertview2 = _on_upsertview

    def _on_serverfeaturesquery(self, values: dict[str, Any]) -> dict[str, Any]:
        return {"serverInfo": {"features": []}}

    def _on_artifacttype(self, values: dict[str, Any]) -> dict[str, Any]:
        return {"project": {"artifact": None}}

    def _on_createartifact(self, values: dict[str, Any]) -> dict[str, Any]:
        """A table is a file of its run and an artifact too; saying that the artifact is there saves its upload."""
        artifact = {"id": "a", "state": "COMMITTED", "artifactSequence": {"latestArtifact": {"id": "a"}}}
        return {"createArtifact": {"artifact": artifact}}

    def _on_upsertbucket(self, values: dict[str, Any]) -> dict[str, Any]:
        known = values["name"] in self.runs
        run = self.runs.setdefault(values["name"], ReceivedRun(values["name"], values["project"]))
        run.upsert(values)
        return {"upsertBucket": {"bucket": run.bucket(), "inserted": not known}}

    def _on_runresumestatus(self, values: dict[str, Any]) -> dict[str, Any]:
        run = self.runs.get(values["name"])
        entity = {"id": "e", "name": ENTITY}
        return {"model": {"id": "p", "name": values["project"], "entity": entity, "bucket": run and run.bucket()}}

    def _on_createrunfiles(self, values: dict[str, Any]) -> dict[str, Any]:
        run = values["run"]
        files = [
            {"name": name, "uploadUrl": f"{self.url}/storage/{run}/{quote(name, safe='')}"} for name in values["files"]
        ]
        return {"createRunFiles": {"runID": f"id-{run}", "uploadHeaders": [], "files": files}}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = GUARD
    server: "_HTTPServer"

    def _respond(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.server.wandb.fault and self.path.startswith(("/files", "/storage")):
            self._fail(self.server.wandb.fault)
            return
        try:
            answer = self.server.wandb.answer(self.command, self.path, body)
        except Exception as error:  # kept for the test; the client must not wait for an answer
            self.server.wandb.unknown.append(f"{self.command} {self.path}: {error!r}")
            answer = None
        text = json.dumps({"errors": [{"message": "unknown question"}]} if answer is None else answer).encode()
        self.send_response(400 if answer is None else 200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def _fail(self, fault: str) -> None:
        self.close_connection = True
        if fault == "500":
            self.send_error(500)
        while fault == "silence" and self.server.wandb.fault:
            time.sleep(0.05)

    do_GET = do_POST = do_PUT = _respond  # noqa: N815

    def log_message(self, *arguments: Any) -> None:
        """Nothing on the terminal."""


class _HTTPServer(ThreadingHTTPServer):
    daemon_threads = True
    wandb: WandbServer

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that ends without closing its connections is no error."""


@contextmanager
def wandb_server() -> Iterator[WandbServer]:
    """A server on a free port of this machine, as long as the block lasts."""
    http = _HTTPServer(("127.0.0.1", 0), _Handler)
    http.wandb = WandbServer()
    http.wandb.url = f"http://127.0.0.1:{http.server_port}"
    thread = Thread(target=http.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield http.wandb
    finally:
        http.shutdown()
        http.server_close()
        thread.join(5)


def clean_environment() -> dict[str, str]:
    """The environment without W&B's variables: by WANDB_SERVICE, a new process would log through this one's."""
    return {name: value for name, value in os.environ.items() if not name.startswith("WANDB_")} | PATIENCE


def client_environment(server: WandbServer) -> dict[str, str]:
    """Environment of a client that logs to the server and to nothing else."""
    wandb = {"BASE_URL": server.url, "API_KEY": KEY, "MODE": "online", "ERROR_REPORTING": "false"}
    return clean_environment() | {f"WANDB_{name}": value for name, value in wandb.items()}
