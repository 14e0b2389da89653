"""Answers: what is reasoning, why an answer ended, and where a cut one ends."""

import random
from collections.abc import Sequence
from typing import Any

import pytest
from langchain_core.messages import AIMessage
from patlm.models.answers import (
    LENGTH,
    WITHHELD,
    VisibleText,
    ends_inside_reasoning,
    finish_reason,
    read_answer,
    whole_sentences,
    whole_words,
    without_reasoning,
)

TAGGED = [
    ("<think>\nThe user wants 3.\n</think>\n\nFine.", "Fine."),
    ("<think></think>\n\nFine.", "Fine."),
    ("<think>Okay, so the user wants", ""),
    ("<THINKING>Hm.</THINKING> Fine.", "Fine."),
    ("<thought>Hm.</thought>Fine.", "Fine."),
    ("<seed:think>Hm.</seed:think>Fine.", "Fine."),
    ("[THINK]Hm.[/THINK]Fine.", "Fine."),
    ("◁think▷Hm.◁/think▷Fine.", "Fine."),
    ("<think>a</think>One. <think>b</think>Two.", "One. Two."),
    ("<think>Hm.</think><answer>4</answer>", "4"),
    (
        "<|channel|>analysis<|message|>Hm.<|end|><|start|>assistant<|channel|>final<|message|>"
        "Fine.<|return|>",
        "Fine.",
    ),
]
UNMARKED = [
    ("The user wants 3.\n</think>\n\nFine.", "Fine."),  # the template wrote the opening tag
    ("All of it is reasoning</think>", ""),
    ("a<think>b</think>c</think>Fine.", "Fine."),
    ("analysisThe user wants 3.assistantfinalFine.", "Fine."),
]
PLAIN = [
    "Fine.",
    "5 < 6, and <b>bold</b> is HTML",
    "I think [not] that </p> matters",
    "The <answer> is no tag without reasoning",
]


@pytest.mark.parametrize(("answer", "text"), [*TAGGED, *UNMARKED])
def test_reasoning_is_no_part_of_an_answer(answer: str, text: str) -> None:
    assert without_reasoning(answer) == (text, True)
    read = read_answer(AIMessage(answer))
    assert (read.text, read.reasoning_removed) == (text, True)


@pytest.mark.parametrize("answer", PLAIN)
def test_what_is_no_reasoning_stays(answer: str) -> None:
    assert without_reasoning(answer) == (answer, False)


def pieces_of(text: str, draw: random.Random) -> list[str]:
    cuts = sorted(draw.sample(range(len(text) + 1), k=min(len(text), draw.randint(0, 8))))
    return [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]


def streamed(pieces: Sequence[str], **how: bool) -> str:
    shown = VisibleText(**how)
    return "".join([*map(shown.feed, pieces), shown.rest()])


@pytest.mark.parametrize(("answer", "text"), [*TAGGED, *((plain, plain) for plain in PLAIN)])
def test_a_stream_shows_what_the_whole_answer_holds(answer: str, text: str) -> None:
    draw = random.Random(answer)
    for _ in range(50):
        assert streamed(pieces_of(answer, draw)) == text
    assert streamed(list(answer)) == text


@pytest.mark.parametrize(("answer", "text"), [*TAGGED, *UNMARKED])
def test_a_stream_that_is_held_shows_no_unmarked_reasoning(answer: str, text: str) -> None:
    shown = VisibleText(hold=True)
    assert [shown.feed(letter) for letter in answer] == [""] * len(answer)
    assert (shown.rest(), shown.removed) == (text, True)


def test_reasoning_that_the_prompt_opened() -> None:
    assert ends_inside_reasoning("<|user|>Hi<|assistant|><think>\n")
    assert not ends_inside_reasoning("<|user|>what is <think>?<|assistant|>")
    assert without_reasoning("Hm.</think>Fine.", inside=True) == ("Fine.", True)
    assert without_reasoning("Hm, so", inside=True) == ("", True)
    assert without_reasoning("<think>Hm.</think>Fine.", inside=True) == ("Fine.", True)
    assert streamed(["Hm.</th", "ink>\nFi", "ne."], inside=True) == "Fine."
    assert streamed(["Hm, so"], inside=True) == ""


BLOCKS: list[list[Any]] = [
    # Anthropic
    [
        {"type": "thinking", "thinking": "Hm.", "signature": "x"},
        {"type": "redacted_thinking", "data": "x"},
        {"type": "text", "text": "Fine."},
    ],
    # LangChain's own, OpenAI's Responses API
    [
        {"type": "reasoning", "reasoning": "Hm."},
        {"type": "reasoning", "summary": [{"type": "summary_text", "text": "Hm."}]},
        {"type": "text", "text": "Fine.", "annotations": []},
    ],
    # Google: thought parts, raw and as langchain-google-genai gives them
    [{"text": "Hm.", "thought": True}, {"type": "thinking", "thinking": "Hm."}, "Fine."],
    # Mistral
    [
        {"type": "thinking", "thinking": [{"type": "text", "text": "Hm."}]},
        {"type": "text", "text": "Fine."},
    ],
    # Bedrock
    [
        {"type": "reasoning_content", "reasoning_content": {"text": "Hm."}},
        {"type": "text", "text": "Fine."},
    ],
]


@pytest.mark.parametrize("blocks", BLOCKS)
def test_reasoning_in_blocks_is_no_part_of_an_answer(blocks: list[Any]) -> None:
    read = read_answer(AIMessage(blocks))
    assert (read.text, read.reasoning_removed) == ("Fine.", True)


@pytest.mark.parametrize("name", ["reasoning_content", "reasoning"])
def test_reasoning_in_a_field_of_its_own(name: str) -> None:
    read = read_answer(AIMessage("Fine.", additional_kwargs={name: "Hm."}))
    assert (read.text, read.reasoning_removed) == ("Fine.", True)
    assert read_answer(AIMessage("", additional_kwargs={name: "Hm."})).text == ""


@pytest.mark.parametrize(
    ("metadata", "reason"),
    [
        ({"finish_reason": "length"}, LENGTH),  # OpenAI, llama.cpp, vLLM
        ({"finish_reason": "model_length"}, LENGTH),  # Mistral
        ({"finish_reason": "MAX_TOKENS"}, LENGTH),  # Google
        ({"finish_reason": "FinishReason.MAX_TOKENS"}, LENGTH),
        ({"stop_reason": "max_tokens"}, LENGTH),  # Anthropic
        ({"stop_reason": "model_context_window_exceeded"}, LENGTH),
        ({"stopReason": "max_tokens"}, LENGTH),  # Bedrock
        ({"done_reason": "length", "done": True}, LENGTH),  # Ollama
        ({"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}}, LENGTH),
        ({"status": "completed", "incomplete_details": None}, "stop"),
        ({"finish_reason": "stop"}, "stop"),
        ({"stop_reason": "end_turn"}, "stop"),
        ({"finish_reason": "STOP"}, "stop"),
        ({"finish_reason": "content_filter"}, WITHHELD),
        ({"stop_reason": "refusal"}, WITHHELD),
        ({"finish_reason": "SAFETY"}, WITHHELD),
        ({"finish_reason": "tool_calls"}, "tool_calls"),
        ({}, None),
        ({"finish_reason": None}, None),
    ],
)
def test_why_an_answer_ended(metadata: dict[str, Any], reason: str | None) -> None:
    assert finish_reason(metadata) == reason
    read = read_answer(AIMessage("x", response_metadata=metadata))
    assert (read.cut, read.withheld) == (reason == LENGTH, reason == WITHHELD)


@pytest.mark.parametrize(
    ("text", "whole"),
    [
        ("It is bright. I like how it", "It is bright."),
        ("It is bright.", "It is bright."),
        ('"No!" he said. "And th', '"No!" he said.'),
        ('He said "No!" And th', 'He said "No!"'),
        ("Lovely!! Slept like a lo", "Lovely!!"),
        ("Dr. Smith came. Mr. Jo", "Dr. Smith came."),
        ("We went. We have e.g. lam", "We went."),
        ("We went. It costs 3.", "We went."),
        ("It costs 3.50 a day. Or", "It costs 3.50 a day."),
        ("明るいです。とても好", "明るいです。"),
        ("One line\nTwo lines\nThree li", "One line\nTwo lines"),
        ("I like how it", "I like how"),
        ("Lamp", "Lamp"),
        ("", ""),
    ],
)
def test_a_cut_text_ends_at_its_last_whole_sentence(text: str, whole: str) -> None:
    assert whole_sentences(text) == whole


@pytest.mark.parametrize(
    ("title", "whole"), [("A lamp for lo", "A lamp for"), ("Bright, w", "Bright"), ("Lamp", "Lamp")]
)
def test_a_cut_title_ends_at_its_last_whole_word(title: str, whole: str) -> None:
    assert whole_words(title) == whole
