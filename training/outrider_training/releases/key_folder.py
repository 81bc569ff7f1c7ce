"""A folder of private keys, and the root that they trust.

Ed25519 in PEM, a file for each key, readable by its owner alone. Beside them lies `root.json`: what
is in a repository is believed as far as a chain of signatures leads from it. It does not know
which key is for what.
"""

import os
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from securesystemslib.signer import CryptoSigner

from outrider_training.releases.errors import KeyUnusableError

ROOT: Final = "root.json"
_SUFFIX: Final = ".pem"
_NAME_LETTERS: Final = 16  # of the key's id
_MAX_KEYS: Final = 32
_MAX_KEY_BYTES: Final = 1 << 14
_MAX_ROOT_BYTES: Final = 512_000  # what TUF's own client reads


class KeyFolder:
    """Read when asked. Raises KeyUnusableError."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def signers(self) -> list[CryptoSigner]:
        """One for every key, in the order of their names."""
        files = sorted(self.path.glob(f"*{_SUFFIX}"))
        if len(files) > _MAX_KEYS:
            raise KeyUnusableError(self.path, f"holds more than {_MAX_KEYS} keys")
        return [_signer(file) for file in files]

    def create(self) -> CryptoSigner:
        """A new key, on the disk before it is used."""
        signer = CryptoSigner.generate_ed25519()
        self._write(self._place(signer.public_key.keyid), signer.private_bytes)
        return signer

    def check_writable(self) -> None:
        """Before something is done that must be written here."""
        try:
            with NamedTemporaryFile(prefix=".check-", dir=self.path) as file:
                file.write(b"?")
        except OSError as error:
            raise KeyUnusableError(self.path, error.strerror or str(error)) from error

    def remove(self, key_id: str) -> None:
        """If it is there: for keys that nobody believes any more."""
        self._place(key_id).unlink(missing_ok=True)

    def root(self) -> bytes:
        """What is trusted without a signature."""
        place = self.path / ROOT
        try:
            with place.open("rb") as file:
                return file.read(_MAX_ROOT_BYTES)
        except FileNotFoundError as error:
            reason = "is not there: put the one of `keys create` there, which devices have"
            raise KeyUnusableError(place, reason) from error
        except OSError as error:
            raise KeyUnusableError(place, error.strerror or str(error)) from error

    def trust(self, root: bytes) -> None:
        """From now on begin with this root."""
        write_root(self.path / ROOT, root)

    def _place(self, key_id: str) -> Path:
        return self.path / f"{key_id[:_NAME_LETTERS]}{_SUFFIX}"

    def _write(self, place: Path, data: bytes) -> None:
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            handle = os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(handle, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise KeyUnusableError(place, error.strerror or str(error)) from error


def write_root(place: Path, root: bytes) -> None:
    """Whole or not at all. Raises KeyUnusableError."""
    partial = place.with_name(f"{place.name}.partial")
    try:
        partial.write_bytes(root)
        os.replace(partial, place)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise KeyUnusableError(place, error.strerror or str(error)) from error


def _signer(file: Path) -> CryptoSigner:
    try:
        with file.open("rb") as opened:
            key = load_pem_private_key(opened.read(_MAX_KEY_BYTES), None)
    except OSError as error:
        raise KeyUnusableError(file, error.strerror or str(error)) from error
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise KeyUnusableError(file, "is no private key in PEM without a password") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise KeyUnusableError(file, "is no Ed25519 key")
    return CryptoSigner(key)
