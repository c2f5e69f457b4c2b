"""Which teacher, and its knobs; the values are in the parameter files."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, NonNegativeFloat, model_validator

from gecko_kedro.teacher.budget import Budget, Prices
from gecko_kedro.teacher.forms import FORMS
from gecko_kedro.teacher.http.settings import HttpSettings

# How it runs, not what comes out: no part of a fingerprint.
_EXECUTION: dict[str, Any] = {"execution_only": True}


class LexicalSettings(BaseModel):
    """Knobs of the lexical stand-in."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    mu: float = Field(gt=0, description="Dirichlet prior of query likelihood, in words")
    title_weight: float = Field(ge=0, description="how often a word of the title counts")
    lead_words: int = Field(ge=0, description="length of the lead of a passage, in words")
    lead_weight: float = Field(ge=0, description="how often a word of the lead counts besides once")
    coverage_share: float = Field(ge=0, description="of the grade: query words in the passage")
    phrase_share: float = Field(ge=0, description="of the grade: adjacent query words in it")
    lead_share: float = Field(ge=0, description="of the grade: query words in title and lead")
    form_shares: dict[str, NonNegativeFloat] = Field(
        description="wanted share of each form of query; they need not add up to 1"
    )

    @model_validator(mode="after")
    def _something_counts(self) -> "LexicalSettings":
        unknown = sorted(set(self.form_shares) - set(FORMS))
        if unknown:
            raise ValueError(
                f"form_shares: unknown {', '.join(unknown)}; the forms are {', '.join(FORMS)}"
            )
        if not any(self.form_shares.values()):
            raise ValueError("form_shares: at least one share must be above 0")
        if self.coverage_share + self.phrase_share + self.lead_share == 0:
            raise ValueError("coverage_share, phrase_share or lead_share must be above 0")
        return self


class ModelSettings(BaseModel):
    """The language model of the backends that run one in this process."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(min_length=1, description="hub id or local folder")
    revision: str | None = Field(description="commit, tag or branch of the hub; null for main")
    dtype: Literal["auto", "float32", "bfloat16"] = Field(
        description="auto: bfloat16 where the device computes it in hardware"
    )
    trust_remote_code: bool = Field(description="run Python code that comes with the model")
    chat_template: Literal["auto", "on", "off"] = Field(
        description="auto: applied if the tokenizer has one (instruct models)"
    )
    chat_template_kwargs: dict[str, Any] = Field(description="variables of the chat template")
    max_new_tokens: int = Field(ge=1, description="a longer reply is cut")
    stop: tuple[str, ...] = Field(description="what ends the reply of a base model")


class TransformersSettings(BaseModel):
    """How transformers runs the model."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    device: str = Field(description="auto, cpu, cuda, cuda:1 ...", json_schema_extra=_EXECUTION)
    batch_tokens: int = Field(
        ge=1,
        description="most tokens of a forward pass, cached and padding ones included",
        json_schema_extra=_EXECUTION,
    )
    kv_cache_tokens: int = Field(
        ge=0,
        description="tokens whose keys and values are kept from call to call",
        json_schema_extra=_EXECUTION,
    )
    threads: int | None = Field(
        ge=1, description="CPU threads; null for torch's choice", json_schema_extra=_EXECUTION
    )


class VllmSettings(BaseModel):
    """How vLLM runs the model."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    max_model_len: int | None = Field(
        ge=2, description="longest prompt with reply, in tokens; null for the model's own"
    )
    gpu_memory_utilization: float = Field(
        gt=0, le=1, description="share of the GPU's memory", json_schema_extra=_EXECUTION
    )
    max_num_batched_tokens: int | None = Field(
        ge=1, description="tokens of a step; null for vLLM's choice", json_schema_extra=_EXECUTION
    )
    tensor_parallel_size: int = Field(
        ge=1, description="GPUs that share the model", json_schema_extra=_EXECUTION
    )
    shard_size: int = Field(
        ge=1, description="prompts submitted together", json_schema_extra=_EXECUTION
    )
    engine_args: dict[str, Any] = Field(
        description="more arguments of vllm.LLM", json_schema_extra=_EXECUTION
    )


class TeacherSettings(BaseModel):
    """The backend and its settings."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    backend: Literal["lexical", "transformers", "vllm", "http"]
    batch_size: int = Field(
        ge=1,
        description="calls between two commits of the response store; http commits each",
        json_schema_extra=_EXECUTION,
    )
    budget: Budget
    prices: Prices
    lexical: LexicalSettings
    model: ModelSettings
    transformers: TransformersSettings
    vllm: VllmSettings
    http: HttpSettings

    @model_validator(mode="after")
    def _prices_are_known(self) -> "TeacherSettings":
        if self.budget.max_cost is not None and self.prices.prompt is None:
            raise ValueError("budget.max_cost needs prices.prompt and prices.completion")
        return self
