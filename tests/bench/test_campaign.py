"""`patlm bench campaign`: what is promised of planted texts holds for every cell."""

from patlm.bench.campaign import CAMPAIGNS, EQUAL, HONEST, PLANTED, measure_campaigns, near_copies
from store_fixtures import style_encoder, topic_encoder


def test_what_is_promised_holds() -> None:
    found = measure_campaigns(style_encoder(), topic_encoder(), accounts=(1, 8), real=(0, 2), k=4)
    rows = {(row["campaign"], row["real"], row["accounts"]): row for row in found}
    assert len(rows) == len(CAMPAIGNS) * 4
    for (name, real, accounts), row in rows.items():
        if name != "distinct":
            # One voice: alone it is no preference, beside two it has a third; many texts of one
            # account have half at most.
            most = max(1, real) if name.startswith("one account") and accounts > 1 else 1
            assert row["planted"] <= most and row["pieces"] <= real + most
            assert row["abstains"] == (real == 0)
            assert row["carries"] == (real > 0)
    # Accounts with texts of their own are people.
    assert rows["distinct", 0, 8]["share"] == 1.0
    assert not rows["distinct", 0, 8]["abstains"] and rows["distinct", 0, 1]["abstains"]


def test_planted_texts_are_what_they_are_called() -> None:
    copies = near_copies(16)
    assert len(set(copies)) == 16 and copies[0] == EQUAL
    assert all(PLANTED in copy for copy in copies)
    assert not any(PLANTED in text for text in HONEST)
