"""A Hugging Face Hub over real sockets, as much of it as a publisher speaks to.

One model repository with one branch: commits, small files within them, large ones by LFS. Whoever
asks needs the token. A commit that names another parent than the newest is refused.
"""

import base64
import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

from huggingface_hub import close_session

Files = dict[str, bytes]


@dataclass
class Hub:
    """What it holds, and what it was asked for."""

    name: str = "org/drafts"
    token: str = "hf_right"
    large_bytes: int = 1 << 16  # from here on files go by LFS
    endpoint: str = ""
    commits: list[tuple[str, Files]] = field(default_factory=lambda: [(_oid(b""), {})])
    blobs: dict[str, bytes] = field(default_factory=dict)  # uploaded by LFS, by SHA-256
    refuse_commits: int | None = None  # with this status
    refuse_reads: int | None = None

    @property
    def files(self) -> Files:
        """Of the newest commit."""
        return self.commits[-1][1]

    def at(self, revision: str) -> tuple[str, Files] | None:
        if revision == "main":
            return self.commits[-1]
        return next((commit for commit in self.commits if commit[0] == revision), None)

    def commit(self, lines: list[dict[str, Any]]) -> str:
        files = dict(self.files)
        for line in lines[1:]:
            said = line["value"]
            if line["key"] == "file":
                files[said["path"]] = base64.b64decode(said["content"])
            else:
                files[said["path"]] = self.blobs[said["oid"]]
        oid = _oid(json.dumps([len(self.commits), lines[0]]).encode())
        self.commits.append((oid, files))
        return oid

    @contextmanager
    def serving(self) -> Iterator["Hub"]:
        """On a port of its own."""
        hub = self

        class Handler(_Handler):
            pass

        Handler.hub = hub
        with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
            self.endpoint = f"http://127.0.0.1:{server.server_port}"
            thread = threading.Thread(target=server.serve_forever)
            thread.start()
            try:
                yield self
            finally:
                close_session()
                server.shutdown()
                thread.join()


def _oid(data: bytes) -> str:
    return hashlib.sha1(data).hexdigest()


class _Handler(BaseHTTPRequestHandler):
    hub: Hub
    protocol_version = "HTTP/1.1"

    def do_HEAD(self) -> None:
        self._resolve(with_body=False)

    def do_GET(self) -> None:
        path = self._path()
        if not path.startswith("/api/"):
            self._resolve(with_body=True)
            return
        if not self._may(path):
            return
        commit = self.hub.at(path.rsplit("/", 1)[-1])
        if commit is None:
            self._fail(404, "RevisionNotFound")
        else:
            self._say({"id": self.hub.name, "sha": commit[0], "siblings": []})

    def do_POST(self) -> None:
        path, body = self._path(), self._body()
        if not self._may(path):
            return
        if "/preupload/" in path:
            files = [self._mode(file) for file in json.loads(body)["files"]]
            self._say({"files": files})
        elif path.endswith(".git/info/lfs/objects/batch"):
            wanted = json.loads(body)["objects"]
            self._say({"transfer": "basic", "objects": [self._action(each) for each in wanted]})
        elif path == "/verify":
            right = json.loads(body)["oid"] in self.hub.blobs
            self._say({}) if right else self._fail(404, "NotUploaded")
        else:
            self._commit([json.loads(line) for line in body.splitlines()])

    def do_PUT(self) -> None:
        """An address that was handed out is all that is needed, as with an object store."""
        data = self._body()
        if hashlib.sha256(data).hexdigest() != self._path().removeprefix("/upload/"):
            self._fail(400, "BadDigest")
            return
        self.hub.blobs[hashlib.sha256(data).hexdigest()] = data
        self._say({})

    def log_message(self, *_: Any) -> None:
        return

    def _commit(self, lines: list[dict[str, Any]]) -> None:
        if self.hub.refuse_commits is not None:
            self._fail(self.hub.refuse_commits, "Refused")
        elif lines[0]["value"].get("parentCommit") not in (None, self.hub.commits[-1][0]):
            self._fail(412, "PreconditionFailed")
        else:
            oid = self.hub.commit(lines)
            self._say({"commitUrl": f"{self.hub.endpoint}/{self.hub.name}/commit/{oid}",
                       "commitOid": oid})  # fmt: skip

    def _mode(self, file: dict[str, Any]) -> dict[str, Any]:
        mode = "lfs" if file["size"] >= self.hub.large_bytes else "regular"
        return {"path": file["path"], "uploadMode": mode, "shouldIgnore": False}

    def _action(self, wanted: dict[str, Any]) -> dict[str, Any]:
        if wanted["oid"] in self.hub.blobs:
            return wanted
        upload = {"href": f"{self.hub.endpoint}/upload/{wanted['oid']}"}
        verify = {"href": f"{self.hub.endpoint}/verify"}
        return wanted | {"actions": {"upload": upload, "verify": verify}}

    def _resolve(self, *, with_body: bool) -> None:
        path = self._path()
        if not self._may(path):
            return
        if self.hub.refuse_reads is not None:
            self._fail(self.hub.refuse_reads, "Refused")
            return
        revision, _, name = path.removeprefix(f"/{self.hub.name}/resolve/").partition("/")
        commit = self.hub.at(unquote(revision))
        if commit is None or name not in commit[1]:
            self._fail(404, "EntryNotFound" if commit else "RevisionNotFound")
            return
        data = commit[1][name]
        self.send_response(200)
        self.send_header("X-Repo-Commit", commit[0])
        self.send_header("ETag", f'"{hashlib.sha256(data).hexdigest()}"')
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if with_body:
            self.wfile.write(data)

    def _path(self) -> str:
        return unquote(urlsplit(self.path).path)

    def _may(self, path: str) -> bool:
        if self.headers.get("Authorization") != f"Bearer {self.hub.token}":
            self._fail(401, "Unauthorized")
            return False
        if path != "/verify" and self.hub.name not in path:
            self._fail(404, "RepoNotFound")
            return False
        return True

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        body = b""
        while size := int(self.rfile.readline(), 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def _say(self, value: Any) -> None:
        data = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def _fail(self, status: int, code: str) -> None:
        self.send_response(status)
        self.send_header("X-Error-Code", code)
        self.send_header("Retry-After", "0")
        self.send_header("Content-Length", "0")
        self.end_headers()
