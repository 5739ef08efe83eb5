"""Everything that can be set about a training run, as one tree of frozen dataclasses.

Names are ours; `mlagent_train.rlhf.flags` is the one place that turns them into OpenRLHF's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Annotated, Any, Literal

from pydantic import Field

__all__ = [
    "Collapse",
    "Collect",
    "Config",
    "Env",
    "Evaluate",
    "Hardware",
    "Ideas",
    "Logging",
    "Model",
    "Passthrough",
    "Ppo",
    "Rollout",
    "Sft",
    "Tasks",
    "TinyModel",
    "Workers",
]

Positive = Annotated[int, Field(gt=0)]
Count = Annotated[int, Field(ge=0)]
Share = Annotated[float, Field(ge=0, le=1)]
PositiveFloat = Annotated[float, Field(gt=0)]
NonNegative = Annotated[float, Field(ge=0)]

_EMPTY: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True)
class Tasks:
    """Which tasks are trained on, which only evaluated, and on which data."""

    held_in: tuple[str, ...] = ()
    """Tasks trained on; empty: every task whose folder says held-in."""
    held_out: tuple[str, ...] = ()
    """Tasks only evaluated; empty: every task whose folder says held-out."""
    variant: Literal["synthetic", "real"] = "synthetic"
    env_id: str = "MLAgent/{task}-v0"
    """Gymnasium id of a task's environment; ``module:id`` imports the module first."""


@dataclass(frozen=True)
class Env:
    """How environments behave, passed to ``gym.make``."""

    prompt: str = "mlab"
    """``mlab``, ``compact``, ``tiny``, or the path of a template."""
    reward: Literal["v1", "v2"] = "v1"
    mode: Literal["step", "episode"] = "step"
    """``step``: one pooled state, one action, done. ``episode``: on to `max_steps`."""
    max_steps: Positive = 15
    """Steps after which an episode is truncated; the prompt names it."""
    kwargs: Mapping[str, Any] = field(default_factory=lambda: _EMPTY)
    """Further arguments of ``gym.make``."""


@dataclass(frozen=True)
class Workers:
    """The pool of processes that run environment steps."""

    slots: Count = 0
    """Steps at the same time over the cluster; 0: one per core of this machine."""
    cpus_per_slot: PositiveFloat = 1.0
    gpus_per_slot: NonNegative = 0.0
    memory_mb_per_slot: NonNegative = 0.0
    """0: any; otherwise a node takes no more workers than its memory is enough for."""
    step_timeout_s: NonNegative = 0.0
    """From a step's start on a worker; 0: five minutes more than its scripts may take."""
    start_timeout_s: PositiveFloat = 300.0
    """For a new worker to import and answer."""
    retries: Count = 2
    """Further workers a step is tried on after a machine fault."""
    max_fault_share: Share = 0.2
    """Share of the last `fault_window` steps lost to faults above which the job stops."""
    fault_window: Positive = 64
    cache: bool = True
    """Answer a state and action seen before from memory; steps are deterministic."""


@dataclass(frozen=True)
class Ideas:
    """Ideas of what to try, made before collecting; without them experts use the tasks' banks."""

    enabled: bool = False
    """Make them when a later stage needs them; ``python -m mlagent_train.ideas`` always does."""
    source: str = "bank"
    """``bank``: a task's own ideas, other values for them, two and three at once.
    ``openai:<model>``: words of a model (OPENAI_BASE_URL, OPENAI_API_KEY), for experts that
    are models."""
    candidates: Positive = 100
    """For each task, out of which the most diverse are kept."""
    keep: Positive = 10
    method: Literal["mean-distance", "farthest-point"] = "farthest-point"
    """How the most diverse are chosen: the paper's first and second version."""
    embedder: str = "auto"
    """``tf-idf``, a sentence-transformers model, or auto: the latter where it is installed."""
    temperature: NonNegative = 1.0
    max_new_tokens: Positive = 4096


@dataclass(frozen=True)
class Collect:
    """Trajectories of an expert: they warm-start the policy and fill the state pool."""

    expert: str = "scripted:expert"
    """Any policy: ``scripted:expert`` tries ideas of the bank; ``openai:<model>``,
    ``hf:<path>``, ``run:<folder>``, ``module:function`` of one's own."""
    trajectories_per_task: Positive = 16
    ideas: tuple[Positive, Positive] = (1, 3)
    """Fewest and most ideas of one trajectory: tried by the scripted expert, named in the
    first prompt of others."""
    ideas_per_task: Count = 0
    """Only the first so many of a task's ideas; 0: all, 1: the same one in all trajectories."""
    ideas_from: str = ""
    """``module:function`` that gives a task's ideas by its id; empty: the files of the ideas
    stage, or else the task's own folder."""
    temperature: NonNegative = 0.7
    """Of an expert that is a model."""
    at_once: Count = 0
    """Trajectories at the same time; 0: one a slot, four a slot if the expert is a model."""
    max_dollars: NonNegative = 0.0
    """What an endpoint may cost in all, by the prices in MLAGENT_PRICES; 0: any amount."""
    max_tokens: Count = 0
    """Tokens that an expert may read and write in all; 0: any number."""
    requests_per_minute: NonNegative = 0.0
    """0: as many as there are."""
    max_similarity: Share = 0.95
    """A trajectory more similar to an earlier one of its task is no example; 1: all are."""


@dataclass(frozen=True)
class TinyModel:
    """A Llama model made on the spot, with its own tokenizer, when `Model.path` is empty."""

    vocab_size: Annotated[int, Field(ge=300)] = 2048
    hidden_size: Positive = 256
    layers: Positive = 4
    heads: Positive = 4
    kv_heads: Positive = 4
    intermediate_size: Positive = 1024
    max_positions: Positive = 4096
    rope_theta: PositiveFloat = 10_000.0
    """Base of the rotary positions; higher: contents are compared over longer distances."""
    induction: bool = False
    """Begin with heads that find and copy (`mlagent_train.induction`), not with noise alone."""


@dataclass(frozen=True)
class Model:
    """The policy before training."""

    path: str = ""
    """Folder or hub name of a model; empty: a `tiny` one is made."""
    tiny: TinyModel = field(default_factory=TinyModel)


@dataclass(frozen=True)
class Sft:
    """Supervised warm start on the expert's actions."""

    enabled: bool = True
    epochs: Positive = 2
    batch_size: Positive = 64
    micro_batch_size: Positive = 1
    lr: PositiveFloat = 2e-5
    lr_scheduler: str = "cosine_with_min_lr"
    warmup_share: Share = 0.03
    max_tokens: Positive = 15000
    """Longer examples are dropped before training."""
    save_every_updates: Positive = 50
    zero_stage: Literal[0, 1, 2, 3] = 2


@dataclass(frozen=True)
class Rollout:
    """Generation, in training and in evaluation."""

    max_prompt_tokens: Positive = 8192
    max_new_tokens: Positive = 2048
    """Of one reply, in episodes too."""
    max_episode_tokens: Positive = 32768
    """Prompts and replies of one episode (``env.mode = "episode"``): what the model can read."""
    temperature: PositiveFloat = 1.0
    top_p: Share = 1.0
    micro_batch_size: Positive = 4


@dataclass(frozen=True)
class Ppo:
    """Step-wise (or episode-wise) PPO."""

    updates: Positive = 39
    """Batches of rollouts, each followed by an update."""
    states_per_update: Positive = 256
    samples_per_state: Positive = 1
    batch_size: Positive = 256
    """Samples per optimizer step."""
    micro_batch_size: Positive = 1
    epochs: Positive = 1
    """Passes over each batch of rollouts."""
    estimator: Literal[
        "gae",
        "reinforce",
        "rloo",
        "reinforce_baseline",
        "group_norm",
        "dr_grpo",
        "flash_reinforce",
    ] = "gae"
    gamma: Share = 1.0
    gae_lambda: Share = 1.0
    kl_coef: NonNegative = 0.001
    """0 leaves the reference model out."""
    kl_in_loss: bool = False
    """Penalise the KL in the loss, as GRPO does, and not in the reward, as PPO does."""
    kl_estimator: Literal["k1", "k2", "k3"] = "k1"
    clip: tuple[PositiveFloat, PositiveFloat] = (0.2, 0.2)
    """How far the ratio may fall below and rise above 1."""
    value_clip: PositiveFloat = 0.5
    entropy_coef: NonNegative = 0.0
    actor_lr: PositiveFloat = 1e-6
    actor_adam_eps: PositiveFloat = 1e-8
    """Larger takes smaller steps where gradients are small, as those of rare tokens."""
    critic_lr: PositiveFloat = 9e-6
    critic_warmup_updates: int = -1
    """The actor is frozen for this many updates and one more; -1: never."""
    lr_scheduler: str = "cosine_with_min_lr"
    warmup_share: Share = 0.03
    max_norm: PositiveFloat = 1.0
    save_every_updates: Positive = 5
    keep_checkpoints: Annotated[int, Field(ge=2)] = 2
    zero_stage: Literal[0, 1, 2, 3] = 2
    asynchronous: bool = False
    """Generate while training; needs separate GPUs for the two."""
    partial_rollout: bool = False


@dataclass(frozen=True)
class Collapse:
    """When PPO is stopped because the policy has fallen apart; the best checkpoint is kept."""

    updates: Count = 0
    """Stop after this many updates in a row below one of the floors; 0: never."""
    min_valid: Share = 0.05
    """Floor of the share of valid actions."""
    min_entropy: NonNegative = 0.005
    """Floor of the policy's entropy, nats per token."""


@dataclass(frozen=True)
class Evaluate:
    """Full episodes from the starter, before and after training."""

    every_updates: Count = 0
    """Also during PPO, every so many updates; the checkpoint with the highest gain on the
    held-in tasks is kept. 0: only before and after."""

    episodes_per_task: Positive = 8
    max_steps: Positive = 15
    """Steps an episode is followed for, at most ``env.max_steps``."""
    temperature: NonNegative = 0.6
    enabled: bool = True


@dataclass(frozen=True)
class Hardware:
    """What the run may use and how the models share it."""

    device: Literal["auto", "cpu", "gpu"] = "auto"
    ray_address: str = ""
    """Address of a running Ray cluster; empty: one is started on this machine."""
    nodes: Positive = 1
    """Nodes that train."""
    gpus_per_node: Positive = 1
    """GPUs that train, on each of them."""
    colocate: bool = True
    """Actor, critic and reference share GPUs; with synchronous PPO the engines do too."""
    engines: Positive = 1
    """Rollout engines."""
    tensor_parallel: Positive = 1
    """GPUs per rollout engine."""
    engine_memory_share: Share = 0.9
    """Share of a GPU's memory for an engine."""
    engine: Literal["auto", "vllm", "transformers"] = "auto"
    """auto: vLLM with a GPU, transformers without; transformers is refused with one."""
    attention: str = "sdpa"
    packing: bool = False
    """Train on packed samples; needs flash-attn."""
    max_tokens_per_gpu: Count = 0
    """Dynamic batches of this many tokens; 0: fixed micro-batches. Needs flash-attn."""
    gradient_checkpointing: bool = False
    offload_optimizer: bool = False
    sleep: bool = False
    """Park idle models in host memory."""
    min_free_disk_gb: NonNegative = 2.0
    env_slots_per_node: Count = 0
    """Shown in the resource plan of a cluster: slots each env node offers to Ray."""


@dataclass(frozen=True)
class Logging:
    """Beside the run folder's own TensorBoard and JSONL files."""

    wandb_project: str = ""
    """Of Weights & Biases, for PPO; empty: off. It finds its key in WANDB_API_KEY or ~/.netrc."""


@dataclass(frozen=True)
class Passthrough:
    """OpenRLHF options by their own dotted name, for what has no name of ours."""

    ppo: Mapping[str, Any] = field(default_factory=lambda: _EMPTY)
    sft: Mapping[str, Any] = field(default_factory=lambda: _EMPTY)


@dataclass(frozen=True)
class Config:
    """One training run."""

    name: str
    """Name of the run folder below ``runs/`` unless ``--run`` says otherwise."""
    seed: int = 0
    tasks: Tasks = field(default_factory=Tasks)
    env: Env = field(default_factory=Env)
    workers: Workers = field(default_factory=Workers)
    ideas: Ideas = field(default_factory=Ideas)
    collect: Collect = field(default_factory=Collect)
    model: Model = field(default_factory=Model)
    sft: Sft = field(default_factory=Sft)
    rollout: Rollout = field(default_factory=Rollout)
    ppo: Ppo = field(default_factory=Ppo)
    collapse: Collapse = field(default_factory=Collapse)
    evaluate: Evaluate = field(default_factory=Evaluate)
    hardware: Hardware = field(default_factory=Hardware)
    logging: Logging = field(default_factory=Logging)
    openrlhf: Passthrough = field(default_factory=Passthrough)
