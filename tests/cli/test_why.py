"""`why`: reads only the database, and prints text for people and JSON for scripts."""

import json


def test_why_shows_the_explanation_without_any_secret(balancebot, config):
    outcome = balancebot("why", "acme/checkout:industry")

    assert (0, "") == (outcome.status, outcome.err)
    assert outcome.out.startswith("acme/checkout:industry: unknown, not read yet\n  Reading  Never read.\n")


def test_why_as_json_has_the_fields_of_status_and_the_rest_of_the_explanation(balancebot, config):
    answer = json.loads(balancebot("why", "acme/checkout", "--json").out)
    status = json.loads(balancebot("status", "acme/checkout", "--json").out)

    assert ["universal", "voice", "industry", "market"] == [
        balance["category"] for balance in answer["balances"]
    ]
    for balance, shown in zip(answer["balances"], status["balances"], strict=True):
        assert shown.items() <= balance.items()
        assert "first_reading" == balance["outlook"][0]["kind"]
        assert {"warning_days": "built in", "critical_days": "built in"} == balance["origins"]


def test_why_refuses_an_unknown_wallet(balancebot, config):
    outcome = balancebot("why", "acme/chekout")

    assert (2, "") == (outcome.status, outcome.out)
    assert "BALANCE there is no wallet acme/chekout; did you mean acme/checkout?\n" == outcome.err
