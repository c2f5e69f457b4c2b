"""What calibration measures, as it lies in the JSON files: seconds are wall clock."""

from pydantic import Field

from gecko_kedro.base.settings import Settings
from gecko_kedro.teacher.usage import KindUsage


class CorpusMeasure(Settings):
    """A sample of the documents, cut into passages as the run will do it."""

    documents: int = Field(ge=1)  # of the whole corpus
    sampled_documents: int = Field(ge=1)
    passages: int = Field(ge=1)  # of the sample, held out or not
    training_passages: int = Field(ge=1)
    natural_pairs: int = Field(ge=0)  # of the training passages
    seconds: float = Field(ge=0)
    passage_bytes: float = Field(ge=0)  # in Parquet
    passage_memory: float = Field(ge=0)  # bytes of a passage in a table
    memory: float = Field(ge=0)  # peak growth of the process, bytes


class EncoderMeasure(Settings):
    """The encoder on real texts of the sample."""

    dimension: int = Field(ge=1)
    weights: int = Field(ge=0)
    load_seconds: float = Field(ge=0)
    passage_seconds: float = Field(ge=0)
    query_seconds: float = Field(ge=0)
    passage_tokens: float = Field(ge=0)
    query_tokens: float = Field(ge=0)
    memory: float = Field(ge=0)
    base_memory: float = Field(ge=0)  # of the process before anything was loaded


class SearchMeasure(Settings):
    """The kernel on a block of vectors of the encoder's width, and what is done with each query."""

    pair_seconds: float = Field(ge=0)
    query_seconds: float = Field(ge=0)  # of a query's candidates in a table
    component_bytes: int = Field(ge=1)  # of a vector's number, on the disk


class CallMeasure(Settings):
    """One kind of call of the teacher, means of one call."""

    prompt_tokens: float = Field(ge=0)
    completion_tokens: float = Field(ge=0)
    seconds: float = Field(ge=0)

    def times(self, calls: int) -> KindUsage:
        """The usage of ``calls`` calls."""
        return KindUsage(
            calls=calls,
            prompt_tokens=round(calls * self.prompt_tokens),
            completion_tokens=round(calls * self.completion_tokens),
            seconds=calls * self.seconds,
        )


class TeacherMeasure(Settings):
    """The teacher on a few seed passages and candidate sets."""

    calls: dict[str, CallMeasure]  # by kind, of those that the run makes
    start_seconds: float = Field(ge=0)
    start_seconds_per_passage: float = Field(ge=0)  # where it reads the corpus
    seed_seconds: float = Field(ge=0)  # of a seed passage, beside its calls
    candidate_seconds: float = Field(ge=0)  # of a (query, candidate), beside its calls
    stored_bytes: float = Field(ge=0)  # of a call in the response store
    query_bytes: float = Field(ge=0)  # of a query in Parquet
    judgement_bytes: float = Field(ge=0)
    memory: float = Field(ge=0)


class TrainingMeasure(Settings):
    """A few steps of one training stage."""

    start_seconds: float = Field(ge=0)  # what does not grow with the steps
    row_seconds: float = Field(ge=0)
    checkpoint_seconds: float = Field(ge=0)
    row_memory: float = Field(ge=0)  # what a row of a batch keeps until its backward pass
    weights: int = Field(ge=0)
