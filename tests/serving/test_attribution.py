"""Which cells of a model's tensors an explanation takes together."""

from contracts.preprocessing import Hash, Impute, Onehot, Standardise, Step
from contracts.schema import FeatureSpec, ModelSchema, OutputSpec, TensorSpec
from serving.attribution import Attribution, attributions

FEATURES = (
    FeatureSpec(name="age", kind="float", nullable=True),
    FeatureSpec(name="city", kind="string"),
    FeatureSpec(name="street", kind="string"),
    FeatureSpec(name="unused", kind="float"),
)


def schema(columns: tuple[str, ...], *steps: Step) -> ModelSchema:
    return ModelSchema(
        features=FEATURES,
        tensors=(TensorSpec(name="x", datatype="FP32", features=columns),),
        output=OutputSpec(tensor="p"),
        preprocessing=steps,
    )


def test_attributions__no_preprocessing__one_a_feature_in_the_schemas_order() -> None:
    plain = ModelSchema(
        features=FEATURES,
        tensors=(
            TensorSpec(name="t", datatype="BYTES", features=("street", "city")),
            TensorSpec(name="x", datatype="FP32", features=("age",)),
        ),
        output=OutputSpec(tensor="p"),
    )
    assert attributions(plain) == (
        Attribution(("age",), (("x", 0),)),
        Attribution(("city",), (("t", 1),)),
        Attribution(("street",), (("t", 0),)),
    )


def test_attributions__spread_over_columns__are_one_feature() -> None:
    steps = (
        Impute(inputs=("age",), values=(40.0,), indicators=("age_missing",)),
        Standardise(inputs=("age",), mean=(40.0,), scale=(10.0,)),
        Onehot(inputs=("city", "street"), categories=(("A", "B"), ("C",)), unknown="column"),
    )
    columns = ("city=A", "age", "street=C", "city=other", "age_missing", "street=other", "city=B")
    found = {each.name: each.cells for each in attributions(schema(columns, *steps))}
    assert found == {
        "age": (("x", 1), ("x", 4)),
        "city": (("x", 0), ("x", 3), ("x", 6)),
        "street": (("x", 2), ("x", 5)),
    }


def test_attributions__hashed_into_the_same_columns__are_explained_together() -> None:
    hashed = Hash(inputs=("city", "street"), buckets=2)
    found = attributions(schema(("hash_0", "age", "hash_1"), hashed))
    assert [(each.name, each.cells) for each in found] == [
        ("age", (("x", 1),)),
        ("city + street", (("x", 0), ("x", 2))),
    ]
