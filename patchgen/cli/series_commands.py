"""Commands that make and check a series: source, patch, check, bundle."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from patchgen.cli import common
from patchgen.findings import Finding, Severity, Verdict

_MARKS = {Severity.ERROR: "ERROR", Severity.WARNING: "warning", Severity.NOTE: "note"}


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    for command in (source, patch, check, bundle):
        app.command()(command)


def source(json: common.Json = False) -> None:
    """Get linux-4.15 into the cache and say where it came from."""
    from patchgen import pipeline

    project = pipeline.open_project(common.load_settings(), {})
    found = project.source()
    if json:
        common.emit(
            {
                "base": found.base.name,
                "tree": found.tree,
                "released": found.tree == found.base.tree,
                "origin": found.origin,
                "repository": str(found.repository),
                "missing": sorted(found.missing),
                "warnings": list(found.warnings),
            }
        )
        return
    kind = "as released" if found.tree == found.base.tree else "NOT as released"
    typer.echo(f"{found.base.title}, {kind}: tree {found.tree}")
    typer.echo(f"from {found.origin}")
    if found.missing:
        typer.echo(f"without {len(found.missing)} files that it does not have")


def patch(
    set_: common.Set = None,
    series: common.SeriesName = None,
    output: common.Output = common.OUTPUT,
    json: common.Json = False,
) -> None:
    """Generate the series: DIR/patch/*.patch, DIR/patch/report.*, DIR/patch.tar.gz."""
    from patchgen import pipeline, progress

    project = pipeline.open_project(common.load_settings(), common.parse_set(set_), series)
    made = pipeline.generate(project)
    packed = pipeline.pack(made.files, project.settings)
    pipeline.write(made, packed, output)
    for placeholder in made.report.placeholders:
        progress.warn(f"the report is not finished: {placeholder} is missing in patchgen.toml")
    if made.report.missing_glyphs:
        progress.warn(f"report.pdf shows boxes for characters that no font has: {made.report.missing_glyphs}")
    rows = [
        {"name": one.name, "subject": one.subject, "files": len(one.files), "added": one.added, "removed": one.removed}
        for one in made.patches
    ]
    if json:
        common.emit(
            {
                "patches": rows,
                "tree": made.composed.tree,
                "archive": str(output / pipeline.ARCHIVE),
                "tar_sha256": packed.digest,
                "placeholders": list(made.report.placeholders),
            }
        )
        return
    for row in rows:
        typer.echo(f"{row['name']}  {row['files']} files, +{row['added']} -{row['removed']}")
    added, removed = sum(one.added for one in made.patches), sum(one.removed for one in made.patches)
    typer.echo(f"{len(rows)} patches, +{added} -{removed}; all apply to {made.origin.base.title} with git am")
    typer.echo(f"{output / pipeline.ARCHIVE} (tar sha256 {packed.digest})")


def check(
    submission: Annotated[
        Path | None, typer.Argument(metavar="[PATCH.TAR.GZ|DIR]", help="Default: dist/patch.tar.gz.")
    ] = None,
    json: common.Json = False,
) -> None:
    """Check a submission without building it: shape, git am, white space, checkpatch, the report's length."""
    from patchgen import check as checking
    from patchgen import pipeline
    from patchgen import submission as submissions

    project = pipeline.open_project(common.load_settings(), {})
    given = submissions.load(submission or checking.default_submission(Path.cwd()), project.cache)
    verdict, _ = checking.check(given, project.source(), project.cache)
    if json:
        common.emit({"submission": str(given.origin), **verdict.as_dict()})
    else:
        _show(given.origin, verdict)
    raise typer.Exit(0 if verdict.ok else 1)


def _show(origin: Path, verdict: Verdict) -> None:
    for name, value in verdict.facts.items():
        typer.echo(f"{name}: {value}")
    for finding in verdict.findings:
        _show_finding(finding)
    typer.echo(f"{origin}: {'ok' if verdict.ok else 'WRONG'}")


def _show_finding(finding: Finding) -> None:
    where = f"{finding.where}: " if finding.where else ""
    typer.echo(f"{_MARKS[finding.severity]}: {finding.check}: {where}{finding.message}")
    for line in finding.evidence.splitlines():
        typer.echo(f"  | {line}")


def bundle(
    directory: Annotated[Path | None, typer.Argument(metavar="[DIR]", help="Default: dist/patch.")] = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", metavar="FILE")] = None,
    json: common.Json = False,
) -> None:
    """Pack a directory of patches and a report as patch.tar.gz, if the patches apply."""
    from patchgen import check as checking
    from patchgen import pipeline
    from patchgen import submission as submissions
    from patchgen.cache import write_bytes

    project = pipeline.open_project(common.load_settings(), {})
    given = submissions.load(directory or common.OUTPUT / "patch", project.cache)
    pipeline.verify(given.patches, project.source(), project.cache)
    checking.require_report(given, project.cache)
    files = {one.name: one.data for one in given.patches} | given.reports
    packed = pipeline.pack(files, project.settings)
    target = output or common.OUTPUT / pipeline.ARCHIVE
    write_bytes(target, packed.data)
    if json:
        common.emit({"archive": str(target), "members": list(packed.names), "tar_sha256": packed.digest})
        return
    for name in packed.names:
        typer.echo(name)
    typer.echo(f"{target} (tar sha256 {packed.digest})")
