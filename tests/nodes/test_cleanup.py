"""What is taken off a model's answer, and what never is."""

import pytest
from patlm.nodes.cleanup import is_refusal, unquoted, without_preamble
from patlm.nodes.integrate import read_draft
from patlm.nodes.state import Request

TEXT = "I have had it for a year. It does what it says, quietly!"
TITLE = "Warm at last, and it does not scratch"
LONG = Request(user_id="ana", task="long", title=TITLE)


@pytest.mark.parametrize(
    "answer",
    [
        # a next turn that the model invented, as it did where it might not end yet
        "{}\nHuman: Can you tell me more about the desk?",
        "{}\n\nHuman: Thanks!\nAssistant: You are welcome.",
        # introductions on a line of their own
        "Sure, here is a short review:\n\n{}",
        "Sure! Here's a short personal text with the title you asked for:\n\n{}",
        "Certainly! Below is a draft in their style:\n{}",
        "Of course! Here is the reply:\n\n{}",
        "Of course!\n\n{}",
        "Sure.\n{}",
        "Absolutely, here's your review:\n\n{}",
        "Okay, here is the revised version, with more exclamation marks:\n\n{}",
        "Got it! Here you go:\n\n{}",
        "Great! Here is what you asked for:\n\n{}",
        "Here is a review of about 80 words:\n\n{}",
        "Here's the revised draft:\n\n{}",
        "Here is the email:\n\n{}",
        "Below is the text:\n\n{}",
        "This is a possible version:\n\n{}",
        "The following is a short review in the style of the person:\n\n{}",
        "I've written a short review for you:\n\n{}",
        "Based on the style above, here is a review: {}",
        "As requested, here is a short text: {}",
        "I'd be happy to help! Here is a review that fits:\n\n{}",
        # on the same line
        "Sure, here's a short personal text: {}",
        'Here is a review titled "Warm at last": {}',
        "Here's a short text: {}",
        # other languages
        "Claro! Aqui está o texto:\n\n{}",
        "¡Claro! Aquí tienes una reseña:\n\n{}",
        "Natürlich! Hier ist ein kurzer Text:\n\n{}",
        "Bien sûr ! Voici un texte court :\n\n{}",
        "Certo, ecco una breve recensione:\n\n{}",
        "Voici un court texte :\n\n{}",
        # quotation marks, fences, rules, headings
        '"{}"',
        "“{}”",
        "«{}»",
        '"""{}"""',
        "'{}'",
        "```\n{}\n```",
        "```text\n{}\n```",
        "---\n\n{}\n\n---",
        "***\n{}",
        "**Review:**\n\n{}",
        "**Review**: {}",
        "Review:\n{}",
        "## Draft\n\n{}",
        f"# {TITLE}\n\n{{}}",
        f"**{TITLE}**\n\n{{}}",
        f"Title: {TITLE}\n\n{{}}",
        f'"{TITLE}"\n\n{{}}',
        f"{TITLE}\n\n{{}}",
        # goodbyes
        "{}\n\nLet me know if you'd like any changes!",
        "{}\n\nFeel free to adjust it to your needs.",
        "{}\n\nI hope this captures their style!",
        "{}\n\n(Word count: 12)",
        "{}\n\n*Word count: 12*",
        "{}\n\n(12 words)",
        "{}\n\nNote: This review is written in the person's style.",
        # several at once
        'Sure, here is a review:\n\n---\n\n"{}"\n\n---\n\nLet me know if you need more!',
        f'Certainly! Here is a review:\n\n**{TITLE}**\n\n"{{}}"',
        "Sure!\n\n```\nReview:\n{}\n```",
    ],
)
def test_what_a_model_says_about_the_text_is_no_part_of_it(answer: str) -> None:
    assert without_preamble(answer.format(TEXT), TITLE) == TEXT


@pytest.mark.parametrize(
    "text",
    [
        "Human: a word that my cat does not know.",
        "They say\nhuman: noun, one who reads manuals.",
        TEXT,
        "Sure, it is not cheap: 40 euros. But it holds.",
        "Sure! I have had it for a year: it holds.",
        "Great! The room was clean.\n\nThe breakfast: cold.",
        "Great:\n- the pool\n- the staff",
        "Okay, here is the story: it broke on day two.",
        "Great, here is the lamp: I love it.",
        "Of course I bought it: my sister has one.",
        "Here is what I liked:\n\n- the pool\n- the staff",
        "Here is what I think: it is too dear.",
        "Here is my review: great lamp, poor switch.",
        "Here's my review:\n\nGreat lamp.",
        "Here is the thing: it broke.",
        "Here is the message: don't buy it.",
        "Here's a message I got from the seller: no refund.",
        "This is the answer to all my problems: a lamp.",
        "This is a great lamp: bright and cheap.",
        "Below is a list of faults: none.",
        "Review: five stars from me, and from the cat.",
        "Note: this lamp is small.",
        "Text: too small on the label.",
        "Title aside, I liked the book: it has maps.",
        "Voici le problème : il fait du bruit.",
        "Claro que sí: lo compraría otra vez.",
        "Hier ist der Haken: er quietscht.",
        '"Fine" is the word for it.',
        '"Fine" she said, and then "no".',
        "“Fine” is one word, and “cheap” is another, said “Bo”",
        "'Twas a fine night, and the lamp didn't flicker.",
        "'Fine' is what they call it; I'd say 'dear'",
        'The clerk said "no"',
        "The pool:\n---\nThe room:\n---\nBoth fine.",
        "I hope this helps somebody!",
        "The lamp is fine.\n\nI hope this helps!",
        "The lamp is fine.\n\nFeel free to ask me about it.",
        "The lamp is fine.\n\nLet me know how yours does.",
        "The lamp is fine.\n\nNote: the bulb is not included.",
        "Use it as\n\n```\nlamp --on\n```\n\nand it glows.",
        "A lamp.\nWarm at last, and it does not scratch",
        "- quiet\n- cheap\n- ours",
        "*** Five stars ***",
        "Dear Ana,\n\nthank you: the lamp came.\n\nBest, Bo",
        "Re: your lamp\n\nIt came.",
        "1) quiet\n2) cheap",
        "部屋はとても清潔で：駅から近い。",
    ],
)
def test_a_text_that_a_person_may_have_written_stays_whole(text: str) -> None:
    assert without_preamble(text, TITLE) == text


def test_an_introduction_without_a_text_is_left() -> None:
    assert without_preamble("Sure, here is a short review:") == "Sure, here is a short review:"
    assert without_preamble(TITLE, TITLE) == TITLE
    assert without_preamble("---") == "---"


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ('"We loved it and', "We loved it and"),  # broken off by its length
        ('"We loved "it" and', '"We loved "it" and'),
        ('"He said "no" to me."', 'He said "no" to me.'),
        ("'I don't mind the dogs.'", "I don't mind the dogs."),
        ('""', ""),
        ('"', ""),
        ("", ""),
    ],
)
def test_quotation_marks_go_only_where_they_are_a_pair_around_the_whole(
    text: str, left: str
) -> None:
    assert unquoted(text) == left


@pytest.mark.parametrize(
    "answer",
    [
        "I'm sorry, but I can't assist with that request. Please let me know.",
        "I am sorry, I cannot help you with this.",
        "Sorry, I can’t fulfill your request.",
        "As an AI language model, I can't write reviews with such content.",
        "I apologize, but I am unable to provide a review of this text.",
        "Unfortunately, I cannot comply with that request.",
    ],
)
def test_a_refusal_is_known(answer: str) -> None:
    assert is_refusal(answer)
    draft, flaw = read_draft(answer, LONG)
    assert draft == answer and flaw is not None and flaw.startswith("refused")


@pytest.mark.parametrize(
    "answer",
    [
        "I can't help but smile at this lamp.",
        "I'm sorry to say that it broke on day two.",
        "Sorry, I can't make it on Saturday, but have fun.",
        "I cannot write a bad word about this place.",
        "Unfortunately, I can't recommend this kettle.",
        "I can't complete my collection without it.",
        "I'm sorry, but I can't help you with the move on Saturday.",
    ],
)
def test_what_people_write_is_no_refusal(answer: str) -> None:
    assert not is_refusal(answer)
    assert read_draft(answer, LONG)[1] is None
