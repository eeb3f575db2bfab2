"""`.env` files."""

from __future__ import annotations

from pathlib import Path

import pytest

from longwave.config.dotenv import env_file_names, parse_env, read_env_files
from longwave.errors import ConfigError


def values(text: str) -> dict[str, str]:
    return {name: variable.value for name, variable in parse_env(text, ".env").items()}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("A=1", {"A": "1"}),
        ("A = 1 \n", {"A": "1"}),
        ("A=", {"A": ""}),
        ("A=\nB=2", {"A": "", "B": "2"}),
        ("\n\n# comment\n  # another\nA=1", {"A": "1"}),
        ("export A=1\nexport\tB=2", {"A": "1", "B": "2"}),
        ("A=1 # why", {"A": "1"}),
        ("A=one two", {"A": "one two"}),
        ("A='one # two' # three", {"A": "one # two"}),
        ('A="one # two"', {"A": "one # two"}),
        ('A=`it\'s "so"`', {"A": 'it\'s "so"'}),
        ('A="a\\nb\\t\\"c\\" \\\\ \\d"', {"A": 'a\nb\t"c" \\ \\d'}),
        ("A='a\\nb'", {"A": "a\\nb"}),
        ('KEY="-----BEGIN\nabc\n-----END"\nB=2', {"KEY": "-----BEGIN\nabc\n-----END", "B": "2"}),
        ("A=1\r\nB='x'\r\n", {"A": "1", "B": "x"}),
        ("A=x=y", {"A": "x=y"}),
        ("A=1\nA=2", {"A": "2"}),
        ("A.B-c=1", {"A.B-c": "1"}),
        ("", {}),
    ],
)
def test_parse(text: str, expected: dict[str, str]) -> None:
    assert values(text) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("A=1\nnonsense", r"\.env, line 2: expected NAME=value, found 'nonsense'"),
        ("=1", r"\.env, line 1: expected NAME=value, found '=1'"),
        ("1A=x", "line 1: expected NAME=value"),
        ('\n\nA="open\nB=2', 'line 3: expected a closing ", found the end of the file'),
        ("A='x' y", "line 1: expected the end of the line after ', found 'y'"),
    ],
)
def test_a_line_that_is_no_assignment_names_file_and_line(text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parse_env(text, ".env")


def test_an_error_shows_only_the_start_of_a_line() -> None:
    with pytest.raises(ConfigError) as caught:
        parse_env("sk_live_0123456789abcdef", ".env")
    assert "0123456789" not in str(caught.value)


def test_later_files_win_and_the_real_environment_wins_over_all(tmp_path: Path) -> None:
    for index, name in enumerate(env_file_names("staging")):
        (tmp_path / name).write_text(f"LAST={index}\nREAL=file\nONLY_{index}=1\n")
    read = read_env_files(tmp_path, "staging", {"REAL": "process"})
    assert read.values == {"LAST": "3", "ONLY_0": "1", "ONLY_1": "1", "ONLY_2": "1", "ONLY_3": "1"}
    assert read.sources["LAST"] == ".env.staging.local"
    assert read.sources["ONLY_1"] == ".env.local"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("A=1\nB=${A}2", "12"),
        ("A=1\nB=$A/x", "1/x"),
        ('A=1\nB="<${A}>"', "<1>"),
        ("A=1\nB='${A}'", "${A}"),
        ("B=${A}\nA=later", "later"),
        ("B=${HOME}", "/home/me"),
        ("HOME=/other\nB=${HOME}", "/home/me"),
        ("B=${MISSING}", ""),
        ("B=${MISSING:-fallback}", "fallback"),
        ("EMPTY=\nB=${EMPTY-fallback}", "fallback"),
        ("B=pa\\$word", "pa$word"),
        ("B=100$", "100$"),
        ("B=x${B}", "x"),
        ("A=${B}\nB=${A}y", "y"),
        ("A=$C\nC=1\nB=${A}${A}", "11"),
    ],
)
def test_expansion(tmp_path: Path, text: str, expected: str) -> None:
    (tmp_path / ".env").write_text(text)
    assert read_env_files(tmp_path, "development", {"HOME": "/home/me"}).values["B"] == expected


def test_variables_that_refer_too_deep_are_an_error(tmp_path: Path) -> None:
    def chain(length: int) -> str:
        return "".join(f"N{number}=$N{number + 1}\n" for number in range(length)) + f"N{length}=end\n"

    (tmp_path / ".env").write_text(chain(99))
    assert read_env_files(tmp_path, "dev", {}).values["N0"] == "end"
    (tmp_path / ".env").write_text(chain(2000))
    with pytest.raises(ConfigError, match=r"\.env: .* at most 100 deep, found N100"):
        read_env_files(tmp_path, "dev", {})


def test_a_byte_order_mark_is_no_part_of_the_first_name(tmp_path: Path) -> None:
    (tmp_path / ".env").write_bytes(b"\xef\xbb\xbfA=1")
    assert read_env_files(tmp_path, "development", {}).values == {"A": "1"}


def test_what_is_not_utf8_names_the_file(tmp_path: Path) -> None:
    (tmp_path / ".env").write_bytes(b"A=\xff")
    with pytest.raises(ConfigError, match=r"\.env: expected UTF-8"):
        read_env_files(tmp_path, "development", {})


def test_no_files_are_no_values(tmp_path: Path) -> None:
    assert read_env_files(tmp_path, "development", {}).values == {}


def test_parsing_is_linear() -> None:
    # Quotes that never close are looked at once, not once per line.
    text = "A=1\n" * 20_000
    assert values(text) == {"A": "1"}
