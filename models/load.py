"""Loading: address, digest, verified bytes, flavor, golden rows, in this order. Nothing else makes a model."""

from pathlib import Path
from typing import assert_never

from coalmine.errors import ModelError, Refused

from . import golden, linear, store
from .manifest import Flavor
from .model import Model

__all__ = ["load"]


def load(uri: str, digest: str = "", root: Path = Path()) -> Model:
    """Return the model at `uri` (a directory or `file:` URL, relative to `root`), ready to serve.

    With `digest` (`sha256:<64 hex>`) only exactly that package is loaded; without, `Model.digest` tells what was
    found. Costs a few ms for `linear`, one to two seconds for the first `sklearn` model of a process.

    Raises
    ------
    Refused
        When this package must never serve: other content than promised, a type that is not allowed, a file
        that is no model, golden rows that are not answered.
    ModelError
        When it cannot be loaded here now: address, missing file, missing library.
    """
    package = store.read(uri, digest, root)
    try:
        model = _parse(package)
    except ModelError:
        raise
    except ImportError as error:
        raise ModelError(f"model {uri}: {error}. Install the library on this worker.") from error
    except Exception as error:  # parsers of model formats raise anything on bad input
        raise Refused(
            f"model {uri}: its files are no {package.manifest.flavor.value} model"
            f" ({type(error).__name__}: {error}). Pack the model again."
        ) from error
    golden.check(model, uri)
    return model


def _parse(package: store.Package) -> Model:
    match package.manifest.flavor:
        case Flavor.LINEAR:
            return linear.load(package)
        case Flavor.SKLEARN:
            from . import sklearn_flavor  # scikit-learn takes a second to import

            return sklearn_flavor.load(package)
        case _:
            assert_never(package.manifest.flavor)
