"""Builds the kernels that the tests boot, with the progress shown that pytest would swallow.

Where linux-4.15 cannot be had it says so and succeeds: the tests are then skipped, with the same reason.
"""

from __future__ import annotations

import sys
from pathlib import Path

from patchgen import kernel, pipeline, progress, torture
from patchgen.errors import BuildError, PatchgenError
from patchgen.settings import load


def main() -> int:
    """Build them; return the exit status."""
    try:
        project = pipeline.open_project(load(Path.cwd()), {})
        origin = project.source()
        trees = {"vanilla": origin.tree, "series": pipeline.commit(project, origin).tree}
        for slot, name in (("vanilla", "small"), ("series", "small"), ("series", torture.CONFIG)):
            config = kernel.load_config(name)
            kernel.build(config, trees[slot], origin, project.cache, slot=slot, jobs=project.settings.jobs)
    except BuildError as error:
        progress.warn(f"{error.message}; the tests will say more")
    except PatchgenError as error:
        progress.warn(f"kernel tests cannot run: {error.message}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
