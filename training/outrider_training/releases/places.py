"""From what a user calls a place to a destination there: a folder, a URL, or a Hub repository."""

from pathlib import Path
from typing import Final

import fsspec
from fsspec.implementations.local import LocalFileSystem

from outrider_training.releases.destination import Destination
from outrider_training.releases.errors import DestinationError
from outrider_training.releases.files import FileDestination, LocalFiles, UrlFiles
from outrider_training.releases.hub import HubDestination

_HUB: Final = "hf://"


def open_destination(where: str) -> Destination:
    """`hf://ORG/REPO`, perhaps with `@REVISION`; a folder; or a URL that fsspec knows.

    Raises DestinationError.
    """
    if where.startswith(_HUB):
        repository, _, revision = where.removeprefix(_HUB).partition("@")
        return HubDestination(repository, revision or None)
    outer, chained, _ = where.partition("::")
    scheme = outer.partition("://")[0]
    if chained:  # what lies in it would be unknown, keys perhaps
        raise DestinationError(scheme, "no place to publish to: a URL within a URL (::)")
    try:
        files, root = fsspec.url_to_fs(where)
    except ImportError as error:  # fsspec says which package speaks to such a place
        raise DestinationError(scheme, f"no place to publish to: {error}") from error
    except (ValueError, OSError, TypeError, AttributeError) as error:  # some want more than a URL
        raise DestinationError(scheme, f"no place to publish to: {type(error).__name__}") from error
    if isinstance(files, LocalFileSystem):
        return FileDestination(LocalFiles(Path(root)))
    return FileDestination(UrlFiles(files, root))
