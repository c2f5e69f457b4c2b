"""The engine of a run: its cluster is there before any work, and ends with the run."""

from kedro.framework.context import KedroContext
from kedro.framework.hooks import hook_impl

from gecko_kedro.engine import EngineSettings, build_engine
from gecko_kedro.params import check_parameters


class EngineHooks:
    """Does nothing unless ``engine.kind`` is ray."""

    _settings: EngineSettings | None = None

    @hook_impl
    def after_context_created(self, context: KedroContext) -> None:
        """Learn the engine."""
        settings = check_parameters(context.config_loader["parameters"]).engine
        self._settings = settings if settings.kind == "ray" else None

    @hook_impl
    def before_pipeline_run(self) -> None:
        """Connect; stop here where there is no Ray or no cluster."""
        if self._settings is not None:
            build_engine(self._settings)

    @hook_impl
    def after_pipeline_run(self) -> None:
        """Disconnect, however the run has ended."""
        if self._settings is not None:
            from gecko_kedro.engine.cluster import disconnect

            disconnect()

    on_pipeline_error = after_pipeline_run
