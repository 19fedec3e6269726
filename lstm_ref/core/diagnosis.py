"""What the gap between training and validation loss, both without dropout, says to try next."""

from typing import Literal


def diagnosis(train_loss: float, val_loss: float) -> tuple[Literal["overfitting", "underfitting", "balanced"], str]:
    """A word for it, and a line with the numbers and what to try. Losses in nats a token."""
    gap = (val_loss - train_loss) / max(train_loss, 1e-9)  # a text without surprise costs nothing
    numbers = f"train {train_loss:.4f}, validation {val_loss:.4f}, gap {gap:+.1%}"
    if gap > 0.10:
        return "overfitting", f"{numbers}: overfitting; try more dropout, a smaller network, or more text"
    if gap < 0.02:
        return "underfitting", f"{numbers}: underfitting; try more epochs, more layers or larger hidden_sizes"
    return "balanced", f"{numbers}: balanced"
