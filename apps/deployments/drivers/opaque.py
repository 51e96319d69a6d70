"""Artifacts that Triton's other backends load as they are: what goes where in an entry."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from apps.deployments.drivers import store
from apps.deployments.errors import TargetRefuses
from apps.registry.models import ModelVersion
from contracts.manifest import ManifestFile
from dataplane.triton.config import MAX_BATCH_SIZE, quoted, tensor_block

EVERYWHERE = ("onnxruntime",)


@dataclass(frozen=True)
class Layout:
    """How a backend wants its files: `name` is the one file, or the folder, below `1/`."""

    platform: str
    name: str
    folder: bool = False
    on_gpu: bool = False


LAYOUTS: Mapping[str, Layout] = {
    "tensorflow": Layout("tensorflow_savedmodel", "model.savedmodel", folder=True),
    "pytorch": Layout("pytorch_libtorch", "model.pt"),
    "tensorrt": Layout("tensorrt_plan", "model.plan", on_gpu=True),
}


def require_backend(version: ModelVersion, backends: Sequence[str]) -> None:
    """Raise TargetRefuses unless the target's Triton has the backend that the version needs.

    `backends` are those beside ONNX that the target's settings name.
    """
    needed = version.triton_backend
    if needed in (*EVERYWHERE, *backends):
        return
    if not needed:
        said = "no backend of Triton loads its files; log an ONNX export or TorchScript with it"
        raise TargetRefuses(f"{version} ({version.framework}) is kept as it is: {said}")
    said = f"name it in the target's settings under backends, where its Triton has it: {needed!r}"
    raise TargetRefuses(f"{version} needs Triton's backend {needed}; {said}")


def files_of(version: ModelVersion) -> tuple[ManifestFile, ...]:
    """The version's files at their places in the entry. Raises TargetRefuses."""
    layout = LAYOUTS[version.triton_backend]
    if not layout.folder and len(version.files) != 1:
        count = len(version.files)
        raise TargetRefuses(f"{version} has {count} files, Triton takes one {layout.name}")
    base = store.key_of(version.artifact_uri)
    return tuple(
        ManifestFile(
            path=f"1/{layout.name}" + (f"/{_inner(each['path'])}" if layout.folder else ""),
            sha256=each["sha256"],
            size=each["size"],
            key=f"{base}/{each['path']}",
        )
        for each in version.files
    )


def _inner(path: str) -> str:
    """The path below the folder that the model was logged in."""
    return path.partition("/")[2] or path


def config_of(version: ModelVersion, entry: str, replicas: int) -> str:
    """The entry's configuration: tensors as the signature names them."""
    schema, layout = version.schema(), LAYOUTS[version.triton_backend]
    output = schema.output
    kind = "KIND_GPU" if layout.on_gpu else "KIND_AUTO"
    blocks = [
        f"name: {quoted(entry)}",
        f"platform: {quoted(layout.platform)}",
        f"max_batch_size: {MAX_BATCH_SIZE}",
        *(tensor_block("input", t.name, t.datatype, len(t.features)) for t in schema.tensors),
        tensor_block("output", output.tensor, output.datatype, output.width),
        f"instance_group [ {{ count: {replicas} kind: {kind} }} ]",
        "dynamic_batching { }",
    ]
    return "\n".join(blocks) + "\n"
