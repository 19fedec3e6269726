"""`python -m benchmarks.gpu --quality NAME`: train by a recipe until a score is reached, and how long that takes.

    word-seed   G9: 4.747 nats for the next word on all rows of the test text, the original word notebook's score
    awd         G5: 68.6 validation and 65.8 test perplexity, AWD-LSTM's without cache or dynamic evaluation
                [Merity et al. 2018, Table 2]; for three seeds: --set seed=0, 1 and 2, each with a --run

Wall time counts everything from the command's start: reading the text, compiling, validation, checkpoints. A run that
ran out of time is saved, and the same command goes on with it; its wall time goes on too.

Recipes are presets with changes. `word-seed` is the preset word-fast, of which a run on a CPU reached 4.642
(benchmarks/results/word-fast). `awd` takes AWD-LSTM's layers and dropout, and AdamW with one cycle of 90 epochs in
place of 750 epochs of NT-ASGD, as fastai did in 2018; its learning rate and weight decay are guesses until a run says
more.
"""

import json
import math
import signal
import sys
import time
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from lstm_ref.core.atomic import write_atomically
from lstm_ref.core.config import RunConfig
from lstm_ref.core.corpora import Corpus, load_corpus
from lstm_ref.core.dataset import encode_corpus
from lstm_ref.core.errors import DivergedError, InterruptedRunError, UsageError
from lstm_ref.core.log_record import LogRecord
from lstm_ref.core.prediction import Fixture, nll_of_fixture
from lstm_ref.core.presets import preset
from lstm_ref.core.runlog import RunFolder
from lstm_ref.core.trainer import Observer, Trainer, resume, start

ROOT = Path(__file__).parent.parent.parent
FIXTURE_LENGTH = 30  # words of a row
NEAR = 0.05  # nats above the target: so near, validation says that the dearer score is worth asking for
SAVING = 20.0  # seconds kept for the last checkpoint


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """targets: score -> what it must not exceed: next_word in nats, validation and test in perplexity."""

    preset: str
    changes: Mapping[str, Any]
    targets: Mapping[str, float]


RECIPES = {
    "word-seed": Recipe(preset="word-fast", changes={}, targets={"next_word": 4.747}),
    "awd": Recipe(
        preset="awd-wikitext2",
        changes={
            "optimizer": "adamw",
            "schedule": "one-cycle",
            "epochs": 90,
            "lr": 0.003,
            "weight_decay": 0.1,
            "article_order": "shuffled",
        },
        targets={"validation": 68.6, "test": 65.8},
    ),
}


@dataclass(slots=True)
class Course:
    """How far a run has come. earlier: wall seconds of the calls before this one; curve: an object a validation."""

    name: str
    targets: Mapping[str, float]
    began: float
    earlier: float = 0.0
    curve: list[dict[str, Any]] = field(default_factory=list)

    @property
    def seconds(self) -> float:
        return self.earlier + time.time() - self.began

    @property
    def reached(self) -> dict[str, Any] | None:
        """The first validation at which every target was met."""
        met = (p for p in self.curve if all(p.get(score, math.inf) <= most for score, most in self.targets.items()))
        return next(met, None)

    def to_dict(self) -> dict[str, Any]:
        reached = self.reached
        return {
            "name": self.name,
            "targets": dict(self.targets),
            "reached_after_seconds": None if reached is None else reached["seconds"],
            "seconds": self.seconds,
            "curve": self.curve,
        }


def train(
    name: str,
    *,
    device: str,
    deadline: float,
    assignments: Sequence[str],
    run: Path,
    out: Path,
    facts: Mapping[str, Any],
) -> int:
    """The exit code: 0 where the targets are met, 6 where not (yet). Writes <date>-gpu-NAME.json into `out`."""
    recipe, began = RECIPES[name], time.time()
    config = recipe_config(recipe, device, assignments)
    make_backends_known(run.parent / "backends")
    corpus = load_corpus(config.corpus)
    going_on = (run / "metrics.jsonl").exists()
    with RunFolder(run, resume=going_on) as folder:
        trainer = resume(folder.latest(), corpus, folder) if going_on else start(config, corpus, folder)
        course = Course(name, recipe.targets, began)
        kept = run / "quality.json"
        if kept.exists():
            before = json.loads(kept.read_text(encoding="utf-8"))
            course.earlier, course.curve = before["seconds"], before["curve"]
        path = out / f"{facts['date'][:10]}-gpu-{name}.json"

        def write() -> None:
            values = course.to_dict()
            write_atomically(kept, json.dumps(values).encode())
            whole = dict(facts) | {"config": trainer.config.to_dict()} | values
            out.mkdir(parents=True, exist_ok=True)
            write_atomically(path, (json.dumps(whole, indent=1) + "\n").encode())

        ended = follow(trainer, corpus, course, deadline, write)
        write()
    return conclude(course, ended)


def follow(trainer: Trainer, corpus: Corpus, course: Course, deadline: float, write: Any) -> str:
    """Trains until the targets are met, the time is up or the epochs are over: says which."""
    scores = _Scores(trainer, corpus, course.targets)

    def on_log(record: LogRecord) -> None:
        if record.val_loss is None:
            return
        point = {"epoch": record.epoch, "step": record.step, **scores.after(record.val_loss)}
        course.curve.append(point | {"seconds": course.seconds})
        write()
        print(json.dumps(course.curve[-1]), flush=True)

    def stop() -> int:
        return signal.SIGTERM if course.reached or time.time() > deadline - SAVING else 0

    trainer.observer = Observer(on_log=on_log, stop=stop)
    try:
        trainer.fit()
    except InterruptedRunError:
        return "reached" if course.reached else "time"
    return "reached" if course.reached else "epochs"


def conclude(course: Course, ended: str) -> int:
    best = min((point["validation"] for point in course.curve), default=math.inf)
    if ended == "reached":
        assert course.reached is not None
        print(f"{course.name}: {dict(course.targets)} met after {course.reached['seconds']:.1f} s of wall time")
        return 0
    advice = (
        "the same command goes on" if ended == "time" else "its epochs are over: another recipe, by --set and --run"
    )
    print(f"{course.name}: not met after {course.seconds:.0f} s, best validation perplexity {best:.2f}; {advice}")
    return DivergedError.exit_code


class _Scores:
    """What is asked of a model at a validation: the dear scores only where they could be met."""

    def __init__(self, trainer: Trainer, corpus: Corpus, targets: Mapping[str, float]):
        self._trainer, self._targets = trainer, targets
        dataset = encode_corpus(corpus, trainer.vocabulary, split=trainer.config.split)
        self._test = dataset["test"].ids
        self._fixture = Fixture.of_text(self._test, None, FIXTURE_LENGTH, trainer.vocabulary)

    def after(self, val_loss: float) -> dict[str, float]:
        found = {"validation": math.exp(val_loss)}
        if "next_word" in self._targets and val_loss <= self._targets["next_word"] + NEAR:
            found["next_word"] = float(nll_of_fixture(self._trainer.model, self._fixture).mean())
        if "test" in self._targets and found["validation"] <= self._targets["validation"]:
            found["test"] = math.exp(self._trainer.evaluate(self._test))
        return found


def recipe_config(recipe: Recipe, device: str, assignments: Sequence[str]) -> RunConfig:
    """The preset, the recipe's changes, then --set. bf16 on CUDA."""
    given = {}
    for text in assignments:
        name, equals, value = text.partition("=")
        if not equals:
            raise UsageError(f"--set {text!r}: expected FIELD=VALUE")
        given[name] = value
    here = {"backend": "torch", "device": device, "precision": "bf16" if device == "cuda" else "float32"}
    return preset(recipe.preset).with_overrides(dict(recipe.changes) | here).with_overrides(given)


def make_backends_known(folder: Path) -> None:
    """In a checkout that nobody installed, Python knows no entry points: those of pyproject.toml, in `folder`."""
    if entry_points(group="lstm.backends"):
        return
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    described = folder / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
    described.mkdir(parents=True, exist_ok=True)
    metadata = f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n"
    (described / "METADATA").write_text(metadata, encoding="utf-8")
    points = "\n".join(f"{name} = {place}" for name, place in project["entry-points"]["lstm.backends"].items())
    (described / "entry_points.txt").write_text(f"[lstm.backends]\n{points}\n", encoding="utf-8")
    sys.path.append(str(folder.resolve()))
