"""This process among those of `lstm train --distributed`: who speaks, who writes, and how they end.

Without the flag it is the only one, and all of this is nothing.
"""

import json
import os
import time
from pathlib import Path

from lstm_ref.cli.console import note
from lstm_ref.core.config import RunConfig
from lstm_ref.core.corpora import Corpus
from lstm_ref.core.errors import ConfigError, InterruptedRunError, LstmError, PeerLostError
from lstm_ref.core.group import Group, Ranks, join
from lstm_ref.core.language_model import Build
from lstm_ref.core.runlog import RunFolder, RunFolderOfAnother

PATIENCE = 5.0  # seconds until a rank believes that its error is not rank 0's too


class Together:
    """`with Together(distributed) as together`. Raises UsageError without torchrun."""

    def __init__(self, distributed: bool = False):
        self.distributed = distributed
        self.ranks = Ranks.from_environment(os.environ) if distributed else Ranks()
        self._group: Group | None = None

    @property
    def speaks(self) -> bool:
        return self.ranks.rank == 0

    @property
    def build(self) -> Build | None:
        """Of models that are trained together; None: the backend's own."""
        return self._group.build if self._group else None

    def note(self, message: str) -> None:
        if self.speaks:
            note(message)

    def agree(self, signal_number: int) -> int:
        """A signal that any process got, so that all of them stop after the same step."""
        return self._group.largest(signal_number) if self._group else signal_number

    def folder(self, path: Path, *, resume: bool = False) -> RunFolder:
        return RunFolder(path, resume=resume) if self.speaks else RunFolderOfAnother(path)

    def join(self, config: RunConfig, corpus: Corpus, folder: RunFolder, step: int) -> RunFolder:
        """Connects the processes, each of which has read all that it starts from; only then may rank 0 write.

        Returns the folder, by the name that rank 0 has for it. Raises ConfigError where the processes would not do the
        same, or cannot share the rows equally.
        """
        if not self.distributed:
            return folder
        self.ranks.check_rows(config.batch_size)
        self._group = join(config.backend, config.device)
        name = Path(self._group.from_rank_0(str(folder.path)))
        mine = config.to_dict() | {"the text": corpus.sha256, "the checkpoint's step": step}
        first = json.loads(self._group.from_rank_0(json.dumps(mine)))
        if other := [name for name in mine if mine[name] != first[name]]:
            raise ConfigError(
                f"rank {self.ranks.rank} differs from rank 0 in {', '.join(other)}: start all processes with the same "
                f"command, environment and files"
            )
        return folder if self.speaks else RunFolderOfAnother(name)

    def __enter__(self) -> "Together":
        return self

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        """An error that all processes share is rank 0's to tell. The others wait until it has: torchrun ends them all
        when the first one ends, and rank 0 may still be saving."""
        if isinstance(error, PeerLostError) and self.distributed:
            raise PeerLostError(f"rank {self.ranks.rank}: {error}") from None
        if not self.speaks and isinstance(error, LstmError) and self._rank_0_ends(error):
            raise SystemExit(error.exit_code) from None

    def _rank_0_ends(self, error: LstmError) -> bool:
        if self._group is None:
            time.sleep(PATIENCE)
            return False
        return self._group.rank_0_ends(None if isinstance(error, InterruptedRunError) else PATIENCE)


ALONE = Together()
