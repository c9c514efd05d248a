"""A server that answers as the API of Kubernetes does for pods, and lets them be annotated."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

NAMESPACE = "shop"
LABELS = {"app.kubernetes.io/instance": "jobs", "app.kubernetes.io/component": "worker"}
GROUP_LABEL = "celery-worker-group"
TOKEN = "s3cret"

RawPod = dict[str, Any]


class KubeApi:
    """The API server."""

    def __init__(self) -> None:
        self.pods: list[RawPod] = []
        #: Instead of pods.
        self.status = 200
        self.silent = threading.Event()
        self.asked: list[str] = []
        self.changes: list[tuple[str, dict[str, Any]]] = []
        self.tokens = {TOKEN}
        api = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                api.asked.append(self.path)
                if api.silent.is_set():
                    threading.Event().wait(20)
                token = self.headers.get("Authorization", "").removeprefix("Bearer ")
                self._say(*api.answer(self.path, token))

            def do_PATCH(self) -> None:
                change = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                self._say(200, api.change(self.path, change))

            def _say(self, status: int, answer: dict[str, Any]) -> None:
                body = json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None: ...

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def answer(self, path: str, token: str) -> tuple[int, dict[str, Any]]:
        if path.startswith("/version"):
            return 200, {"gitVersion": "v1.34.0"}
        if token not in self.tokens:
            return 401, {"kind": "Status", "message": "Unauthorized"}
        if self.status != 200:
            return self.status, {"kind": "Status", "message": "pods is forbidden"}
        return 200, {"kind": "PodList", "metadata": {}, "items": self.pods}

    def change(self, path: str, change: dict[str, Any]) -> RawPod:
        self.changes.append((path, change))
        name = path.rpartition("/")[2]
        (pod,) = (each for each in self.pods if each["metadata"]["name"] == name)
        pod["metadata"].setdefault("annotations", {}).update(change["metadata"]["annotations"])
        return pod

    def kubeconfig(self, folder: Path, *, token: str = TOKEN) -> Path:
        """A file that leads to this server."""
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "test",
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
            "clusters": [{"name": "test", "cluster": {"server": self.url}}],
            "users": [{"name": "test", "user": {"token": token}}],
        }
        file = folder / "kubeconfig"
        file.write_text(json.dumps(config))
        return file

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def raw_pod(name: str, *, ready: bool = True, **changes: Any) -> RawPod:  # noqa: ANN401
    """A pod as Kubernetes lists it."""
    condition = {
        "type": "Ready",
        "status": "True" if ready else "False",
        "lastTransitionTime": "2026-01-01T00:00:07Z",
    }
    metadata = {
        "name": name,
        "uid": f"uid-{name}",
        "labels": {**LABELS, GROUP_LABEL: "io"},
        "creationTimestamp": "2026-01-01T00:00:00Z",
    }
    status = {"phase": "Running", "podIP": name, "conditions": [condition]}
    return {
        "metadata": {**metadata, **changes.pop("metadata", {})},
        "status": {**status, **changes},
    }
