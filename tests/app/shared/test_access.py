"""Who gets in where the app is shared."""

from __future__ import annotations

from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from explorer.app.shared.password import PASSWORD, PASSWORD_FILE, Guesses, password_of
from explorer.errors import InputError
from explorer.library.workplace import STORE_VARIABLE

APP = Path(__file__).resolve().parents[3] / "streamlit_app.py"


def visit(monkeypatch: pytest.MonkeyPatch, store: str) -> AppTest:
    monkeypatch.setenv(STORE_VARIABLE, store)
    return AppTest.from_file(str(APP), default_timeout=60).run()


def titles(app: AppTest) -> list[str]:
    return [title.value for title in app.title]


def guess(app: AppTest, password: str) -> AppTest:
    app.text_input[0].set_value(password)
    return app.button[0].click().run()


def test_without_a_password_the_app_is_open(monkeypatch, filled):
    monkeypatch.delenv(PASSWORD, raising=False)
    monkeypatch.delenv(PASSWORD_FILE, raising=False)
    assert "Space" in titles(visit(monkeypatch, filled.url))


def test_only_the_password_opens(monkeypatch, filled, tmp_path):
    (tmp_path / "password").write_text("grün-42 \nsecond line\n")
    monkeypatch.setenv(PASSWORD_FILE, str(tmp_path / "password"))
    app = visit(monkeypatch, filled.url)
    for wrong in ("", "grün", "grün-42x", "second line", "é" * 200):
        assert titles(app) == ["Architecture explorer"]
        assert not app.metric
        assert not app.get("plotly_chart")
        app = guess(app, wrong) if wrong else app
        assert not app.exception
    assert app.error[0].value.startswith("This is not the password.")
    app = guess(app, "grün-42")
    assert "Space" in titles(app)
    assert "Space" in titles(app.run())
    # Another password shuts out who knew the old one.
    monkeypatch.setenv(PASSWORD, "new")
    assert titles(app.run()) == ["Architecture explorer"]


def test_a_password_file_that_is_gone_closes_the_app(monkeypatch, filled, tmp_path):
    monkeypatch.setenv(PASSWORD_FILE, str(tmp_path / "none"))
    app = visit(monkeypatch, filled.url)
    assert titles(app) == []
    assert "The app is closed" in app.error[0].value


def test_where_the_password_comes_from(tmp_path):
    file = tmp_path / "password"
    assert password_of({}) == ""
    assert password_of({PASSWORD: "a", PASSWORD_FILE: str(file)}) == "a"
    for text in ("", "\n", "  \nx"):
        file.write_text(text)
        with pytest.raises(InputError, match=PASSWORD_FILE):
            password_of({PASSWORD_FILE: str(file)})
    for raw, rule in (
        (b"\xff\xfe\x00", "be valid UTF-16-LE"),
        (b"secr\xe9t\n", "be valid UTF-8"),
        (b"secret\0\n", "NUL characters"),
        (b"secret\n" + b"x" * 2**16, "have at most 65,536 bytes"),
        (b"\x1f\x8bsecret", "not compressed"),
    ):
        file.write_bytes(raw)
        with pytest.raises(InputError, match=f"{PASSWORD_FILE} must name a text file.*{rule}") as caught:
            password_of({PASSWORD_FILE: str(file)})
        assert "secr" not in str(caught.value), "a message may be seen by others"
    with pytest.raises(InputError, match="be a plain file"):
        password_of({PASSWORD_FILE: str(tmp_path)})
    file.write_bytes("geheim\r\nnotes".encode("utf-16"))
    assert password_of({PASSWORD_FILE: str(file)}) == "geheim"


def test_a_password_can_be_typed(tmp_path):
    """A mark of the byte order is no part of it, and what is longer than the field is refused."""
    file = tmp_path / "password"
    file.write_bytes("\ufeffgrün\n".encode())
    assert password_of({PASSWORD_FILE: str(file)}) == "grün"
    for stated in ({PASSWORD: "x" * 257}, {PASSWORD_FILE: str(file)}):
        file.write_text("x" * 257)
        with pytest.raises(InputError, match="256 characters"):
            password_of(stated)


def test_guesses_are_few():
    guesses = Guesses(tries=3, pause_s=10.0)
    assert [guesses.check(word, "right", 0.0) for word in ("a", "right", "b", "c")] == [False, True, False, False]
    assert guesses.wait_s(0.0) == 0.0
    assert not guesses.check("d", "right", 1.0)
    assert guesses.wait_s(2.0) == 9.0
    assert not guesses.check("right", "right", 10.9)
    assert guesses.check("right", "right", 11.0)
    assert not guesses.check("\ud800", "right", 12.0)
