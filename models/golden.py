"""Golden rows: a loaded model must give the answers its author saw, or it never serves."""

import numpy as np

from coalmine.errors import Refused

from .model import Model

__all__ = ["check"]


def check(model: Model, source: str) -> None:
    """Pass when `model` answers the golden rows of its manifest within their tolerance.

    Raises
    ------
    Refused
        When it raises, answers in another shape, or differs; the message names `source` and the first such row.
    """
    golden = model.manifest.golden
    expected = np.array([row.expected for row in golden.rows])
    try:
        answers = np.asarray(model.predict([row.features for row in golden.rows]), dtype=np.float64)
    except (Exception, SystemExit) as error:  # whatever a model does here, it must not serve
        raise Refused(
            f"model {source}: it raises {type(error).__name__} on its golden rows."
            " Check that the libraries here are those it was packed with."
        ) from error
    if answers.shape != expected.shape:
        raise Refused(f"model {source}: {answers.shape} answers to {expected.shape} golden rows.")
    # Written so that an answer of nan is off.
    off = ~(np.abs(answers - expected) <= golden.tolerance)
    if off.any():
        raise Refused(
            f"model {source}: golden row {int(np.argmax(off))} and {int(off.sum()) - 1} more are not answered within"
            f" {golden.tolerance:g}. Check that the libraries here are those it was packed with."
        )
