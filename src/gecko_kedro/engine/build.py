"""From settings to an engine."""

from gecko_kedro.engine.local import LocalEngine
from gecko_kedro.engine.protocol import Engine
from gecko_kedro.engine.settings import EngineSettings


def build_engine(settings: EngineSettings) -> Engine:
    """The engine that ``settings`` name. Ray's is connected to its cluster, or starts one.

    Raises InputError where Ray is not installed or its cluster cannot be reached.
    """
    if settings.kind == "local":
        return LocalEngine()
    from gecko_kedro.engine.cluster import connect  # Ray is an extra

    connect(settings.ray)
    from gecko_kedro.engine.ray_engine import RayEngine

    return RayEngine(settings.ray)
