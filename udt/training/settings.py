"""What training needs to know."""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Settings:
    """What `train` needs to know; see `UDTClassifier` for the meaning of each."""

    max_iter: int
    batch_size: int
    wide_rate: float
    hidden_rate: float
    head_rate: float
    dropout: float
    wide_dropout: float
    hidden_dropout: float
    label_smoothing: float
    initial_state: float

    def slower(self) -> Settings:
        """Give the same settings at a tenth of all rates."""
        return replace(
            self,
            wide_rate=self.wide_rate / 10,
            hidden_rate=self.hidden_rate / 10,
            head_rate=self.head_rate / 10,
        )
