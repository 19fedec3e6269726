"""What to do where a loss was not finite: options of `lstm train` that help.

A lower learning rate does nothing for the step right after a checkpoint, whose loss is of the checkpoint's own
parameters. If that step broke, an older checkpoint has to go on, in a folder of its own.
"""

from lstm_ref.core.checkpoint import Progress
from lstm_ref.core.config import RunConfig
from lstm_ref.core.runlog import BEST, RunFolder
from lstm_ref.core.schedule import PLATEAU_FACTOR

# As high as is advised. A first update of Adam's moves every weight by lr, and sgd's all of them together by lr x clip.
HIGHEST_LR = {"adam": 0.01, "adamw": 0.01, "sgd": 10.0, "nt-asgd": 10.0}


def remedy(config: RunConfig, progress: Progress, run: RunFolder, updates: int) -> str:
    """updates: that the parameters had had when their loss was not finite."""
    lr = min(config.lr * PLATEAU_FACTOR ** (progress.plateaus + 1), HIGHEST_LR[config.optimizer])
    if updates == 0:
        return "no update came before it, so it is not lr: lower ar_alpha or tar_beta, or take another precision"
    steps = run.steps()
    if not steps:
        return f"try a lower lr: --set lr={lr:g}"
    if run.newest_step() < updates:
        return f"go on from the last checkpoint with a lower lr: --resume {run.path} --set lr={lr:g}"
    older = steps[:-1]
    if progress.best_step < updates and (run.checkpoints / BEST).is_file():
        older = [run.checkpoints / BEST]  # it was validated
    if not older:
        return f"the last checkpoint is broken too, and the only one: start a new run with a lower lr, --set lr={lr:g}"
    return (
        f"the last checkpoint is broken too: go on from an older one with a lower lr: "
        f"--resume {older[-1]} --run {run.path}-again --set lr={lr:g}"
    )
