"""scikit-learn through skops: the estimators people use load, and a file can bring nothing else along."""

import io
import json
import os
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import skops.io
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import (
    ExtraTreesClassifier,
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge, SGDClassifier
from sklearn.naive_bayes import GaussianNB
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler
from sklearn.svm import LinearSVC
from sklearn.tree import DecisionTreeClassifier

from coalmine.errors import Refused
from coalmine.models import Feature, FeatureType, Matrix, Model, OutputKind, Row, allowed, load, pack
from coalmine.models.sklearn_flavor import SKLEARN_FILE, encode
from coalmine.models.store import digest_of

RNG = np.random.default_rng(7)
X = RNG.normal(size=(120, 3))
Y = (X[:, 0] + 0.3 * RNG.normal(size=120) > 0).astype(int)
ROWS: list[Row] = [tuple(row) for row in X[:5].tolist()]


def packed(directory: Path, estimator: Any, output: OutputKind = OutputKind.PROBABILITY) -> Model:
    features = [Feature(name=name) for name in "abc"]
    return pack(estimator, directory, name="toy", version="1", features=features, output=output, golden=ROWS)


CLASSIFIERS = [
    LogisticRegression(),
    make_pipeline(StandardScaler(), LogisticRegression()),
    SGDClassifier(loss="log_loss"),
    DecisionTreeClassifier(max_depth=3),
    RandomForestClassifier(5),
    ExtraTreesClassifier(5),
    GradientBoostingClassifier(n_estimators=3),
    HistGradientBoostingClassifier(max_iter=3),
    GaussianNB(),
    CalibratedClassifierCV(LinearSVC()),
    # seeded: 3 of 150 starts end in a warning that it did not converge, and a warning fails a test
    MLPClassifier(hidden_layer_sizes=(3,), solver="lbfgs", max_iter=2000, random_state=0),
]
REGRESSORS = [LinearRegression(), Ridge(), RandomForestRegressor(5), HistGradientBoostingRegressor(max_iter=3)]


@pytest.mark.parametrize("estimator", CLASSIFIERS, ids=lambda e: type(e).__name__)
def test_a_classifier_answers_the_probability_of_its_second_class(tmp_path: Path, estimator: Any) -> None:
    model = packed(tmp_path, estimator.fit(X, Y))

    assert model.predict(ROWS) == pytest.approx(estimator.predict_proba(X[:5])[:, 1], rel=1e-9)


@pytest.mark.parametrize("estimator", REGRESSORS, ids=lambda e: type(e).__name__)
def test_a_regressor_answers_its_value(tmp_path: Path, estimator: Any) -> None:
    model = packed(tmp_path, estimator.fit(X, X[:, 1] * 40), OutputKind.NUMBER)

    assert model.predict(ROWS) == pytest.approx(estimator.predict(X[:5]), rel=1e-9)


def test_a_pipeline_takes_strings_as_objects_and_raises_for_a_new_one(tmp_path: Path) -> None:
    rows = [(float(x), name) for x, name in zip(X[:, 0], ["red", "blue"] * 60, strict=True)]
    columns = ColumnTransformer([("n", StandardScaler(), [0]), ("s", OneHotEncoder(handle_unknown="error"), [1])])
    estimator = make_pipeline(columns, LogisticRegression()).fit(np.array(rows, dtype=object), Y)
    features = [Feature(name="x"), Feature(name="colour", type=FeatureType.STRING)]
    model = pack(
        estimator,
        tmp_path,
        name="toy",
        version="1",
        features=features,
        output=OutputKind.PROBABILITY,
        golden=rows[:4],
        matrix=Matrix.OBJECTS,
    )

    assert model.predict(rows[:4]).shape == (4,)
    with pytest.raises(ValueError, match="unknown categories"):
        model.predict([(0.0, "green")])


def test_the_same_training_gives_the_same_bytes() -> None:
    first, second = (RandomForestClassifier(5, random_state=0).fit(X, Y) for _ in range(2))

    assert encode(first) == encode(second)
    assert encode(first) != encode(RandomForestClassifier(5, random_state=1).fit(X, Y))


def test_a_classifier_of_three_classes_has_no_single_probability(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="exactly two classes"):
        packed(tmp_path, LogisticRegression().fit(X, np.arange(120) % 3))


def plant(directory: Path, content: bytes) -> str:
    """Put `content` in place of the model file and make the manifest agree; return the directory."""
    packed(directory, LogisticRegression().fit(X, Y))
    (directory / SKLEARN_FILE).write_bytes(content)
    document = json.loads((directory / "coalmine.json").read_bytes())
    document["files"][0] |= {"size": len(content), "sha256": digest_of(content).removeprefix("sha256:")}
    (directory / "coalmine.json").write_text(json.dumps(document))
    return str(directory)


class Payload:
    """An object that runs a shell command when it is unpickled."""

    def __init__(self, marker: Path) -> None:
        self._marker = marker

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {self._marker}",)


def forged(change: Callable[[Any], None]) -> bytes:
    """Return a logistic regression whose schema went through `change`."""
    source = zipfile.ZipFile(io.BytesIO(encode(LogisticRegression().fit(X, Y))))
    schema = json.loads(source.read("schema.json"))
    change(schema)
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        archive.writestr("schema.json", json.dumps(schema))
        for name in source.namelist():
            if name != "schema.json":
                archive.writestr(name, source.read(name))
    return target.getvalue()


def node(loader: str, module: str, name: str, **extra: Any) -> Callable[[Any], None]:
    def change(schema: Any) -> None:
        schema["content"]["content"]["C"] = {
            "__loader__": loader,
            "__module__": module,
            "__class__": name,
            **extra,
        }

    return change


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (node("FunctionNode", "os", "system"), r"os.system \(FunctionNode\)"),
        (node("TypeNode", "subprocess", "Popen"), "subprocess.Popen"),
        (node("FunctionNode", "numpy", "log1p"), r"numpy.log1p \(FunctionNode\)"),
        (node("ObjectNode", "builtins", "str"), r"builtins.str \(ObjectNode\)"),
        (node("ConstructorFromReduceNode", "builtins", "list", content={}), "ConstructorFromReduceNode"),
        (node("OperatorFuncNode", "operator", "methodcaller", attrs={}), "operator.methodcaller"),
        (node("MethodNode", "sklearn.pipeline", "Pipeline", content={}), "MethodNode"),
        (node("CachedNode", "None", "None"), "CachedNode"),
        (node("ObjectNode", "sklearn.datasets._base", "load_files"), "load_files"),
    ],
)
def test_a_node_that_is_not_on_the_list_is_refused_by_name(
    tmp_path: Path, change: Callable[[Any], None], named: str
) -> None:
    with pytest.raises(Refused, match=f"contains {named}|{named}.*which is not allowed"):
        load(plant(tmp_path, forged(change)))


def test_a_function_hidden_in_a_pipeline_step_is_refused(tmp_path: Path) -> None:
    hidden = make_pipeline(FunctionTransformer(os.system), LogisticRegression())

    with pytest.raises(Refused, match="which is not allowed"):
        load(plant(tmp_path, skops.io.dumps(hidden)))


def test_a_pickle_is_refused_and_runs_nothing(tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    in_zip = io.BytesIO()
    with zipfile.ZipFile(in_zip, "w") as archive:
        archive.writestr("schema.json", pickle.dumps(Payload(marker)))

    for index, content in enumerate([pickle.dumps(Payload(marker)), in_zip.getvalue()]):
        with pytest.raises(Refused, match="are no sklearn model"):
            load(plant(tmp_path / str(index), content))

    assert not marker.exists()


def test_an_array_of_pickled_objects_is_refused_and_runs_nothing(tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    buffer = io.BytesIO()
    np.save(buffer, np.array([Payload(marker)], dtype=object), allow_pickle=True)
    source = zipfile.ZipFile(io.BytesIO(encode(LogisticRegression().fit(X, Y))))
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        for name in source.namelist():
            archive.writestr(name, source.read(name) if name == "schema.json" else buffer.getvalue())

    with pytest.raises(Refused):
        load(plant(tmp_path / "toy", target.getvalue()))

    assert not marker.exists()


def test_an_archive_that_unpacks_to_too_much_is_refused_before_it_is_unpacked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(allowed, "MAX_UNPACKED_BYTES", 1_000_000)
    bomb = io.BytesIO()
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("schema.json", b" " * 2_000_000)

    with pytest.raises(Refused, match="unpacks to more than"):
        load(plant(tmp_path, bomb.getvalue()))


def test_a_schema_of_endless_depth_is_refused(tmp_path: Path) -> None:
    deep = io.BytesIO()
    with zipfile.ZipFile(deep, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("schema.json", b"[" * 200_000)

    with pytest.raises(Refused, match="RecursionError"):
        load(plant(tmp_path, deep.getvalue()))


def test_the_list_of_types_names_things_that_exist() -> None:
    import importlib

    names = [name for loader, name in allowed.ALLOWED if loader in {"ObjectNode", "LossNode"}]
    missing = [n for n in names if not hasattr(importlib.import_module(n.rpartition(".")[0]), n.rpartition(".")[2])]

    assert missing == []
