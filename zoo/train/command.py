"""``zoo train``: a solver's iterations, from nothing or from a snapshot, into a run folder.

Under torchrun every rank runs this; rank 0 decides what is done, and tests, logs and snapshots.
"""

import argparse
from contextlib import ExitStack
from pathlib import Path

import torch

from converters.solver.ahead import made_ahead
from eval.environment import processor
from prototxt.rawbytes import readable
from zoo.runs.record import begin, finish, noting_divergence
from zoo.runs.resume import check_sampled
from zoo.runs.run_folder import RunFolder
from zoo.runs.run_json import RunRecord
from zoo.terminal.console import notice
from zoo.train.agreement import agree
from zoo.train.planning.plan import Plan
from zoo.train.ranks import Ranks, process_group, under_torchrun
from zoo.train.running.display import CaffeDisplay, Display, TrainingDisplay
from zoo.train.running.loop import iterate
from zoo.train.running.signals import outlasting_terminal
from zoo.train.running.tensorboard_log import check_installed, recording
from zoo.train.snapshots.snapshot import fine_tune, restore
from zoo.train.sources import Data, open_feeds
from zoo.train.trainer import Trainer, keep_freed_memory, pick_device

INTERRUPTED = 130  # the shell's code for a process that SIGINT ended


def run(args: argparse.Namespace) -> int:
    """Train as the options say; the run folder's path goes to stdout."""
    if args.tensorboard:
        check_installed()
    ranks = under_torchrun()
    device = pick_device(args.device, ranks.local)
    if device.type == "cpu":
        keep_freed_memory()
    with outlasting_terminal(), process_group(ranks, device), ExitStack() as stack:
        run, folder, plan, snapshot = agree(args, ranks, stack)
        is_whole = run is None or train(args, run, plan, folder, snapshot, device, ranks)
    return 0 if is_whole else INTERRUPTED


def train(
    args: argparse.Namespace,
    run: str,
    plan: Plan,
    folder: RunFolder,
    snapshot: Path | None,
    device: torch.device,
    ranks: Ranks,
) -> bool:
    """Run the plan to its end, under the id ``run``; False where SIGINT ended it before."""
    data = open_feeds(plan, device, ranks)
    if ranks.is_first and snapshot is not None:
        check_sampled(folder, data.images)
    announce(plan, device, ranks)
    with made_ahead(data.feeds) as feeds:
        trainer = Trainer(plan, feeds, device, ranks)
        place(trainer, snapshot)
        return carry_out(args, trainer, folder, data, run)


def carry_out(args: argparse.Namespace, trainer: Trainer, folder: RunFolder, data: Data, run: str) -> bool:
    """The run's iterations, from where it is placed, recorded in its folder under its id ``run``."""
    ranks = trainer.ranks
    record: RunRecord = begin(folder, run, trainer, data) if ranks.is_first else {}
    events = recording(args.tensorboard if ranks.is_first else None, trainer.iteration)
    with noting_divergence(trainer, folder, record), events as recorders:
        is_whole = iterate(trainer, folder, record, pick_display(args.log_format, trainer), recorders)
        if ranks.is_first:
            finish(trainer, folder, record, data, is_whole)
            print(folder.path)
    return is_whole


def pick_display(log_format: str, trainer: Trainer) -> Display:
    """What shows the run; the same on every rank but for what it says."""
    if not trainer.ranks.is_first:
        return Display()
    solver = trainer.plan.solver
    if log_format == "caffe":
        return CaffeDisplay(solver)
    return TrainingDisplay(readable(trainer.plan.name), solver.max_iter, trainer.images_per_step)


def place(trainer: Trainer, snapshot: Path | None) -> None:
    """Put the trainer where it starts: at a snapshot, or at iteration 0 with the weights to fine-tune."""
    if snapshot is None and trainer.plan.weights and trainer.ranks.is_first:
        for line in fine_tune(trainer):
            notice(line)
    restore(trainer, snapshot)
    if snapshot is not None:
        notice(f"going on from {snapshot}, iteration {trainer.iteration}")


def announce(plan: Plan, device: torch.device, ranks: Ranks) -> None:
    """Say what is about to run, and what in it is not the article's."""
    if plan.is_synthetic:
        notice("the data is the demo data set, which is SYNTHETIC: drawn by this program, no photographs")
    for line in plan.notices:
        notice(line)
    if differences := plan.departures:
        notice("not as in the article: " + "; ".join(differences))
    each = f", {ranks.world} ranks" if ranks.world > 1 else ""
    where = f"on {processor(device.type)}{each}"
    notice(f"{plan.name}: {plan.solver.max_iter} iterations, seed {plan.seed}, {where}")
