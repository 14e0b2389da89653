"""The choice among several drafts: what agrees most, and what is certainly wrong."""

import pytest
from patlm.nodes.drafts.choice import Candidate, Judgement, Material, judge, overlap
from patlm.nodes.guards.drafts import Guard, spoken_words
from rouge_score.rouge_scorer import RougeScorer

TEXTS = (
    "The strap tore in its second week, and the shop sent a new one.",
    "A new strap came from the shop in the second week. The strap tore again!",
    "the the the strap strap",
    "It rained.",
    "",
    " ".join(f"w{number % 37}" for number in range(300)),
    " ".join(f"w{number % 41}" for number in range(200)),
)
GOOD = "I took it up the hill and it held. My knees were dry."


def best(*drafts: str, **material: object) -> str:
    judged = judge([Candidate(each, each) for each in drafts], Material(**material))  # type: ignore[arg-type]
    return drafts[max(range(len(drafts)), key=lambda place: judged[place].score)]


def faults(text: str, *, candidate: Candidate | None = None, **material: object) -> tuple[str, ...]:
    given = candidate or Candidate(text, text)
    return judge([given], Material(**material))[0].faults  # type: ignore[arg-type]


@pytest.mark.parametrize("one", TEXTS)
@pytest.mark.parametrize("other", TEXTS)
def test_the_agreement_of_two_texts_is_their_rouge_score(one: str, other: str) -> None:
    found = RougeScorer(["rouge1"]).score(one, other)["rouge1"].fmeasure
    assert overlap(spoken_words(one), spoken_words(other)) == pytest.approx(found)


def test_kept_is_what_agrees_most_with_the_other_drafts() -> None:
    odd = "Llamas hum at night."
    near = "I took it up the hill and my knees were dry."
    assert best(odd, GOOD, near, "It held up the hill, and my knees stayed dry.") in (GOOD, near)


def test_kept_is_what_agrees_most_with_what_others_wrote() -> None:
    two = ("The strap tore at once.", "Llamas hum at night.")
    others = ["The strap of mine tore, too."]
    assert best(*two, others=others) == two[0] and best(*two[::-1], others=others) == two[0]


def test_of_equal_drafts_the_first_is_kept() -> None:
    first, second = judge([Candidate(GOOD), Candidate(GOOD)], Material())
    assert first.score == second.score == 1.0


def test_a_draft_alone_agrees_with_nothing() -> None:
    (alone,) = judge([Candidate(GOOD)], Material())
    assert (alone.drafts, alone.evidence, alone.score) == (None, None, 0.0)


@pytest.mark.parametrize("fault", ["one", "two"])
def test_a_draft_with_fewer_faults_is_better_however_little_it_agrees(fault: str) -> None:
    assert Judgement(0.0, 0.0).score > Judgement(1.0, 1.0, (fault,)).score - 1e-9
    assert Judgement(0.0, 0.0, (fault,)).score >= Judgement(1.0, 1.0, (fault, "more")).score


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "form"),
        ("It is good. It held the whole night. I say it held the whole night.", "again"),
        ("It held, and I slept. Thanks for letting me know about this tent!", "talk"),
        ("It held the night. Feel free to ask me for more.", "talk"),
        ("I'm so glad you bought this tent. It held the night.", "talk"),
        ("I am writing this post in the voice of a ghostwriter. It held.", "talk"),
        ("It held.\n\n### The drawbacks\nIt is heavy.", "headings"),
        ("It held.\n\n**The drawbacks**\nIt is heavy.", "headings"),
    ],
)
def test_what_is_certainly_wrong_is_a_fault(text: str, fault: str) -> None:
    assert faults(text) == (fault,)


@pytest.mark.parametrize(
    "text",
    [
        GOOD,
        "Buy it. Buy it now. Buy it twice.",
        "What I like: the zip. I feel free to ask for more of it.",
        "My wife was glad that I let her know. What do you think?",
    ],
)
def test_what_a_person_may_write_is_none(text: str) -> None:
    assert faults(text, notes=["A tent; dry; the zip sticks."]) == ()


def test_a_mail_may_speak_to_somebody_and_who_uses_headings_may_have_them() -> None:
    thanks, headed = "Thanks for letting me know. I come.", "It held.\n\n# The rain\nNone."
    assert faults(thanks, task="free") == faults(headed, task="free") == ()
    assert (
        faults(thanks, own=["Thanks for sharing!"]) == faults(headed, own=["# Rain\nA lot."]) == ()
    )


@pytest.mark.parametrize(("words", "fault"), [(26, ()), (27, ("length",)), (0, ())])
def test_far_shorter_than_expected_is_a_fault(words: int, fault: tuple[str, ...]) -> None:
    assert len(GOOD.split()) == 13
    assert faults(GOOD, words=words) == fault


@pytest.mark.parametrize(("words", "fault"), [(7, ()), (6, ("length",))])
def test_and_so_is_far_longer(words: int, fault: tuple[str, ...]) -> None:
    assert faults(GOOD, words=words) == fault


def test_what_is_in_no_usable_form_or_cut_is_a_fault() -> None:
    assert faults("", candidate=Candidate("I refuse", "I refuse", flaw=True)) == ("form",)
    assert faults("", candidate=Candidate("It held.", "It held. And", cut=True)) == ("cut",)


def test_runs_of_others_of_own_texts_and_of_the_notes_are_faults() -> None:
    run = "the heron on the pier looked at me as if I owed it money"
    text = f"We came late. So {run}."
    assert faults(text, guard=Guard(8, others=[f"And {run}!"])) == ("others",)
    assert faults(text, own=[f"And {run}!"]) == ("own",)
    assert faults(text, notes=[f"{run}; it is wet"]) == ("notes",)
    assert faults(text, own=[run], request=[f"Write that {run}"]) == ()


def test_a_label_of_the_notes_is_a_fault() -> None:
    notes = ["What it is: a desk that goes up; What they like: the motor."]
    assert faults("What it is: my desk. It goes up and down.", notes=notes) == ("notes",)
    assert faults("My desk: it goes up and down.", notes=notes) == ()


def test_ratings_agree_by_their_distance() -> None:
    drafts = [Candidate(each) for each in ("5", "4", "1")] + [Candidate("great", flaw=True)]
    found = [each.score for each in judge(drafts, Material(task="rating"))]
    assert found.index(max(found)) == 1 and found[3] < 0
