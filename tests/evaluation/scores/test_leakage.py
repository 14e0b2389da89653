from patlm.evaluation.scores.leakage import LeakCheck, Leaks, shown
from store_fixtures import text

REAL = "one two three four five six seven eight nine ten eleven twelve thirteen"
CHECK = LeakCheck([text("ann", "t", REAL), text("bob", "t", f"zero {REAL[8:]} fourteen")])


def look(prompt: str, real: str = REAL, asked: str = "", user: str = "ann") -> Leaks | None:
    return CHECK.look(real, asked, user, [prompt])


def test_twelve_words_in_a_row_are_a_leak_and_eleven_are_none() -> None:
    words = REAL.split()
    assert look("x " + " ".join(words[:11])) == Leaks(0, 0)
    assert look("x " + " ".join(words[:12])) == Leaks(1, 0)
    assert look(REAL, user="nobody") == Leaks(0, 2)


def test_signs_and_case_hide_nothing() -> None:
    assert look(f"- «{REAL.upper().replace(' ', ', ')}»") == Leaks(2, 0)


def test_the_whole_of_a_shorter_text_and_none_of_a_short_one() -> None:
    nine = " ".join(REAL.split()[:9])
    assert look(f"so {nine} it", nine) == Leaks(1, 0)
    assert look(f"so {nine[:-3]} it", nine) == Leaks(0, 0)
    assert look(f"so {nine} it", " ".join(REAL.split()[:7])) is None


def test_runs_of_the_request_and_of_others_are_no_leaks() -> None:
    assert look(REAL, asked=REAL) == Leaks(0, 0)
    bobs = " ".join(REAL.split()[2:])  # eleven of these words are bob's, too
    real = f"{bobs} fourteen"
    assert look(real, real) == Leaks(0, 1)


def test_a_short_text_that_the_request_holds_is_no_leak() -> None:
    nine = " ".join(REAL.split()[:9])
    assert look(f"so {nine} it", nine, asked=f"It says {REAL}") == Leaks(0, 0)


def test_every_turn_is_looked_at() -> None:
    calls = [{"messages": [{"role": "system", "content": "a"}, {"role": "user", "content": "b"}]}]
    assert shown(calls) == ["a", "b"]
