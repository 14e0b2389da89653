"""Episodes of a world in which one known property of an answer decides its reward.

A random Llama with 24 words answers prompts of six words with four; an answer is *warm* where its
first word is one of the warm half. Nothing but that earns a reward, so whoever learns from these
episodes has to answer warm, on prompts that were never seen too.
"""

import json
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
from patlm.evaluation.progress import Unwatched
from patlm.models.local.adapters import fingerprint
from patlm.stores.episodes.schema import (
    Episode,
    EvidenceRecord,
    Group,
    IterationRecord,
    Message,
    Sample,
    SamplingSettings,
    TargetRecord,
)
from patlm.stores.episodes.shards import EpisodeWriter
from patlm.training.data.token_ids import prompt_ids
from patlm.training.trainer import run_folder
from patlm.training.trainer.config import TrainConfig
from patlm.training.trainer.train import TrainReport, train
from peft import PeftModel
from safetensors.torch import load_file
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import (
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    PreTrainedTokenizerFast,
)

WARM = [f"warm{number}" for number in range(10)]
COLD = [f"cold{number}" for number in range(10)]
VOCABULARY = ["<pad>", "<end>", "<unk>", "<ask>", *WARM, *COLD]
TEMPLATE = (
    "{% for message in messages %}{{ message['content'] }} {% endfor %}"
    "{% if add_generation_prompt %}<ask>{% endif %}"
)
ANSWER = 4


def word_tokenizer() -> PreTrainedTokenizerBase:
    """Return a tokenizer of 24 words, four of which are marks."""
    words = Tokenizer(
        models.WordLevel({word: at for at, word in enumerate(VOCABULARY)}, unk_token="<unk>")
    )
    words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    fast = PreTrainedTokenizerFast(
        tokenizer_object=words, pad_token="<pad>", eos_token="<end>", unk_token="<unk>"
    )
    fast.chat_template = TEMPLATE
    return fast


def word_llama(seed: int = 0) -> PreTrainedModel:
    """Return a random model of three layers; its adapters sit on the last."""
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=len(VOCABULARY),
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=3,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=64,
        initializer_range=0.15,
        bos_token_id=None,
        eos_token_id=1,
        pad_token_id=0,
    )
    return LlamaForCausalLM(config).eval()


def save_base(folder: Path, seed: int = 0) -> Path:
    """Save model and tokenizer as transformers does, and return the folder."""
    word_llama(seed).save_pretrained(folder)
    word_tokenizer().save_pretrained(folder)
    return folder


def prompts(count: int, seed: int) -> list[str]:
    """Return prompts of six words."""
    draw = random.Random(seed)
    return [" ".join(draw.choices(WARM + COLD, k=6)) for _ in range(count)]


def draw_answers(
    model: Any, asked: Sequence[str], each: int, seed: int
) -> list[list[tuple[list[int], str]]]:
    """Return `each` answers to each prompt, drawn from the policy itself: ids and text."""
    tokenizer = word_tokenizer()
    ids = torch.tensor([prompt_ids(tokenizer, [("user", text)]) for text in asked])
    torch.manual_seed(seed)
    with torch.no_grad():
        written = model.generate(
            input_ids=ids.repeat_interleave(each, 0),
            attention_mask=torch.ones_like(ids).repeat_interleave(each, 0),
            do_sample=True,
            top_k=0,
            top_p=1.0,
            max_new_tokens=ANSWER,
            min_new_tokens=1,
            pad_token_id=0,
            eos_token_id=1,
        )[:, ids.shape[1] :].tolist()
    answers = [_until_end(row) for row in written]
    texts = [tokenizer.decode(row, skip_special_tokens=True) for row in answers]
    both = list(zip(answers, texts, strict=True))
    return [both[at : at + each] for at in range(0, len(both), each)]


def is_warm(text: str) -> bool:
    """Say whether an answer has the property."""
    return text.startswith("warm")


def share_warm(model: Any, count: int = 100) -> float:
    """Return the share of warm answers to prompts that no episode has."""
    found = draw_answers(model, prompts(count, seed=999), 4, seed=7)
    return sum(is_warm(text) for group in found for _, text in group) / (4 * count)


def planted_episodes(
    groups: int,
    *,
    each: int = 6,
    shuffled: bool = False,
    role: str = "style",
    seed: int = 1,
    base_seed: int = 0,
) -> list[Episode]:
    """Return one episode a group; with `shuffled` the rewards belong to other answers."""
    model = word_llama(base_seed)
    asked = prompts(groups, seed)
    drawn = draw_answers(model, asked, each, seed)
    rewards = [[float(is_warm(text)) for _, text in group] for group in drawn]
    if shuffled:
        flat = [reward for group in rewards for reward in group]
        random.Random(seed).shuffle(flat)
        rewards = [flat[at : at + each] for at in range(0, len(flat), each)]
    name = fingerprint(model)
    return [
        planted_episode(at, text, answers, given, base=name, role=role)
        for at, (text, answers, given) in enumerate(zip(asked, drawn, rewards, strict=True))
    ]


def planted_episode(
    at: int,
    asked: str,
    answers: Sequence[tuple[list[int], str]],
    rewards: Sequence[float],
    *,
    base: str,
    role: str = "style",
) -> Episode:
    """Return an episode with one group of candidates."""
    group = f"run{at}:{role}-reason@1"
    tokenizer = word_tokenizer()
    samples = tuple(
        Sample(
            id=f"{role}-reason@1/{number}",
            node=f"{role}-reason",
            iteration=1,
            role=role,
            adapter="base",
            model="words",
            base=base,
            messages=(Message(role="user", content=asked),),
            text=text,
            prompt_token_ids=tuple(prompt_ids(tokenizer, [("user", asked)])),
            token_ids=tuple(ids),
            logprobs=(-1.0,) * len(ids),
            sampling=SamplingSettings(temperature=1.0, max_tokens=ANSWER),
            finish_reason="length",
            group=group,
            trainable=True,
            draft=text,
            rewards={"quality": reward, "summary_copying": 0.0},
            reward=reward,
            differential=reward - 0.5,
        )
        for number, ((ids, text), reward) in enumerate(zip(answers, rewards, strict=True))
    )
    return Episode(
        run_id=f"run{at}",
        namespace="default",
        request={"user_id": f"user{at}", "task": "long", "title": asked},
        target=TargetRecord(id=f"target{at}", data="planted", real="warm1 warm2 warm3"),
        split="0123456789ab",
        samples=samples,
        groups=(Group(id=group, role=role, iteration=1, held={}, without_value=0.5),),
        iterations=(
            IterationRecord(
                iteration=1,
                evidence={
                    "style": (
                        EvidenceRecord(
                            text_id=f"text{at}", user_id=f"lender{at}", body="cold1", score=1.0
                        ),
                    )
                },
                summaries={"style": "warm1 cold1", "preference": "warm2 cold2"},
                draft="warm3",
                kept=True,
            ),
        ),
    )


def write_episodes(folder: Path, episodes: Sequence[Episode]) -> Path:
    """Write episodes as shards, and return the folder."""
    writer = EpisodeWriter(folder)
    for episode in episodes:
        writer.append(episode)
    return folder


def _until_end(row: list[int]) -> list[int]:
    return row[: row.index(1) + 1] if 1 in row else row


class KilledAt(Unwatched):
    """A watch that ends a run from inside, as a signal would, after an optimiser step."""

    def __init__(self, step: int, error: BaseException) -> None:
        self._step, self._error = step, error

    def advance(self, item: object) -> None:
        """Raise the error where its step is done."""
        if item == self._step:
            raise self._error


def run_config(folder: Path, episodes: Sequence[Episode] | Path, **settings: Any) -> TrainConfig:
    """Return the settings of a run in a folder: fp32 and no warm-up of the learning rate."""
    base, kept = folder / "base", folder / "episodes"
    if not base.exists():
        save_base(base)
    if isinstance(episodes, Path):
        kept = episodes
    elif not kept.exists():
        write_episodes(kept, episodes)
    given = {
        "role": "style",
        "episodes": kept,
        "out": folder / "run",
        "adapters": folder / "adapters",
        "model": str(base),
        "dtype": "fp32",
        "learning_rate": 0.01,
        "warmup": 0.0,
        **settings,
    }
    return TrainConfig(**given)


def run_training(
    folder: Path, episodes: Sequence[Episode] | Path, *, reward: Any = None, **settings: Any
) -> TrainReport:
    """Train on planted episodes.

    The picture of the curves, which takes half the time of a small run, is not drawn.
    """
    with patch.object(run_folder, "_draw"):
        return train(run_config(folder, episodes, **settings), reward=reward)


def curve(out: Path, name: str = "loss") -> list[float]:
    """Return a figure of each step."""
    found: list[float] = json.loads((out / "curves.json").read_text())[name]
    return found


def weights(adapter: Path) -> dict[str, torch.Tensor]:
    """Return the tensors of an adapter."""
    return load_file(adapter / "adapter_model.safetensors")


def with_trained(adapter: Path) -> Any:
    """Return the planted base model with an adapter."""
    return PeftModel.from_pretrained(word_llama(), adapter).eval()
