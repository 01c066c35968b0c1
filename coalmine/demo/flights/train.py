"""Train the models of the demo on January and February and write them as packages.

    python -m coalmine.demo.flights.train DIRECTORY [NAME ...]

| name    | model                                                        | what happens to it as a canary    |
|---------|--------------------------------------------------------------|-----------------------------------|
| stable  | logistic regression on the schedule and the departure delay  | is the stable model               |
| hinges  | the same with a delay that may bend at nine knots            | promoted: a little better         |
| boosted | gradient boosted trees on the same columns                   | promoted: a little better         |
| tailnum | one column per aircraft seen in two weeks; raises for others | rolled back on errors             |
| forest  | 500 trees, some 15 ms a call                                 | rolled back on latency            |

`stable` and `hinges` are numbers in JSON, shipped in `packages/`; the others need scikit-learn and are trained when
they are needed (each in a second or two), so that they always fit the scikit-learn that loads them.
"""

import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from coalmine.models import Feature, FeatureType, Linear, Matrix, Model, OutputKind, Row, load, pack

from . import data
from .data import Flights

__all__ = ["PACKAGES", "SHIPPED", "main", "provide", "train"]

PACKAGES = Path(__file__).with_name("packages")
"""Where the shipped packages are."""

SHIPPED = ("stable", "hinges")
"""Names of the shipped packages: every library version reads them alike."""

NUMBERS = ("distance", "hour", "block", "dep_delay")
STRINGS = ("carrier", "origin")

KNOTS = (-5, 0, 5, 10, 15, 20, 30, 45, 60)
"""Departure delays, in minutes, at which the line of `hinges` may bend: dense where lateness is decided."""

KNOWN_AIRCRAFT = (date(2013, 1, 1), date(2013, 1, 15))
"""The two weeks that `tailnum` is trained on; every seventh later departure is with an aircraft not seen then."""

FOREST_TREES = 500
FOREST_ROWS = 2000
FOREST_DEPTH = 4
"""The forest is slow by its number of trees; few rows and levels keep its package near 1 MB, its training at 1 s."""

GOLDEN_ROWS = 12


def provide(directory: Path, names: Sequence[str]) -> dict[str, Model]:
    """Write the packages `names` under `directory` and return them loaded: shipped ones are copied, not trained."""
    for name in set(names) & set(SHIPPED):
        shutil.copytree(PACKAGES / name, directory / name, dirs_exist_ok=True)
    trained = train(directory, [name for name in names if name not in SHIPPED])
    return trained | {name: load(name, root=directory) for name in names if name in SHIPPED}


def train(directory: Path, names: Sequence[str]) -> dict[str, Model]:
    """Train the models `names` and write their packages to `directory`/`name`; raises KeyError for other names."""
    history = data.load().between(date(2013, 1, 1), data.STREAM_START)
    labelled = history.at(history.landed)
    return {name: _TRAINERS[name](labelled, directory / name) for name in names}


def main(arguments: list[str]) -> None:
    """Train the models named after the directory (all without names) and print their digests."""
    directory, *names = arguments
    for name, model in train(Path(directory), names or list(_TRAINERS)).items():
        print(f"{name}: version {model.manifest.version}, {model.digest}")


def _stable(flights: Flights, directory: Path) -> Model:
    return _packed(_logistic(flights, knots=()), directory, "1", flights)


def _hinges(flights: Flights, directory: Path) -> Model:
    return _packed(_logistic(flights, knots=KNOTS), directory, "2", flights)


def _boosted(flights: Flights, directory: Path) -> Model:
    from sklearn.ensemble import HistGradientBoostingClassifier

    estimator = HistGradientBoostingClassifier(
        max_iter=30,
        learning_rate=0.2,
        max_leaf_nodes=15,
        early_stopping=False,  # pyright: ignore[reportArgumentType] - its stub knows only "auto"
        random_state=0,
    )
    return _packed(estimator.fit(_coded(flights), flights.late), directory, "2-boosted", flights)


def _forest(flights: Flights, directory: Path) -> Model:
    from sklearn.ensemble import RandomForestClassifier

    estimator = RandomForestClassifier(FOREST_TREES, max_depth=FOREST_DEPTH, max_samples=FOREST_ROWS, random_state=0)
    return _packed(estimator.fit(_coded(flights), flights.late), directory, "2-forest", flights)


def _tailnum(flights: Flights, directory: Path) -> Model:
    from sklearn.compose import ColumnTransformer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    known = flights.between(*KNOWN_AIRCRAFT)
    columns = ColumnTransformer(
        [
            ("numbers", StandardScaler(), list(range(4))),
            ("names", OneHotEncoder(handle_unknown="error"), [4, 5, 6]),
        ]
    )
    names = (*NUMBERS, *STRINGS, "tailnum")
    rows = np.array(_rows(known, names), dtype=object)
    estimator = make_pipeline(columns, LogisticRegression(C=0.1, max_iter=500)).fit(rows, known.late)
    features = [Feature(name=name) for name in NUMBERS]
    features += [Feature(name=name, type=FeatureType.STRING) for name in names[4:]]
    return pack(
        estimator,
        directory,
        name="flights",
        version="2-tailnum",
        features=features,
        output=OutputKind.PROBABILITY,
        golden=_golden(known, names),
        matrix=Matrix.OBJECTS,
    )


_TRAINERS: Mapping[str, Callable[[Flights, Path], Model]] = {
    "stable": _stable,
    "hinges": _hinges,
    "boosted": _boosted,
    "tailnum": _tailnum,
    "forest": _forest,
}


def _packed(estimator: Any, directory: Path, version: str, flights: Flights) -> Model:
    return pack(
        estimator,
        directory,
        name="flights",
        version=version,
        features=_features(flights),
        output=OutputKind.PROBABILITY,
        golden=_golden(flights, NUMBERS + STRINGS),
    )


def _features(flights: Flights) -> list[Feature]:
    numbers = [Feature(name=name) for name in NUMBERS]
    strings = [Feature(name=name, type=FeatureType.STRING, categories=_categories(flights, name)) for name in STRINGS]
    return numbers + strings


def _categories(flights: Flights, name: str) -> tuple[str, ...]:
    return tuple(np.unique(getattr(flights, name)).tolist())


def _golden(flights: Flights, names: Sequence[str]) -> list[Row]:
    """Return rows spread over the training months, so over hours, carriers and delays."""
    spread = flights.at(np.linspace(0, len(flights) - 1, GOLDEN_ROWS).astype(int))
    return _rows(spread, names)


def _rows(flights: Flights, names: Sequence[str]) -> list[Row]:
    columns = [getattr(flights, name) for name in names]
    lists = [c.astype(float).tolist() if c.dtype.kind == "i" else c.tolist() for c in columns]
    return list(zip(*lists, strict=True))


def _numbers(flights: Flights) -> NDArray[np.float64]:
    return np.column_stack([getattr(flights, name) for name in NUMBERS]).astype(np.float64)


def _coded(flights: Flights) -> NDArray[np.float64]:
    """Return the matrix the packages without `Matrix.OBJECTS` eat: strings as the index of their category."""
    codes = [np.searchsorted(_categories(flights, name), getattr(flights, name)) for name in STRINGS]
    return np.column_stack([_numbers(flights), *codes])


def _logistic(flights: Flights, knots: Sequence[int]) -> Linear:
    """Fit a logistic regression (ridge penalty 1 on standardised columns) and fold the scaling into its weights."""
    from sklearn.linear_model import LogisticRegression

    numbers = _numbers(flights)
    hinges = np.maximum(flights.dep_delay[:, None] - np.array(knots, dtype=np.float64), 0.0)
    scaled = np.hstack([numbers, hinges])
    mean, deviation = scaled.mean(axis=0), scaled.std(axis=0)
    categories = {name: _categories(flights, name) for name in STRINGS}
    switches = [getattr(flights, name)[:, None] == np.array(categories[name]) for name in STRINGS]
    # Newton's method reaches the same optimum on every machine; lbfgs stops somewhere near it.
    fit = LogisticRegression(solver="newton-cholesky", tol=1e-10)
    fit.fit(np.hstack([(scaled - mean) / deviation, *switches]), flights.late)
    coefficients = np.asarray(fit.coef_)[0]
    weights = coefficients[: len(mean)] / deviation
    effects = iter(coefficients[len(mean) :].tolist())
    bends = list(zip(map(float, knots), weights[len(NUMBERS) :].tolist(), strict=True))
    return Linear(
        logit=True,
        intercept=float(np.asarray(fit.intercept_)[0] - weights @ mean),
        weights=dict(zip(NUMBERS, weights.tolist(), strict=False)),
        hinges={"dep_delay": bends} if bends else {},
        effects={name: {category: next(effects) for category in categories[name]} for name in STRINGS},
    )


if __name__ == "__main__":
    main(sys.argv[1:])
