"""`lstm tune`: search for hyperparameters; every trial is an ordinary run."""

import json
import os
import shlex
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from cyclopts.validators import Number
from rich.table import Table

from lstm_ref.cli.console import note, printable, verbatim
from lstm_ref.cli.progress import TrainingBar
from lstm_ref.cli.signals import StopFlag
from lstm_ref.cli.train import RUNS, parse_assignment
from lstm_ref.core.config import RunConfig
from lstm_ref.core.corpora import Corpus, load_corpus
from lstm_ref.core.errors import CheckpointError, DivergedError, InterruptedRunError, UsageError
from lstm_ref.core.presets import PRESETS, resolve
from lstm_ref.core.runlog import RunFolder
from lstm_ref.core.search import Strategy, Trial, Values, best_first, planned, search
from lstm_ref.core.search_folder import Plan, SearchFolder, trial_to_dict
from lstm_ref.core.search_space import parse_space
from lstm_ref.core.trainer import Observer, Trainer, resume, start


def tune(
    preset: str | None = None,
    /,
    *,
    tries: Annotated[list[str] | None, Parameter(name="--try", negative="", metavar="FIELD=VALUES")] = None,
    strategy: Strategy | None = None,
    trials: Annotated[int | None, Parameter(validator=Number(gte=1))] = None,
    assignments: Annotated[list[str] | None, Parameter(name="--set", negative="", metavar="FIELD=VALUE")] = None,
    config: Path | None = None,
    run: Path | None = None,
    resume_from: Annotated[Path | None, Parameter(name="--resume")] = None,
    backend: str | None = None,
    device: str | None = None,
    precision: str | None = None,
    epochs: int | None = None,
    seed: int | None = None,
    data_dir: Path | None = None,
    as_json: Annotated[bool, Parameter(name="--json", negative="")] = False,
) -> None:
    """Search for the values of some fields that give the lowest validation loss.

    lstm tune tiny --try lr=log:0.001..0.02 --try hidden_sizes=64/128 --trials 8

    What to try is one --try for each field, in one of these forms:

    - lr=0.001/0.002/0.004: listed values; of hidden_sizes, 128/256,256 is one layer or two
    - lr=0.001..0.01: a range, both ends included; of a field of whole numbers, such as batch_size, whole numbers
    - lr=log:0.0001..0.01: a range where each power of ten is equally likely, as suits lr and weight_decay

    And how, by --strategy:

    - random: each value is drawn by itself; a good first choice where many fields are tried
    - bayesian: values near those that did well become likelier, after ten random trials; `pip install
      'lstm-parity[tune]'`
    - grid: every combination of listed values
    - manual: the first values of all lists, then the second ones, and so on

    Every trial is a run in the search's folder, with the same seed, and its loss is the lowest validation loss in nats
    a token. A trial that diverges, or whose values do not go together, has failed, and the search goes on; it ends with
    6 if all failed. Ctrl-C saves, and --resume goes on to the very trials that would have come.

    Parameters
    ----------
    preset
        What is searched around: see `lstm train --help`, also for the fields.
    tries
        A field and what to try for it, as often as needed.
    strategy
        How the next values are found, see above [default: random].
    trials
        How many, for random and bayesian [default: 20]; the lists of the others say it.
    assignments
        A field that all trials have in common, as often as needed.
    config
        A TOML file of such fields, or a run's config.json.
    run
        The search's folder [default: runs/tune-PRESET-DATE-TIME].
    resume_from
        The folder of a search to go on with; --trials may then be more.
    backend
        numpy or torch, or another that is installed.
    device
        cpu or cuda.
    precision
        float32, float64 or bf16 (torch only).
    epochs
        Passes over the training text.
    seed
        Of all random numbers: what is tried, initial values, dropout.
    data_dir
        Where named texts are [default: LSTM_DATA, then the cache].
    as_json
        One JSON object instead of a table.
    """
    flags = {"backend": backend, "device": device, "precision": precision, "epochs": epochs, "seed": seed}
    fixed: dict[str, object] = {name: value for name, value in flags.items() if value is not None}
    fixed = dict(map(parse_assignment, assignments or [])) | fixed
    if resume_from is not None:
        if preset or tries or strategy or fixed or config or run:
            raise UsageError(f"{resume_from} says what is searched: give --resume nothing but --trials and --data-dir")
        with SearchFolder(resume_from) as folder:
            _search(folder, _corpus_of(folder, data_dir), as_json, trials)
        return
    if preset is None:
        raise UsageError(f"no preset given: lstm tune PRESET, one of {', '.join(PRESETS)}, or --resume FOLDER")
    base = resolve(preset, file=config, environ=os.environ, flags=fixed)
    corpus = load_corpus(base.corpus, data_dir)
    plan = _plan(preset, base, tuple(tries or ()), strategy or "random", trials, corpus.sha256, fixed)
    with SearchFolder(run or RUNS / f"tune-{preset}-{datetime.now(UTC):%Y%m%d-%H%M%S}", plan) as folder:
        _search(folder, corpus, as_json)


def _plan(
    preset: str,
    base: RunConfig,
    tries: tuple[str, ...],
    strategy: Strategy,
    trials: int | None,
    corpus_sha256: str,
    fixed: Mapping[str, object],
) -> Plan:
    space = parse_space(list(tries))
    if both := [name for name in space if name in fixed]:
        raise UsageError(f"{', '.join(both)}: both set for all trials and tried; leave one of them out")
    if "batch_size" in space and base.validation_batch_size == 0:  # or each trial would cut the text into other rows
        base = base.with_overrides({"validation_batch_size": base.batch_size})
    return Plan(
        preset=preset,
        config=base,
        tries=tries,
        strategy=strategy,
        trials=planned(space, strategy, trials),
        corpus_sha256=corpus_sha256,
    )


def _corpus_of(folder: SearchFolder, data_dir: Path | None) -> Corpus:
    corpus = load_corpus(folder.plan.config.corpus, data_dir)
    if corpus.sha256 != folder.plan.corpus_sha256:
        raise CheckpointError(f"the text {corpus.source} is not the one that {folder.path} has trials on")
    return corpus


def _search(folder: SearchFolder, corpus: Corpus, as_json: bool, trials: int | None = None) -> None:
    """trials: instead of as many as were planned."""
    if trials is not None:
        if trials < len(folder.trials):
            raise UsageError(f"{folder.path} has {len(folder.trials)} trials already, more than --trials {trials}")
        count = planned(folder.plan.space, folder.plan.strategy, trials)
        folder.write(replace(folder.plan, trials=count))
    plan = folder.plan
    note(f"{plan.strategy}, {plan.trials} trials; {folder.path}")
    stopped = None
    with StopFlag() as stop:
        objective = _objective(folder, corpus, stop)
        coming = search(plan.space, plan.strategy, objective, plan.trials, plan.config.seed, list(folder.trials))
        try:
            for trial in coming:
                folder.append(trial)
                note(_line(trial, plan.trials))
        except InterruptedRunError as error:
            stopped = InterruptedRunError(
                f"stopped in trial {len(folder.trials)}, saved; go on with lstm tune --resume {folder.path}",
                error.exit_code - 128,
            )
    _report(folder, as_json)
    if stopped is not None:
        raise stopped
    if all(trial.loss is None for trial in folder.trials):
        raise DivergedError(f"all {plan.trials} trials failed: try other values, such as a lower lr")


def _objective(folder: SearchFolder, corpus: Corpus, stop: Callable[[], int]) -> Callable[[int, Values], float]:
    """A trial's run, from its beginning or from where it was stopped: its lowest validation loss."""

    def loss(number: int, values: Values) -> float:
        config = folder.plan.config.with_overrides(values, "--try")
        with RunFolder(folder.trial(number), resume=True) as run:
            trainer = _trainer(config, corpus, run)
            with TrainingBar(config, trainer.total_steps, trainer.progress.step) as bar:
                trainer.observer = Observer(on_step=bar.step, stop=stop)
                best = trainer.fit().best_loss
                return trainer.evaluate(trainer.validation_ids) if best is None else best  # too short for a log line

    return loss


def _trainer(config: RunConfig, corpus: Corpus, run: RunFolder) -> Trainer:
    if not run.steps():
        return start(config, corpus, run)
    checkpoint = run.latest()
    if checkpoint.config != config:  # of another release of Optuna, for instance
        raise CheckpointError(f"{run.path} has other values than this trial: remove that folder and go on again")
    return resume(checkpoint, corpus, run)


def _line(trial: Trial, trials: int) -> str:
    values = " ".join(f"{name}={_text(value)}" for name, value in trial.values.items())
    outcome = f"failed: {trial.failure}" if trial.loss is None else f"{trial.loss:.4f}"
    again = "" if trial.same_as is None else f", as trial {trial.same_as}"
    return printable(f"trial {trial.number}, {trial.number + 1} of {trials}: {values}: {outcome}{again}")


def _text(value: object) -> str:
    """As `--set` takes it."""
    if isinstance(value, bool):
        return str(value).lower()
    return ",".join(map(str, value)) if isinstance(value, tuple | list) else str(value)


def _report(folder: SearchFolder, as_json: bool) -> None:
    ranked = best_first(folder.trials)
    best = ranked[0] if ranked and ranked[0].loss is not None else None
    command = None if best is None else _command(folder.plan, best)
    if as_json:
        facts = {"folder": str(folder.path), "strategy": folder.plan.strategy, "seed": folder.plan.config.seed}
        print(json.dumps(facts | {"trials": list(map(trial_to_dict, ranked)), "train": command}))
        return
    table = Table(box=None)
    table.add_column("trial", justify="right")
    for name in folder.plan.space:
        table.add_column(name, overflow="fold")
    table.add_column("validation loss")
    for trial in ranked:
        loss = "failed" if trial.loss is None else f"{trial.loss:.4f}"
        table.add_row(str(trial.number), *map(_text, trial.values.values()), loss)
    if ranked:
        verbatim().print(table)
    if best is not None:
        print(command)
        note(f"lstm sample {folder.trial(best.number)}")


def _command(plan: Plan, best: Trial) -> str:
    """What trains as the best trial did: every field that is not the preset's."""
    config = plan.config.with_overrides(best.values).to_dict()
    own = PRESETS[plan.preset].to_dict()
    changed = [f"{name}={_text(value)}" for name, value in config.items() if value != own[name]]
    return shlex.join(["lstm", "train", plan.preset, *(word for field in changed for word in ("--set", field))])
