"""A repository of drafts in a model repository of the Hugging Face Hub: an edition is one commit.

The commit names the one that was read, so the Hub itself refuses what comes second. Endpoint and
token are the library's own (HF_ENDPOINT, HF_TOKEN).
"""

import io
import logging
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import BinaryIO, Final

from huggingface_hub import CommitOperationAdd, HfApi, constants
from huggingface_hub.errors import (  # type: ignore[attr-defined]  # HTTPError, of its client
    HfHubHTTPError,
    HTTPError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
    RemoteEntryNotFoundError,
)

from outrider_training.errors import TrainingError
from outrider_training.releases.destination import TIMESTAMP_PATH, Shipment, Upload
from outrider_training.releases.errors import DestinationError, RepositoryBusyError

_MESSAGE: Final = "Publish an edition"
_MOVED: Final = frozenset({409, 412})  # statuses: the revision is another commit by now
_HOME: Final = "https://huggingface.co"


class HubDestination:
    """Implements `Destination`; the repository must be there. `endpoint`: the library's own if it
    is not given.
    """

    def __init__(
        self, repository: str, revision: str | None = None, endpoint: str | None = None
    ) -> None:
        self._repository, self._revision = repository, revision or constants.DEFAULT_REVISION
        self._api = HfApi(endpoint=endpoint or constants.ENDPOINT, library_name="outrider")
        logging.getLogger("huggingface_hub").setLevel(logging.ERROR)  # we say it ourselves
        self._commit: str | None = None  # that is read from, while something is changed

    def holds(self, path: Path) -> bool:
        """See `Destination`."""
        return False

    @contextmanager
    def changing(self) -> Iterator[None]:
        """See `Destination`: all is read from one commit, which must be the newest at the end."""
        with self._failing(self._repository):
            self._commit = self._api.model_info(self._repository, revision=self._revision).sha
        try:
            yield
        finally:
            self._commit = None

    def read(self, path: str, most_bytes: int) -> bytes | None:
        """See `Destination`."""
        with TemporaryDirectory(prefix="outrider-hub-") as folder:
            try:
                file = self._download(path, Path(folder), most_bytes)
            except RemoteEntryNotFoundError:
                return None
            return file.read_bytes()

    def fetch(self, path: str, target: Path, size_bytes: int) -> None:
        """See `Destination`."""
        with TemporaryDirectory(prefix="outrider-hub-", dir=target.parent) as folder:
            try:
                self._download(path, Path(folder), size_bytes).replace(target)
            except RemoteEntryNotFoundError as error:
                raise DestinationError(path, "is not there") from error

    def publish(self, shipment: Shipment) -> None:
        """See `Destination`."""
        uploads = [*shipment.targets, *shipment.metadata]
        uploads.append(Upload(TIMESTAMP_PATH, shipment.timestamp))
        if shipment.root is not None:
            uploads.append(shipment.root)
        with ExitStack() as opened, self._failing(self._repository):
            commit = self._api.create_commit(
                self._repository,
                [self._operation(upload, opened) for upload in uploads],
                commit_message=_MESSAGE,
                revision=self._revision,
                parent_commit=self._commit,
            )
            self._commit = commit.oid

    def _operation(self, upload: Upload, opened: ExitStack) -> CommitOperationAdd:
        """Other endpoints than the Hub's own do not speak Xet: open files go by plain HTTP."""
        source = upload.source
        if self._api.endpoint.rstrip("/") == _HOME:
            return CommitOperationAdd(upload.path, source)
        file: BinaryIO = io.BytesIO(source) if isinstance(source, bytes) else source.open("rb")
        return CommitOperationAdd(upload.path, opened.enter_context(file))

    def _download(self, path: str, folder: Path, most_bytes: int) -> Path:
        revision = self._commit or self._revision
        with self._failing(path):
            said = self._api.hf_hub_download(
                self._repository, path, revision=revision, local_dir=folder, dry_run=True
            )
            if said.file_size is None or said.file_size > most_bytes:
                raise DestinationError(path, f"is longer than {most_bytes:,} bytes")
            return Path(
                self._api.hf_hub_download(
                    self._repository, path, revision=revision, local_dir=folder
                )
            )

    @contextmanager
    def _failing(self, what: str) -> Iterator[None]:
        """The library's texts hold addresses and request ids: only kind and status are told."""
        try:
            yield
        except (TrainingError, RemoteEntryNotFoundError):
            raise
        except HfHubHTTPError as error:
            if error.response.status_code in _MOVED:
                raise RepositoryBusyError from error
            raise DestinationError(what, f"the Hub said {error.response.status_code}") from error
        except Exception as error:  # whatever the library's HTTP client raises
            raise DestinationError(what, _reason(error)) from error


def _reason(error: Exception) -> str:
    """Behind a file that is not in the library's cache stands why the Hub was of no help."""
    cause = error.__cause__ if isinstance(error, LocalEntryNotFoundError) else error
    if isinstance(cause, HfHubHTTPError):
        return f"the Hub said {cause.response.status_code}"
    if isinstance(cause, (HTTPError, OfflineModeIsEnabled)):
        return "the Hub cannot be reached"
    return f"the Hub failed: {type(cause or error).__name__}"
