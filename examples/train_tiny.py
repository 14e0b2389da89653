"""Train an adapter in a minute: episodes, DPO, an adapter in a registry, changed answers.

The model is random with a vocabulary of 24 words, so nothing is downloaded. Here a style summary is
*good* if it begins with a warm word; `patlm collect` would measure what integrate writes from it.
"""

import random
import tempfile
from pathlib import Path

import torch
from patlm.models.local.adapters import fingerprint
from patlm.stores.adapters.registry import AdapterRegistry
from patlm.stores.episodes.schema import Episode, Group, Message, Sample, SamplingSettings
from patlm.stores.episodes.shards import EpisodeWriter
from patlm.training.data.token_ids import prompt_ids
from patlm.training.trainer.config import TrainConfig
from patlm.training.trainer.train import train
from peft import PeftModel
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

WORDS = [*(f"warm{n}" for n in range(10)), *(f"cold{n}" for n in range(10))]
VOCABULARY = ["<pad>", "<end>", "<unk>", "<ask>", *WORDS]
DRAWN = {"do_sample": True, "top_k": 0, "max_new_tokens": 4, "pad_token_id": 0}
draw = random.Random(0)


def save_model(folder: Path) -> PreTrainedTokenizerFast:
    """Save a random model and its word tokenizer."""
    words = Tokenizer(models.WordLevel({w: n for n, w in enumerate(VOCABULARY)}, "<unk>"))
    words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=words, pad_token="<pad>", eos_token="<end>", unk_token="<unk>"
    )
    tokenizer.chat_template = "{% for m in messages %}{{ m['content'] }} {% endfor %}<ask>"
    tokenizer.save_pretrained(folder)
    torch.manual_seed(0)
    shape = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 3}
    shape |= {"num_attention_heads": 4, "num_key_value_heads": 2, "vocab_size": 24}
    config = LlamaConfig(**shape, initializer_range=0.15, eos_token_id=1)
    LlamaForCausalLM(config).save_pretrained(folder)
    return tokenizer


def answers(model, tokenizer, asked: str, number: int) -> list[list[int]]:
    """Return answers to a prompt, sampled from the model."""
    ids = torch.tensor([prompt_ids(tokenizer, [("user", asked)])] * number)
    written = model.generate(ids, attention_mask=torch.ones_like(ids), **DRAWN)
    return [
        row[: row.index(1) + 1] if 1 in row else row for row in written[:, ids.shape[1] :].tolist()
    ]


def episode_of(number: int, model, tokenizer, base: str) -> Episode:
    """Return an episode with one group: six summaries of one prompt with their rewards."""
    asked = " ".join(draw.choices(WORDS, k=6))
    group = Group(id=f"run{number}/style-reason@1", role="style", iteration=1, held={})
    samples = []
    for place, ids in enumerate(answers(model, tokenizer, asked, 6)):
        text = tokenizer.decode(ids, skip_special_tokens=True)
        reward = float(text.startswith("warm"))
        samples.append(
            Sample(
                id=f"style-reason@1#{place}", node="style-reason", iteration=1, role="style",
                model="words", base=base, messages=(Message(role="user", content=asked),),
                prompt_token_ids=tuple(prompt_ids(tokenizer, [("user", asked)])),
                token_ids=tuple(ids), text=text, trainable=True, group=group.id,
                sampling=SamplingSettings(temperature=1.0, max_tokens=4),
                reward=reward, differential=reward - 0.5,
            )
        )  # fmt: skip
    request = {"user_id": f"user{number}", "task": "long", "title": asked}
    return Episode(
        run_id=f"run{number}", namespace="default", request=request, samples=tuple(samples),
        groups=(group,),
    )  # fmt: skip


def warm_share(model, tokenizer) -> float:
    """Return the share of warm answers to unseen prompts."""
    asked = [" ".join(draw.choices(WORDS, k=6)) for _ in range(50)]
    found = [tokenizer.decode(ids) for one in asked for ids in answers(model, tokenizer, one, 4)]
    return sum(text.startswith("warm") for text in found) / len(found)


with tempfile.TemporaryDirectory() as name:
    folder = Path(name)
    tokenizer = save_model(folder / "words")
    model = LlamaForCausalLM.from_pretrained(folder / "words").eval()
    base = fingerprint(model)
    print(f"before: {warm_share(model, tokenizer):.0%} warm")
    writer = EpisodeWriter(folder / "episodes")
    for number in range(600):
        writer.append(episode_of(number, model, tokenizer, base))
    report = train(
        TrainConfig(
            role="style", method="dpo", episodes=folder / "episodes", out=folder / "run",
            adapters=folder / "adapters", model=str(folder / "words"), dtype="fp32",
            learning_rate=0.01, batch=16, accumulation=1, warmup=0.0, pairs_per_group=3,
        )
    )  # fmt: skip
    print(f"{report.adapter}: {report.samples} pairs, {report.steps} steps, {report.stopped}")
    registry = AdapterRegistry(folder / "adapters")
    registry.promote(report.adapter)
    trained = PeftModel.from_pretrained(model, registry.get("style@1", base=base).path)
    print(
        f"after: {warm_share(trained.eval(), tokenizer):.0%} warm, promoted {registry.promoted()}"
    )
