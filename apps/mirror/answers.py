"""MLflow's answers about its registry, as far as they are read; fields that it adds are ignored."""

import msgspec

from apps.mirror.reconcile import TheirVersion
from apps.registry.mlflow.answers import Pair

PROMPT = "mlflow.prompt.is_prompt"


class Alias(msgspec.Struct):
    """A name and the version that it points at."""

    alias: str
    version: str


class Registered(msgspec.Struct):
    """A registered model. Times in epoch ms."""

    name: str
    creation_timestamp: int = 0
    last_updated_timestamp: int = 0
    description: str = ""
    tags: list[Pair] = []
    aliases: list[Alias] = []

    @property
    def tag_map(self) -> dict[str, str]:
        """Tags by key."""
        return {tag.key: tag.value for tag in self.tags}

    @property
    def is_prompt(self) -> bool:
        """MLflow keeps prompts among the models."""
        return self.tag_map.get(PROMPT, "").lower() == "true"


class Version(msgspec.Struct):
    """A version of a registered model. Times in epoch ms."""

    name: str
    version: str
    creation_timestamp: int = 0
    last_updated_timestamp: int = 0
    user_id: str | None = None
    current_stage: str = "None"
    description: str = ""
    source: str = ""
    run_id: str | None = None
    status: str = "READY"
    tags: list[Pair] = []

    def theirs(self, digest: str | None = None) -> TheirVersion:
        """As the core takes it."""
        return TheirVersion(
            number=int(self.version),
            source=self.source,
            run_id=self.run_id or "",
            description=self.description,
            tags={tag.key: tag.value for tag in self.tags},
            stage=self.current_stage or "None",
            author=self.user_id or "",
            created_ms=self.creation_timestamp,
            digest=digest,
        )


class ModelsPage(msgspec.Struct):
    """Of /registered-models/search."""

    registered_models: list[Registered] = []
    next_page_token: str = ""


class VersionsPage(msgspec.Struct):
    """Of /model-versions/search."""

    model_versions: list[Version] = []
    next_page_token: str = ""


class OneModel(msgspec.Struct):
    """Of /registered-models/get, and of what changes one."""

    registered_model: Registered


class OneVersion(msgspec.Struct):
    """Of /model-versions/get, /registered-models/alias, and of what changes one."""

    model_version: Version
