"""Commands that make and check a series: source, patch, check, bundle."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from patchgen.base.bases import DEFAULT
from patchgen.cli import common
from patchgen.cli.under_test import UnderTest
from patchgen.findings import Finding, Severity, Verdict

if TYPE_CHECKING:
    from patchgen.base.resolve import Source
    from patchgen.pipeline import Generated, Project
    from patchgen.submission.bundle import Bundle
    from patchgen.submission.report import Report

_MARKS = {Severity.ERROR: "ERROR", Severity.WARNING: "warning", Severity.NOTE: "note"}


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    for command in (source, patch, check, bundle, render):
        app.command()(command)


def source(base: common.Base = None, assignment: common.Assignment = None, json: common.Json = False) -> None:
    """Get linux-4.15, or another base, into the cache.

    Print where it came from.
    """
    from patchgen import pipeline

    project = pipeline.open_project(common.load_settings(base, assignment), {})
    found = project.source()
    if json:
        common.emit(
            {
                "base": found.base.name,
                "tree": found.tree,
                "released": found.tree == found.base.tree if found.base.tree else None,
                "origin": found.origin,
                "repository": str(found.repository),
                "missing": sorted(found.missing),
                "warnings": list(found.warnings),
            }
        )
        return
    kind = ", as released" if found.tree == found.base.tree else ", NOT as released" if found.base.tree else ""
    typer.echo(f"{found.base.title}{kind}: tree {found.tree}")
    typer.echo(f"from {found.origin}")
    if found.missing:
        typer.echo(f"without {len(found.missing)} files that it does not have")


def patch(
    set_: common.Set = None,
    assignment: common.Assignment = None,
    base: common.Base = None,
    output: common.OutputDirectory = None,
    or_port: common.OrPort = False,
    json: common.Json = False,
) -> None:
    """Generate the patch series.

    Write DIR/patch/*.patch and, for a base of submissions, the report and the archive. A port that stands in for
    linux-4.15 (--or-port) is also checked.
    """
    from patchgen import pipeline
    from patchgen.checks import measured

    settings, port = common.choose(common.load_settings(base, assignment), or_port)
    project = pipeline.open_project(settings, common.parse_set(set_))
    output = output or common.output_of(project)
    if port and not json:
        typer.echo(port)
    made = pipeline.generate(project, measured.known)
    packed = pipeline.pack(made.files, project) if project.base.submission else None
    archive = output / project.assignment.form.archive
    pipeline.write(made, packed, archive)
    if made.report:
        _warn_of(made.report)
    checked = _check_port(project, made.origin, output / "patch") if port else None
    if json:
        common.emit({**_as_dict(made, packed, archive), "port": port, "check": checked.as_dict() if checked else None})
    else:
        _show_made(made, packed, archive)
        if checked:
            _show(output / "patch", checked)
            typer.echo(port)
    if checked and not checked.ok:
        raise typer.Exit(1)


def _check_port(project: Project, origin: Source, directory: Path) -> Verdict:
    """Check the patches that were written, as `patchgen check` does."""
    from patchgen.checks import shape as checking
    from patchgen.submission import archive as submissions

    return checking.check(
        submissions.load(directory, project.cache, None), origin, project.cache, None, project.assignment
    )[0]


def _rows(made: Generated) -> list[dict[str, Any]]:
    """Return what is told of each patch."""
    return [
        {"name": one.name, "subject": one.subject, "files": len(one.files), "added": one.added, "removed": one.removed}
        for one in made.patches
    ]


def _as_dict(made: Generated, packed: Bundle | None, archive: Path) -> dict[str, Any]:
    """Return what was made, for a program."""
    return {
        "patches": _rows(made),
        "tree": made.composed.tree,
        "directory": str(archive.parent / "patch"),
        "archive": str(archive) if packed else None,
        "tar_sha256": packed.digest if packed else None,
        "placeholders": list(made.report.placeholders) if made.report else [],
    }


def _show_made(made: Generated, packed: Bundle | None, archive: Path) -> None:
    """Print what was made, for people."""
    rows = _rows(made)
    for row in rows:
        typer.echo(f"{row['name']}  {row['files']} files, +{row['added']} -{row['removed']}")
    added, removed = sum(row["added"] for row in rows), sum(row["removed"] for row in rows)
    typer.echo(f"{len(rows)} patches, +{added} -{removed}; all apply to {made.origin.base.title} with git am")
    if packed:
        typer.echo(f"{archive} (tar sha256 {packed.digest})")
    else:
        typer.echo(f"{archive.parent / 'patch'}: not packed, submissions are made on {DEFAULT}")


def _warn_of(report: Report) -> None:
    """Say what the report still lacks."""
    from patchgen import progress

    for placeholder in report.placeholders:
        progress.warn(f"the report is not finished: {placeholder} is missing in patchgen.toml")
    if report.missing_glyphs:
        progress.warn(f"report.pdf shows boxes for characters that no font has: {report.missing_glyphs}")


def check(
    submission: Annotated[
        Path | None,
        typer.Argument(
            metavar="PATH",
            help="The submission: an archive or a directory. Default: what `patchgen patch` wrote for this base.",
        ),
    ] = None,
    trust: common.Trust = False,
    base: common.Base = None,
    assignment: common.Assignment = None,
    or_port: common.OrPort = False,
    json: common.Json = False,
) -> None:
    """Check a submission without building it.

    Look at its shape, git am, white space, checkpatch and the report's length.
    """
    from patchgen import pipeline, progress
    from patchgen.checks import shape as checking
    from patchgen.series import trace
    from patchgen.submission import archive as submissions

    settings, port = common.choose(common.load_settings(base, assignment), or_port)
    if port:
        progress.note(port)
    project = pipeline.open_project(settings, {})
    output = common.output_of(project)
    default = output / (project.assignment.form.archive if project.base.submission else "patch")
    box = UnderTest(submission=submission, trust=trust).handling().sandbox
    given = submissions.load(submission or default, project.cache, box)
    verdict, _ = checking.check(given, project.source(), project.cache, box, project.assignment)
    if json:
        common.emit({"submission": str(given.origin), **verdict.as_dict()})
    else:
        _show(given.origin, verdict)
        if not submission:
            places = "\n".join(f"{one.path}:{one.line}" for one in verdict.findings if one.path and one.line)
            for line in trace.explained(places, project.series, project.source(), settings.submission):
                typer.echo(f"template: {line}")
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
    directory: Annotated[
        Path | None, typer.Argument(metavar="DIR", help="The directory of patches. Default: dist/patch.")
    ] = None,
    output: common.OutputFile = None,
    base: common.Base = None,
    assignment: common.Assignment = None,
    json: common.Json = False,
) -> None:
    """Pack patches and a report as the archive that is handed in.

    The patches must apply.
    """
    from patchgen import pipeline
    from patchgen.cache import write_bytes
    from patchgen.checks import shape as checking
    from patchgen.submission import archive as submissions

    project = pipeline.open_project(common.load_settings(base, assignment), {})
    pipeline.require_submission(project.base)
    given = submissions.load(directory or common.output_of(project) / "patch", project.cache, None)
    pipeline.verify(given.patches, project.source(), project.cache)
    checking.require_report(given, project.assignment.form, project.cache)
    files = {one.name: one.data for one in given.patches} | given.reports
    packed = pipeline.pack(files, project)
    target = output or common.output_of(project) / project.assignment.form.archive
    write_bytes(target, packed.data)
    if json:
        common.emit({"archive": str(target), "members": list(packed.names), "tar_sha256": packed.digest})
        return
    for name in packed.names:
        typer.echo(name)
    typer.echo(f"{target} (tar sha256 {packed.digest})")


def render(
    path: Annotated[
        str, typer.Argument(metavar="PATH", help="A file of the kernel tree that the series makes or edits.")
    ],
    set_: common.Set = None,
    base: common.Base = None,
    assignment: common.Assignment = None,
    json: common.Json = False,
) -> None:
    """Print a file as the whole series leaves it.

    Before each line stands the line of the template that it is from; nothing for a line of the base.
    """
    from patchgen import pipeline
    from patchgen.series import trace

    project = pipeline.open_project(common.load_settings(base, assignment), common.parse_set(set_))
    found = trace.lines(project.series, project.source(), project.settings.submission, path)
    if json:
        common.emit({"path": path, "lines": [{"origin": one.origin, "text": one.text} for one in found]})
        return
    width = max((len(one.origin) for one in found), default=0)
    for number, one in enumerate(found, 1):
        typer.echo(f"{one.origin:{width}} {number:5}  {one.text}".rstrip())
