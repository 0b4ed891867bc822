"""The command verify: a verdict on anybody's patches."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from patchgen.cli import common, mark_command
from patchgen.cli.mark_command import parse_moment, submission_moment
from patchgen.errors import UsageError

if TYPE_CHECKING:
    from patchgen.grading.context import Request
    from patchgen.grading.model import Verdict
    from patchgen.grading.rubric import Rubric
    from patchgen.pipeline import Project


def register(app: typer.Typer) -> None:
    """Add the command of this module."""
    app.command()(verify)


def verify(
    paths: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="PATH",
            help="The submissions: an archive, a directory of patches, a patch, or REPO:A..B; default: ours in dist.",
        ),
    ] = None,
    stages: Annotated[
        str,
        typer.Option(
            "--stages",
            metavar="N-M",
            help="Go through these stages: 1 archive, 2 patches, 3 style, 4 build, 5 behaviour, 6 robustness, 7 cost.",
        ),
    ] = "1-5",
    rubric: Annotated[
        Path | None, typer.Option("--rubric", metavar="FILE", help="Give points by this rubric (TOML).")
    ] = None,
    submitted: Annotated[
        str | None,
        typer.Option("--submitted", metavar="DATE", help="Say when it was handed in; mtime: the file's own date."),
    ] = None,
    deadline: Annotated[
        str | None,
        typer.Option("--deadline", metavar="DATE", help="Say until when it could be; default: the rubric's, if any."),
    ] = None,
    junit: common.Junit = None,
    html: Annotated[
        Path | None, typer.Option("--html", metavar="FILE", help="Write the whole verdict as an HTML page.")
    ] = None,
    assignment: common.Assignment = None,
    trust: common.Trust = False,
    allow_build_changes: common.AllowBuildChanges = False,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="DIR|FILE",
            help="Grade many: write results.csv and pages into this directory. With --format and one PATH: a file.",
        ),
    ] = None,
    form: Annotated[
        str | None,
        typer.Option(
            "--format",
            metavar="FORM",
            help="Write sarif, github, ktap, junit, gradescope or inginious: to --output FILE, or for each of many.",
        ),
    ] = None,
    jobs: Annotated[int, common.jobs("Grade many: so many at a time.")] = 1,
    scheduler: Annotated[
        str | None,
        typer.Option("--scheduler", metavar="ADDRESS", help="Grade many on the workers of a Dask scheduler."),
    ] = None,
    exam: Annotated[
        int | None,
        typer.Option("--exam", metavar="SEED", help="Grade the behaviour by random programs from this seed, too."),
    ] = None,
    programs: Annotated[int, typer.Option("--programs", metavar="N", min=1, help="So many of them.")] = 100,
    schema: Annotated[bool, typer.Option("--schema", help="Print the JSON schema of --json and end.")] = False,
    json: common.Json = False,
) -> None:
    """Grade submissions by a rubric.

    The stages are archive, patches, style, build and behaviour, and with --stages 1-7 robustness and cost.
    """
    from patchgen.grading import model

    if schema:
        typer.echo(model.schema(), nl=False)
        return
    from patchgen import pipeline
    from patchgen.assignment import RUBRIC
    from patchgen.base import bases
    from patchgen.grading import forms, grader, scoring
    from patchgen.grading import rubric as rubrics
    from patchgen.grading.context import Request
    from patchgen.testing import exam as exams

    asked = grader.parse_stages(stages)
    # Whatever else series are made for: this is what a submission is made on.
    project = pipeline.open_project(common.load_settings(bases.DEFAULT, assignment), {})
    path = rubric or project.assignment.directory / RUBRIC
    chosen = rubrics.load(project.assignment, path)
    moments = (submitted, parse_moment("--deadline", deadline) or chosen.deadline)
    given = paths or [common.output_of(project) / project.assignment.form.archive]
    if form is not None and form not in forms.FORMS:
        raise UsageError(f"--format {form}: there is no such form", hint=f"known: {', '.join(forms.FORMS)}")
    if exam is not None:
        exams.load(project.assignment)  # one that there is not must not cost minutes
    is_file = form is not None and len(given) == 1 and not (output and output.is_dir()) and not scheduler
    if (output and not is_file) or scheduler:
        if html or junit:
            raise UsageError("--html and --junit are for one submission", hint="a batch writes a page for each anyway")
        how = (stages, (trust, allow_build_changes), jobs, scheduler, (exam, programs))
        out = output or mark_command.VERDICTS
        status = _batch(given, out, (project, path), how, moments, (form or "", json))
        raise typer.Exit(status)
    if len(given) != 1:
        raise UsageError("more than one submission needs --output DIR")
    handed_in = submission_moment(given[0], submitted)  # a wrong date must not cost minutes
    request = Request(given[0], chosen, asked, trust, allow_build_changes, exam=exam, programs=programs)
    verdict = _graded(project, request)
    verdict = verdict.model_copy(update={"marks": scoring.late(verdict.marks, chosen, handed_in, moments[1])})
    _write(verdict, project, html, junit)
    if form:
        _write_form(verdict, chosen, form, (output, project))
    elif json:
        common.emit(verdict.model_dump(mode="json"))
    else:
        from patchgen.cli import show
        from patchgen.grading import text

        show.lines(lambda: text.summary(verdict))
    raise typer.Exit(verdict.exit_status)


def _write(verdict: Verdict, project: Project, html: Path | None, junit: Path | None) -> None:
    """Write the other forms of a verdict that were asked for."""
    from patchgen.cache import write_text

    if html:
        from patchgen.grading import page

        write_text(html, page.render(verdict, project.assignment.page))
    if junit:
        from patchgen.grading import junit as writing

        writing.write(verdict, junit)


def _write_form(verdict: Verdict, rubric: Rubric, form: str, to: tuple[Path | None, Project]) -> None:
    """Write a verdict in another form, to a file or standard output."""
    from patchgen import progress
    from patchgen.cache import write_text
    from patchgen.grading import forms, shown

    output, project = to
    made = forms.render(form, verdict, rubric, shown.places(project.cache.root))
    if not made:
        progress.warn(f"there is no final mark, and {form} has no word for that: nothing is written")
        if output:
            output.unlink(missing_ok=True)  # an older one would be taken for this one
    elif output:
        write_text(output, made)
    else:
        typer.echo(made, nl=False)


def _batch(
    paths: list[Path],
    out: Path,
    marking: tuple[Project, Path],
    how: tuple[str, tuple[bool, bool], int, str | None, tuple[int | None, int]],
    moments: tuple[str | None, datetime | None],
    printed: tuple[str, bool],
) -> int:
    """Grade many and return the exit status."""
    from patchgen.grading import batch as many

    stages, (trust, allow), jobs, scheduler, sitting = how
    if moments[0] != mark_command.OWN_DATE:
        submission_moment(paths[0], moments[0])  # a wrong date must not cost an hour
    batch = many.Batch(
        out,
        *marking,
        stages,
        trust,
        lambda path: submission_moment(path, moments[0]),
        moments[1],
        allow,
        printed[0],
        *sitting,
    )
    if scheduler:
        from patchgen.grading import distributed

        engine = distributed.engine(scheduler)
    else:
        engine = many.here(jobs)
    return mark_command.report(many.run(paths, batch, engine), out, printed[1])


def _graded(project: Project, request: Request) -> Verdict:
    from patchgen.grading import builder, grader

    with builder.locked_workspace(project.cache) as workspace:
        return grader.grade(request, builder.KernelBuilder(project, project.source(), workspace, request.trust))
