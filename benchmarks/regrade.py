"""Grade a benchmark's submissions again: ``python -m benchmarks.regrade FOLDER``.

When a metric or the check of submissions was mended, the kept submissions get their new
scores without any script being run. The written steps stay as they are; the new scores
lie beside them in ``regraded.json``, which every report reads.
"""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from benchmarks.protocol import surroundings
from benchmarks.results import REGRADED, Results, open_results, trajectory_path
from mlagent_gym import MLAgentError, Record, Store, load_task, read_records
from mlagent_gym.baselines import load_scores, scripts_digest
from mlagent_gym.grading import grade
from mlagent_gym.replay import prepared_of, regrade
from mlagent_gym.store import digest_of
from mlagent_train.files import write_json

__all__ = ["regrade_results"]

app = typer.Typer(add_completion=False)


def regrade_results(results: Results) -> dict[str, Any]:
    """Grade every kept submission again and write the scores beside the steps.

    Returns
    -------
    dict
        ``steps``: by trajectory, and there by the number of a step, its score now (None: its
        submission is not valid any more) and its further metrics; ``ends``: score of starter
        and reference by task; ``unscaled``: tasks whose scores changed and that have none;
        ``graded`` and ``changed``: how many there were; ``by``: what graded.

    Raises
    ------
    StoreError, RecordError
        A submission or the data are not here.
    """
    store = Store(results.folder / "store")
    steps: dict[str, dict[str, dict[str, Any]]] = {}
    ends: dict[str, list[float]] = {}
    changed: Counter[str] = Counter()
    graded = 0
    for path in sorted(results.folder.glob("trajectories/*/*.jsonl")):
        task, number = path.parent.name, int(path.stem)
        records = list(read_records(trajectory_path(results.folder, task, number)))
        if records and task not in ends and (found := _ends(records[0])):
            ends[task] = found
        numbers = [i for i, record in enumerate(records) if record.submission is not None]
        for i, compared in zip(numbers, regrade(path, store), strict=True):
            now = compared.differences[0].now if compared.differences else records[i].info["score"]
            valid = isinstance(now, float)
            steps.setdefault(f"{task}/{number:02d}", {})[str(i)] = {
                "score": now if valid else None,
                "also": _also(records[i], store) if valid else {},
            }
            graded += 1
            changed[task] += bool(compared.differences)
    made = {
        "steps": steps,
        "ends": ends,
        "unscaled": sorted(task for task in +changed if task not in ends),
        "graded": graded,
        "changed": changed.total(),
        "by": surroundings(),
    }
    write_json(results.folder / REGRADED, made)
    return made


def _also(record: Record, store: Store) -> dict[str, float]:
    task = load_task(record.state.task)
    if not task.also or record.submission is None:
        return {}
    answers = prepared_of(record).private / task.submission.answers
    return dict(grade(task, answers, store.get(record.submission)).also)


def _ends(record: Record) -> list[float] | None:
    """Return the scores of starter and reference as measured now; None if they are not known.

    The starter has to be the one that the trajectory began with.
    """
    task, state = load_task(record.state.task), record.state
    frozen = load_scores(task).get(state.fingerprint)
    begun = {path: digest_of(content) for path, content in task.starter_files().items()}
    if frozen is None or frozen.scripts != scripts_digest(task) or begun != dict(state.files):
        return None
    best = task.best if state.variant == "real" else None
    return [frozen.starter.score, best.score if best else frozen.reference.score]


@app.command()
def command(
    folder: Annotated[Path, typer.Argument(help="Folder of a benchmark.")],
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """Grade all kept submissions of a benchmark again and write its reports anew.

    Nothing is run. Use it on old results after a metric, a check of submissions or the
    measured score of a starter or a reference was mended.
    """
    from benchmarks.report import terminal_table, write_report

    console = Console()
    try:
        results = open_results(folder)
        made = regrade_results(results)
        summary = results.summary()
        write_report(results, summary)
    except MLAgentError as error:
        console.print(f"[red]{type(error).__name__}[/]: {error}", highlight=False)
        raise typer.Exit(1) from None
    if as_json:
        print(json.dumps({name: made[name] for name in ("graded", "changed", "ends")}))
        return
    console.print(terminal_table(results, summary))
    console.print(f"{made['changed']} of {made['graded']} scores changed.", highlight=False)


if __name__ == "__main__":
    app()
