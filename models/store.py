"""From an address to verified bytes: every file of a package is read once, and what was hashed is what is parsed.

No parser of a model format runs here. The manifest is parsed only after the digest was compared, the other files
are handed on only after size and SHA-256 were compared with the manifest.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from coalmine.errors import ModelError, Refused

from .manifest import Manifest, PackageFile
from .manifest_file import MANIFEST_NAME, decode

__all__ = ["Package", "digest_of", "read"]

MAX_MANIFEST_BYTES = 1 << 22
"""Largest manifest, in bytes: a thousand features with 50 categories each and their histograms take 2.8 million."""


@dataclass(frozen=True, slots=True)
class Package:
    """A verified package: `files` maps the names of the manifest to their bytes; `source` is for messages."""

    source: str
    digest: str
    manifest: Manifest
    files: Mapping[str, bytes]


def digest_of(manifest_bytes: bytes) -> str:
    """Return the digest of a package: `sha256:<64 hex>` over the exact bytes of its manifest."""
    return f"sha256:{hashlib.sha256(manifest_bytes).hexdigest()}"


def read(uri: str, digest: str, root: Path) -> Package:
    """Return the package at `uri`, a directory or `file:` URL, relative to `root`.

    An empty `digest` accepts whatever is there and tells its digest.

    Raises
    ------
    ModelError
        When the address is not one of ours or a file cannot be read on this machine now.
    Refused
        When the content is not what was promised, or no package.
    """
    directory = _directory(uri, root)
    raw = _bytes(directory / MANIFEST_NAME, MAX_MANIFEST_BYTES, uri)
    found = digest_of(raw)
    if digest and digest != found:
        raise Refused(
            f"model {uri}: the package has digest {found}, but {digest} was asked for."
            " Give the digest of this package, or bring back the package that was reviewed."
        )
    manifest = decode(raw, f"{uri}/{MANIFEST_NAME}")
    files = {file.name: _verified(directory, file, uri) for file in manifest.files}
    return Package(source=uri, digest=found, manifest=manifest, files=files)


def _directory(uri: str, root: Path) -> Path:
    if "://" not in uri and not uri.startswith("file:"):
        return root / uri
    parts = urlsplit(uri)
    if parts.scheme != "file" or parts.netloc not in ("", "localhost"):
        raise ModelError(
            f"model {uri}: only a directory or a file: URL on this machine can be loaded."
            " Copy the package to a directory that every worker sees."
        )
    return root / unquote(parts.path)


def _verified(directory: Path, file: PackageFile, uri: str) -> bytes:
    content = _bytes(directory / file.name, file.size, uri)
    if len(content) != file.size or hashlib.sha256(content).hexdigest() != file.sha256:
        raise Refused(
            f"model {uri}: {file.name} is not the file its manifest names (size or sha256 differ)."
            " Copy the package again, or pack it anew."
        )
    return content


def _bytes(path: Path, limit: int, uri: str) -> bytes:
    """Return the content of `path`; of a longer file only the first `limit` + 1 bytes."""
    try:
        with path.open("rb") as file:
            content = file.read(limit + 1)
    except OSError as error:
        raise ModelError(
            f"model {uri}: {path} cannot be read ({error.strerror}). Check the address and the model root."
        ) from error
    if len(content) > limit:
        raise Refused(f"model {uri}: {path.name} is longer than {limit} bytes. Pack the model again.")
    return content
