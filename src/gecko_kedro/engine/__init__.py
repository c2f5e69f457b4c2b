"""Where work is done: in this process, or by workers on a Ray cluster. The work is the same."""

from gecko_kedro.engine.local import LocalEngine, build_engine
from gecko_kedro.engine.protocol import Engine, Role, Workers
from gecko_kedro.engine.settings import EngineSettings

__all__ = ["Engine", "EngineSettings", "LocalEngine", "Role", "Workers", "build_engine"]
