from __future__ import annotations

import re
from pathlib import Path

import pytest

from notifier.sandbox import SandboxConfig, SandboxConfigError, create_app, load_config, practice_config

DOCS = Path(__file__).parents[3] / "docs" / "sandbox.md"


def test_the_documented_file_loads(tmp_path: Path) -> None:
    text = re.search(r"```toml\n(.*?)```", DOCS.read_text(encoding="utf-8"), re.DOTALL)
    assert text is not None
    path = tmp_path / "sandbox.toml"
    path.write_text(text[1], encoding="utf-8")
    config = load_config(path)
    assert (config.seed, config.batch_size, config.ladder.delivered, config.ladder.read) == (7, 200, 0.3, 0.4)
    assert config.numbers[0].webhook_url == "http://127.0.0.1:8000/receipts/meta"
    assert config.twilio[0].senders == {"+15005550006": 10}


def test_a_configuration_survives_json(tmp_path: Path) -> None:
    path = tmp_path / "sandbox.json"
    path.write_text(practice_config().model_dump_json(), encoding="utf-8")
    assert load_config(path) == practice_config()


@pytest.mark.parametrize(
    "text, told",
    [
        ('{"numbers": [{"phone_number_id": "1", "token": "geheim"}]}', "numbers.0.waba_id: Field required"),
        ('{"sed": 1}', "sed: Extra inputs are not permitted"),
        ('{"batch_size": 1001}', "batch_size: "),
        ("{", "not json"),
    ],
    ids=["missing", "unknown", "range", "syntax"],
)
def test_a_wrong_file_is_refused_with_file_and_field_and_without_values(tmp_path: Path, text: str, told: str) -> None:
    path = tmp_path / "sandbox.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(SandboxConfigError) as raised:
        load_config(path)
    assert str(path) in str(raised.value)
    assert told in str(raised.value)
    assert "geheim" not in str(raised.value)


def test_a_missing_file_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(SandboxConfigError, match=r"cannot be read \(No such file or directory\)"):
        load_config(tmp_path / "none.toml")


def test_secrets_do_not_show() -> None:
    shown = repr(practice_config())
    assert "sandbox-token" not in shown
    assert "sandbox-app-secret" not in shown
    assert "sandbox-auth-token" not in shown


def test_a_template_that_meta_would_refuse_stops_the_start() -> None:
    with pytest.raises(SandboxConfigError, match=r"templates\[0\]: \(#100\) name may hold"):
        create_app(SandboxConfig(templates=({"waba_id": "w", "name": "Bad Name"},)))
