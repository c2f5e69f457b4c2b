"""What the teacher cost, by kind of call."""

from dataclasses import asdict, dataclass, field


@dataclass
class KindUsage:
    """``calls`` were paid for, ``hits`` came from the store (or repeat a call of the same batch).

    Tokens and seconds are of the paid calls; the unit of a token is the backend's.
    """

    calls: int = 0
    hits: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    seconds: float = 0.0


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

    def as_metrics(self) -> dict[str, float]:
        """``{"generate_calls": ..., ...}`` of the kinds that were used."""
        return {
            f"{kind}_{name}": float(value)
            for kind, record in asdict(self).items()
            for name, value in record.items()
            if record["calls"] or record["hits"]
        }
