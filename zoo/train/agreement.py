"""What is to be run, before any work: the plan, its folder and the snapshot to go on from, of which rank 0
decides and which all ranks share.
"""

import argparse
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from prototxt.errors import InputError
from zoo.cli.choices import RUNS
from zoo.runs.record import prototxts
from zoo.runs.resume import begun_in, begun_with, check_kept, counted_from
from zoo.runs.run_folder import RunFolder, check_plugins, read_record
from zoo.runs.run_json import RunRecord, dialects_in
from zoo.runs.snapshot_files import snapshot_writer
from zoo.terminal.console import notice
from zoo.train.planning.options import Options, check_begun
from zoo.train.planning.plan import Plan, make_plan
from zoo.train.ranks import Ranks
from zoo.train.snapshots.caffe_snapshots import keep_others_snapshots
from zoo.train.snapshots.snapshot import check_resumable, iteration_of

_OTHERS = "is another run's, which has the same snapshot_prefix"


def agree(
    args: argparse.Namespace, ranks: Ranks, stack: ExitStack
) -> tuple[str | None, RunFolder, Plan, Path | None]:
    """(the run's id, folder, plan, snapshot to go on from) as rank 0 finds them; no id where the run has
    ended. On rank 0 ``stack`` has the folder for this process alone from here on.
    """
    agreed: tuple[str | None, Options, Path, dict[str, str], Path, Path | None] | None = None
    if ranks.is_first:
        plan, path = settle(args)
        folder = RunFolder.of(path, plan.solver)
        run: str | None = stack.enter_context(folder.writing())
        record = read_record(path)
        ended = finished_at(record, plan)
        if args.resume != "" or ended is None:
            folder.keep_others(prototxts(plan), record)
        snapshot = find_snapshot(args.resume, folder, ended is not None)
        if snapshot is None and ended is not None:
            notice(f"{folder.path}: finished already, at iteration {ended}")
            print(folder.path)
            run = None
        else:
            keep_others_snapshots(folder, plan.solver, iteration_of(snapshot) if snapshot else 0)
        agreed = run, plan.options, plan.here, plan.dialects, path, snapshot
    run, options, here, dialects, path, snapshot = ranks.share(agreed)
    with ranks.one_first():  # the first on each machine draws the demo set, where that is taken
        plan = plan if ranks.is_first else make_plan(options, here, dialects)
    return run, RunFolder.of(path, plan.solver), plan, snapshot


def settle(args: argparse.Namespace) -> tuple[Plan, Path]:
    """The plan and its run folder; on --resume what the command line leaves open is as the folder says.

    Raises InputError where the command line, the files or the data contradict the folder.
    """
    if args.resume and args.weights:
        raise InputError("--resume FILE goes on from a snapshot, --weights begins from weights: give one")
    given = {name: value for name in vars(Options()) if (value := getattr(args, name)) is not None}
    plan = None if args.output else make_plan(Options(**given))
    path = Path(RUNS) / plan.name if plan else Path(args.output)
    record = read_record(path)  # before the demo data, which a run without lists would draw
    if record is None or args.resume is None:
        return plan or make_plan(Options(**given)), path
    check_plugins(path, record)
    saved = begun_with(path, record)
    check_begun(path, saved, given)
    here = begun_in(record)
    plan = make_plan(replace(saved, **counted_from(given, here)), here, dialects_in(record))
    check_kept(RunFolder.of(path, plan.solver), record, plan)
    return plan, path


def find_snapshot(resume: str | None, folder: RunFolder, is_finished: bool) -> Path | None:
    """The snapshot to go on from, None to start afresh (or, with --resume, where the run has ended).

    Raises InputError where an earlier run's results would be written over.
    """
    if resume is None:
        _check_free(folder)
        return None
    if resume:
        check_resumable(Path(resume))
        return Path(resume)
    return None if is_finished else _newest(folder)


def _newest(folder: RunFolder) -> Path | None:
    """The newest snapshot of the folder's own run; None where it has none, so that it starts afresh. Raises
    InputError where it would then write over another run's.
    """
    newest, broken, others = folder.newest_whole()
    for path in broken:
        notice(f"{path}: is not whole, passed over")
    if others and newest is None:
        raise InputError(f"{others[0]}: {_OTHERS}; another prefix leaves it alone")
    for path in others[:1]:
        notice(f"{path}: {_OTHERS}; passed over, {len(others)} in all")
    if newest is None:
        notice(f"{folder.path}: no snapshot to resume from, starting afresh")
    return newest


def _check_free(folder: RunFolder) -> None:
    """Raise InputError where an earlier run has left weights or snapshots."""
    earlier = [path for path in (folder.weights, *folder.snapshots()) if path.is_file()]
    if earlier and earlier[0].is_relative_to(folder.path):
        raise InputError(
            f"{folder.path}: holds an earlier run; --resume goes on with it, --output names another"
        )
    if earlier:
        is_own = folder.may_own(earlier[0], snapshot_writer(earlier[0]))
        how = "--resume goes on from it, another" if is_own else "another"
        raise InputError(
            f"{earlier[0]}: is an earlier run's, of this snapshot_prefix; {how} prefix leaves it alone"
        )


def finished_at(record: RunRecord | None, plan: Plan) -> int | None:
    """The iteration at which a run has ended; None where it has not reached max_iter."""
    is_finished = record and record.get("finished") and record["iteration"] >= plan.solver.max_iter
    return record["iteration"] if record and is_finished else None
