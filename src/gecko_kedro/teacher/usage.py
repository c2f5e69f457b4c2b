"""What the teacher cost, by kind of call."""

from dataclasses import asdict, dataclass, field, fields


@dataclass
class KindUsage:
    """``calls`` were paid for, ``hits`` came from the store (or repeat a call of the same batch).

    ``refused`` prompts got no reply (``protocol.Refused``); each is counted once in a run.
    Tokens and seconds are of the paid calls, ``hit_`` tokens of those from the store; the unit of a
    token is the backend's.
    """

    calls: int = 0
    hits: int = 0
    refused: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    seconds: float = 0.0
    hit_prompt_tokens: int = 0
    hit_completion_tokens: int = 0

    def add(self, other: "KindUsage") -> None:
        """Add every count of ``other``."""
        for one in fields(self):
            setattr(self, one.name, getattr(self, one.name) + getattr(other, one.name))


@dataclass
class Usage:
    """Usage of the three kinds of call."""

    generate: KindUsage = field(default_factory=KindUsage)
    query_log_likelihood: KindUsage = field(default_factory=KindUsage)
    label_log_likelihood: KindUsage = field(default_factory=KindUsage)

    def of(self, kind: str) -> KindUsage:
        """The record of one kind, to be added to."""
        record = getattr(self, kind)
        if not isinstance(record, KindUsage):
            raise KeyError(kind)
        return record

    def total(self) -> KindUsage:
        """The sum of the three."""
        total = KindUsage()
        for one in fields(self):
            total.add(getattr(self, one.name))
        return total

    def as_metrics(self) -> dict[str, float]:
        """``{"generate_calls": ..., ...}`` of the kinds that were used."""
        return {
            f"{kind}_{name}": float(value)
            for kind, record in asdict(self).items()
            for name, value in record.items()
            if record["calls"] or record["hits"] or record["refused"]
        }
