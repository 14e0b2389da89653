"""Settings of a call, repeats, text as it comes, stop strings: the parts of one row."""

import pytest
from patlm.models.errors import CallRefused
from patlm.models.local.rows import Row
from patlm.models.local.sampling import RepeatGuard, Sampling, StopStrings, TextPieces
from raising import raises
from tiny_models import tiny_tokenizer

END = 257


def row(sampling: Sampling, shown: list[str] | None = None, **kwargs: object) -> Row:
    tokenizer = tiny_tokenizer()
    return Row(
        [1, 2, 3],
        sampling,
        decode=lambda ids: str(tokenizer.decode(ids, skip_special_tokens=True)),
        end_ids=frozenset({END}),
        on_text=None if shown is None else shown.append,
        **kwargs,  # type: ignore[arg-type]
    )


def ids_of(text: str) -> list[int]:
    return list(tiny_tokenizer()(text, add_special_tokens=False)["input_ids"])


def push_all(target: Row, ids: list[int]) -> None:
    for token_id in ids:
        if target.push(token_id):
            return


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"max_tokens": 0}, "invalid_option"),
        ({"min_tokens": -1}, "invalid_option"),
        ({"temperature": -1}, "invalid_option"),
        ({"top_p": 0}, "invalid_option"),
        ({"tools": []}, "unknown_option"),
    ],
)
def test_bad_options_are_refused_by_name(options: dict[str, object], code: str) -> None:
    with raises(CallRefused, code, *options):
        Sampling().for_call(options, None)


def test_options_of_a_call_go_over_defaults() -> None:
    defaults = Sampling(max_tokens=48, seed=1)
    call = defaults.for_call({"temperature": 0.5, "seed": None, "adapter": "base"}, ["\n"])
    assert (call.max_tokens, call.temperature, call.seed, call.stop) == (48, 0.5, 1, ("\n",))
    assert call.adapter is None
    assert Sampling().for_call({"stop": "END"}, None).stop == ("END",)


def test_a_repeated_ngram_is_banned_at_its_last_token() -> None:
    guard = RepeatGuard(3)
    for token_id in (1, 2, 3, 9, 1, 2):
        guard.add(token_id)
    assert guard.banned() == [3]  # 1 2 3 was written
    guard.add(4)
    assert guard.banned() == []  # nothing was written after 2 4


def test_pieces_wait_for_whole_characters() -> None:
    tokenizer = tiny_tokenizer()
    pieces = TextPieces(lambda ids: str(tokenizer.decode(ids)))
    # "é" is two bytes, hence two tokens: nothing can be shown after the first.
    assert [pieces.add(token_id) for token_id in ids_of("éa")] == ["", "é", "a"]
    assert pieces.add(ids_of("é")[0]) == ""
    assert pieces.rest() == "\ufffd"


def test_stop_strings_across_pieces() -> None:
    stops = StopStrings(["###", "\n\n"])
    assert stops.feed("one #") == ("one ", False)  # "#" may open "###"
    assert stops.feed("1\n") == ("#1", False)  # it did not; now "\n" may
    assert stops.feed("\nrest") == ("", True)
    assert StopStrings([]).feed("all of it") == ("all of it", False)


def test_text_held_back_comes_out_at_the_end() -> None:
    shown: list[str] = []
    target = row(Sampling(stop=("###",)), shown)
    push_all(target, [*ids_of("so #"), END])
    answer = target.future.result(timeout=0)
    assert (answer.text, answer.finish_reason, len(answer.prompt_ids)) == ("so #", "stop", 3)
    assert answer.token_ids[-1] == END and "".join(shown) == "so #"


def test_max_tokens_and_stop_strings_end_a_row() -> None:
    short, stopped = row(Sampling(max_tokens=2)), row(Sampling(stop=("b",)))
    push_all(short, ids_of("abc"))
    push_all(stopped, ids_of("abc"))
    assert short.future.result(timeout=0).finish_reason == "length"
    assert short.future.result(timeout=0).text == "ab"
    assert stopped.future.result(timeout=0).text == "a"
