"""``python -m gecko_kedro --pipelines fret``: ``kedro run`` without the kedro command."""

import sys
from pathlib import Path
from typing import Any

from kedro.framework.cli.utils import find_run_command
from kedro.framework.project import configure_project


def main(*arguments: Any, **options: Any) -> Any:
    """Run the project's ``run`` command with ``sys.argv``."""
    if not Path("conf/base").is_dir() and not any("conf-source" in word for word in sys.argv):
        raise SystemExit(
            f"gecko_kedro: expected a project's folder, one with conf/base, got {Path.cwd()}. "
            "Change into a clone of the project, or give --conf-source."
        )
    configure_project(Path(__file__).parent.name)
    options["standalone_mode"] = not hasattr(sys, "ps1")
    return find_run_command(Path(__file__).parent.name)(*arguments, **options)


if __name__ == "__main__":
    main()
