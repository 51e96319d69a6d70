"""What may be asked of a version only once its artifact is there."""

from apps.registry.errors import VersionNotReady
from apps.registry.models import ModelVersion, VersionStatus


def require_ready(version: ModelVersion) -> None:
    """Raise VersionNotReady, with the reason, unless the version's artifact was taken over."""
    if version.status == VersionStatus.READY:
        return
    why = f": {version.status_detail}" if version.status_detail else ""
    said = "has no artifact yet" if version.status == VersionStatus.PENDING else "has failed"
    raise VersionNotReady(f"{version} {said}{why}")
