"""The types a scikit-learn package may contain, as (loader of skops, type). Everything else is refused unread.

skops trusts more by itself (every estimator, ufuncs as functions) and leaves the rest to its caller; this list is
ours and closed. No loader that names a function, a method, a partial or an operator is on it, so a file can only
fill the attributes of estimators. Trees are on it although a forged one can make scikit-learn read out of bounds
(skops leaves them out for that): forests and boosting need them, and digest and golden rows stand before traffic.
"""

import io
import json
import zipfile
from typing import Any

from coalmine.errors import Refused

__all__ = ["ALLOWED", "check", "names"]

MAX_UNPACKED_BYTES = 1 << 30
"""Largest sum of the unpacked members of an archive, in bytes."""

_ESTIMATORS = """
    sklearn.calibration.CalibratedClassifierCV sklearn.calibration._CalibratedClassifier
    sklearn.calibration._SigmoidCalibration
    sklearn.compose._column_transformer.ColumnTransformer sklearn.compose._target.TransformedTargetRegressor
    sklearn.dummy.DummyClassifier sklearn.dummy.DummyRegressor
    sklearn.ensemble._bagging.BaggingClassifier sklearn.ensemble._bagging.BaggingRegressor
    sklearn.ensemble._forest.ExtraTreesClassifier sklearn.ensemble._forest.ExtraTreesRegressor
    sklearn.ensemble._forest.RandomForestClassifier sklearn.ensemble._forest.RandomForestRegressor
    sklearn.ensemble._gb.GradientBoostingClassifier sklearn.ensemble._gb.GradientBoostingRegressor
    sklearn.ensemble._hist_gradient_boosting.binning._BinMapper
    sklearn.ensemble._hist_gradient_boosting.gradient_boosting.HistGradientBoostingClassifier
    sklearn.ensemble._hist_gradient_boosting.gradient_boosting.HistGradientBoostingRegressor
    sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor
    sklearn.ensemble._iforest.IsolationForest
    sklearn.ensemble._voting.VotingClassifier sklearn.ensemble._voting.VotingRegressor
    sklearn.impute._base.MissingIndicator sklearn.impute._base.SimpleImputer
    sklearn.isotonic.IsotonicRegression
    sklearn.linear_model._base.LinearRegression sklearn.linear_model._bayes.BayesianRidge
    sklearn.linear_model._coordinate_descent.ElasticNet sklearn.linear_model._coordinate_descent.Lasso
    sklearn.linear_model._glm.glm.GammaRegressor sklearn.linear_model._glm.glm.PoissonRegressor
    sklearn.linear_model._glm.glm.TweedieRegressor sklearn.linear_model._huber.HuberRegressor
    sklearn.linear_model._logistic.LogisticRegression sklearn.linear_model._logistic.LogisticRegressionCV
    sklearn.linear_model._ridge.Ridge sklearn.linear_model._ridge.RidgeClassifier
    sklearn.linear_model._stochastic_gradient.SGDClassifier
    sklearn.linear_model._stochastic_gradient.SGDRegressor
    sklearn.naive_bayes.BernoulliNB sklearn.naive_bayes.GaussianNB sklearn.naive_bayes.MultinomialNB
    sklearn.neighbors._classification.KNeighborsClassifier sklearn.neighbors._regression.KNeighborsRegressor
    sklearn.neural_network._multilayer_perceptron.MLPClassifier
    sklearn.neural_network._multilayer_perceptron.MLPRegressor
    sklearn.neural_network._stochastic_optimizers.AdamOptimizer
    sklearn.neural_network._stochastic_optimizers.SGDOptimizer
    sklearn.pipeline.FeatureUnion sklearn.pipeline.Pipeline
    sklearn.preprocessing._data.MaxAbsScaler sklearn.preprocessing._data.MinMaxScaler
    sklearn.preprocessing._data.Normalizer sklearn.preprocessing._data.PowerTransformer
    sklearn.preprocessing._data.QuantileTransformer sklearn.preprocessing._data.RobustScaler
    sklearn.preprocessing._data.StandardScaler
    sklearn.preprocessing._discretization.KBinsDiscretizer
    sklearn.preprocessing._encoders.OneHotEncoder sklearn.preprocessing._encoders.OrdinalEncoder
    sklearn.preprocessing._label.LabelBinarizer sklearn.preprocessing._label.LabelEncoder
    sklearn.preprocessing._polynomial.PolynomialFeatures sklearn.preprocessing._target_encoder.TargetEncoder
    sklearn.svm._classes.LinearSVC sklearn.svm._classes.LinearSVR sklearn.svm._classes.SVC
    sklearn.svm._classes.SVR
    sklearn.tree._classes.DecisionTreeClassifier sklearn.tree._classes.DecisionTreeRegressor
    sklearn.tree._classes.ExtraTreeClassifier sklearn.tree._classes.ExtraTreeRegressor
    sklearn._loss.link.HalfLogitLink sklearn._loss.link.IdentityLink sklearn._loss.link.Interval
    sklearn._loss.link.LogLink sklearn._loss.link.LogitLink sklearn._loss.link.MultinomialLogit
    sklearn._loss.loss.AbsoluteError sklearn._loss.loss.ExponentialLoss sklearn._loss.loss.HalfBinomialLoss
    sklearn._loss.loss.HalfGammaLoss sklearn._loss.loss.HalfMultinomialLoss
    sklearn._loss.loss.HalfPoissonLoss sklearn._loss.loss.HalfSquaredError sklearn._loss.loss.HuberLoss
    sklearn._loss.loss.PinballLoss
"""

_LOSSES = """
    AbsoluteError ExponentialLoss HalfBinomialLoss HalfGammaLoss HalfMultinomialLoss HalfPoissonLoss
    HalfSquaredError HalfTweedieLoss HalfTweedieLossIdentity HuberLoss PinballLoss
"""

_SCALARS = "bool_ float32 float64 int32 int64 uint8 uint32 uint64"

ALLOWED: frozenset[tuple[str, str]] = frozenset(
    {
        ("DictNode", "builtins.dict"),
        ("ListNode", "builtins.list"),
        ("TupleNode", "builtins.tuple"),
        ("SetNode", "builtins.set"),
        ("SliceNode", "builtins.slice"),
        ("JsonNode", "builtins.str"),
        ("TypeNode", "builtins.str"),
        ("NdArrayNode", "numpy.ndarray"),
        ("DTypeNode", "numpy.dtype"),
        ("RandomStateNode", "numpy.random.mtrand.RandomState"),
        ("RandomGeneratorNode", "numpy.random._generator.Generator"),
        ("SparseMatrixNode", "scipy.sparse._csr.csr_matrix"),
        ("SparseMatrixNode", "scipy.sparse._csc.csc_matrix"),
        ("TreeNode", "sklearn.tree._tree.Tree"),
        *(("ObjectNode", name) for name in _ESTIMATORS.split()),
        *(("LossNode", f"sklearn._loss._loss.Cy{name}") for name in _LOSSES.split()),
        *(("NdArrayNode", f"numpy.{name}") for name in _SCALARS.split()),
        *(("TypeNode", f"numpy.{name}") for name in _SCALARS.split()),
    }
)
"""The closed list of (loader, type)."""


def names() -> list[str]:
    """Return the allowed types in the form skops takes them."""
    return sorted({name for _, name in ALLOWED})


def check(content: bytes, source: str) -> None:
    """Pass when every node of the skops archive `content` is on the list; nothing of it is imported or built.

    Raises
    ------
    Refused
        When a node is not; the message names `source` and the types.
    Exception
        What zipfile and json raise for what is no such archive; the caller refuses it.
    """
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        unpacked = sum(member.file_size for member in archive.infolist())
        if unpacked > MAX_UNPACKED_BYTES:
            raise Refused(f"model {source}: its archive unpacks to more than {MAX_UNPACKED_BYTES} bytes.")
        found = _nodes(json.loads(archive.read("schema.json")))
    foreign = sorted(f"{name} ({loader})" for loader, name in found - ALLOWED)
    if foreign:
        raise Refused(
            f"model {source}: it contains {', '.join(foreign[:5])}, which is not allowed."
            " Build the model from the estimators listed in coalmine.models.allowed."
        )


def _nodes(schema: Any) -> set[tuple[str, str]]:
    """Return (loader, type) of every object in the schema; without recursion, the file decides how deep it is."""
    found: set[tuple[str, str]] = set()
    waiting = [schema]
    while waiting:
        item = waiting.pop()
        if isinstance(item, dict):
            if "__loader__" in item or "__class__" in item:
                found.add((str(item.get("__loader__")), f"{item.get('__module__')}.{item.get('__class__')}"))
            waiting.extend(item.values())
        elif isinstance(item, list):
            waiting.extend(item)
    return found
