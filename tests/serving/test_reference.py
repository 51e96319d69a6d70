"""Reference profiles: frozen with a version, read back as the profile that drift compares with."""

import msgspec
import numpy as np

from contracts.schema import FeatureSpec
from serving.profile import Profile
from serving.reference import Reference, profile_of, reference_of

FEATURES = [
    FeatureSpec(name="wind", kind="float"),
    FeatureSpec(name="carrier", kind="string"),
    FeatureSpec(name="cargo", kind="boolean"),
    FeatureSpec(name="gate", kind="string"),
]


def test_reference__through_json__is_the_profile_of_its_own_rows() -> None:
    draw = np.random.default_rng(3)
    wind = [None if n % 20 == 0 else float(w) for n, w in enumerate(draw.normal(10, 3, 400))]
    rows = [
        {"wind": w, "carrier": "UA" if n % 3 else "AA", "cargo": n % 4 == 0, "gate": None}
        for n, w in enumerate(wind)
    ]
    made = reference_of(
        FEATURES,
        rows,
        source="sample",
        scores=[0.1, 0.9] * 200,
        predicted=["on time", "late"] * 200,
        labels={"0": 300, "1": 100},
    )
    read = msgspec.json.decode(msgspec.json.encode(made), type=Reference)
    assert read == made
    assert (read.comparable, read.label_rate, read.empty) == (True, 0.25, ["gate"])
    profile, predictions = profile_of(read)
    assert predictions == {"prediction:score", "prediction:label"}
    columns = {name: [row[name] for row in rows] for name in ("wind", "carrier", "cargo")}
    winds = np.array([np.nan if w is None else w for w in wind])
    again = Profile.of(profile.layout, {**columns, "wind": winds})
    assert (again.counts[:3] == profile.counts[:3]).all()
    assert profile.missing[0] == 20
    assert np.allclose(profile.means[0], np.nanmean(winds))
    assert profile.counts[0, :10].min() >= 30


def test_reference__of_an_example__is_too_small_to_compare() -> None:
    made = reference_of(FEATURES, [{"wind": 1.0, "carrier": "UA"}] * 3, source="example")
    assert not made.comparable
    assert made.label_rate is None
