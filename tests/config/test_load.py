"""Precedence, errors, and the files."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from longwave.config.load import load_settings, settings_from_values
from longwave.config.settings import Settings
from longwave.errors import ConfigError
from longwave.limits import Limits, Timeouts

EXAMPLE = """
from longwave.config import define_config

config = define_config(
    server={
        "port": 3000,
        "hmr": {"port": 3002, "path": "vite-hmr"},
    },
    features={"websocket": True},
)
"""


def project(root: Path, *, config: str = "", tool: str = "", **files: str) -> Path:
    if config:
        (root / "longwave.config.py").write_text(f"from longwave.config import define_config\n{config}")
    if tool:
        (root / "pyproject.toml").write_text(f"[tool.longwave]\n{tool}")
    for name, text in files.items():
        (root / ("." + name.replace("_", "."))).write_text(text)
    return root


def load(root: Path, **options: Any) -> Settings:
    options.setdefault("command", "dev")
    options.setdefault("environ", {})
    return load_settings(root, **options)


def error(root: Path, **options: Any) -> str:
    with pytest.raises(ConfigError) as caught:
        load(root, **options)
    return str(caught.value)


def test_an_empty_folder_is_the_defaults(tmp_path: Path) -> None:
    settings = load(tmp_path)
    assert (settings.server.host, settings.server.port) == ("localhost", 3000)
    assert settings.features.websocket is True
    assert settings.limits == Limits()
    assert settings.timeouts == Timeouts()
    assert settings.mode == "development"
    assert {origin.source for origin in settings.provenance.values()} == {"default"}


def test_the_example_of_the_product(tmp_path: Path) -> None:
    (tmp_path / "longwave.config.py").write_text(EXAMPLE)
    settings = load(tmp_path)
    assert settings.server.port == 3000
    assert (settings.server.hmr.enabled, settings.server.hmr.port) == (True, 3002)
    assert settings.server.hmr.path == "vite-hmr"
    assert settings.features.websocket is True


def test_dev_looks_for_a_free_port_and_start_does_not(tmp_path: Path) -> None:
    assert load(tmp_path, command="dev").server.strict_port is False
    assert load(tmp_path, command="start").server.strict_port is True
    assert load(tmp_path, command="start").mode == "production"


def test_each_source_wins_over_the_ones_below(tmp_path: Path) -> None:
    root = project(tmp_path)
    steps: list[tuple[dict[str, Any], int]] = [
        ({"environ": {}}, 1),
        ({"environ": {}}, 2),
        ({"environ": {}}, 3),
        ({"environ": {"PORT": "4"}}, 4),
        ({"environ": {"PORT": "4", "LONGWAVE_SERVER_PORT": "5"}}, 5),
        ({"environ": {"PORT": "4"}, "overrides": {"server": {"port": 6}}}, 6),
    ]
    for options, port in steps:
        if port == 1:
            project(root, config='config = define_config(server={"port": 1})')
        if port == 2:
            project(root, tool="server.port = 2")
        if port == 3:
            (root / ".env").write_text("PORT=3\n")
        assert load(root, **options).server.port == port
    above = {"environ": {"LONGWAVE_SERVER_PORT": "4"}, "overrides": {"server": {"port": 6}}}
    origin = load(root, **above).provenance["server.port"]
    assert [o.value for o in (origin, *origin.hides)] == [6, 4, 3, 2, 1, 3000]
    assert [o.source.split("/")[-1] for o in (origin, *origin.hides)] == [
        "command line",
        "environment variable LONGWAVE_SERVER_PORT",
        ".env (PORT)",
        "pyproject.toml [tool.longwave]",
        "longwave.config.py",
        "default",
    ]


def test_a_real_variable_wins_over_a_more_exact_one_of_a_file(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("LONGWAVE_SERVER_PORT=1\n")
    assert load(tmp_path, environ={"PORT": "2"}).server.port == 2


def test_start_reads_no_env_files(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("PORT=4000\nSECRET=1\n")
    (tmp_path / ".env.production").write_text("this is no assignment\n")
    settings = load(tmp_path, command="start")
    assert settings.server.port == 3000
    assert settings.environment == {}


def test_dev_hands_on_what_the_env_files_add(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("TOKEN=1\nHOME=/x\n")
    (tmp_path / ".env.staging").write_text("TOKEN=2\n")
    settings = load(tmp_path, mode="staging", environ={"HOME": "/home/me"})
    assert settings.environment == {"TOKEN": "2"}
    assert settings.mode == "staging"


def test_tables_are_merged_key_by_key(tmp_path: Path) -> None:
    root = project(
        tmp_path,
        config='hmr = {"port": 3002, "overlay": False}\n'
        'config = define_config(server={"port": 1, "host": "a", "hmr": hmr})',
        tool='[tool.longwave.server]\nhost = "b"\nhmr = { path = "x" }',
    )
    server = load(root).server
    assert (server.port, server.host) == (1, "b")
    assert (server.hmr.port, server.hmr.path, server.hmr.overlay) == (3002, "x", False)


@pytest.mark.parametrize(
    ("above", "enabled", "port"), [("true", True, 3002), ("false", False, 3002), ("{ port = 4 }", True, 4)]
)
def test_hmr_true_keeps_the_table_and_false_wins(
    tmp_path: Path, above: str, enabled: bool, port: int
) -> None:
    root = project(
        tmp_path,
        config='config = define_config(server={"hmr": {"port": 3002}})',
        tool=f"server.hmr = {above}",
    )
    hmr = load(root).server.hmr
    assert (hmr.enabled, hmr.port) == (enabled, port)


def test_what_the_project_file_hides_is_told(tmp_path: Path) -> None:
    root = project(
        tmp_path,
        config='config = define_config(server={"port": 3000, "host": "same", "strict_port": True})',
        tool='server.port = 3001\nserver.host = "same"\nserver.strict_port = false',
    )
    hidden = load(root, environ={"LONGWAVE_SERVER_STRICT_PORT": "1"}).hidden()
    assert [(h.key, h.value, h.by.value) for h in hidden] == [("server.port", 3000, 3001)]
    assert hidden[0].source.endswith("longwave.config.py")


@pytest.mark.parametrize(
    "values", ['experimental={"websocket": False}', 'nitro={"experimental": {"websocket": False}}']
)
def test_the_names_of_the_original(tmp_path: Path, values: str) -> None:
    root = project(tmp_path, config=f"config = define_config({values})")
    settings = load(root)
    assert settings.features.websocket is False
    assert settings.provenance["features.websocket"].source.endswith("longwave.config.py")


def test_an_alias_that_contradicts_is_an_error(tmp_path: Path) -> None:
    root = project(tmp_path, tool="features.websocket = true\nexperimental.websocket = false")
    assert "experimental.websocket and features.websocket are the same setting" in error(root)


def test_none_says_nothing(tmp_path: Path) -> None:
    root = project(tmp_path, config='config = define_config(server={"port": None, "hmr": None}, log=None)')
    assert load(root).server.port == 3000


def test_the_forms_of_a_config_file(tmp_path: Path) -> None:
    project(tmp_path, config="@define_config\ndef config(env):\n    return {'server': {'host': env.mode}}")
    assert load(tmp_path, mode="staging").server.host == "staging"
    project(
        tmp_path,
        config="async def later(env):\n    return {'server': {'host': env.command}}\n"
        "config = define_config(later)",
    )
    assert load(tmp_path).server.host == "dev"

    async def inside() -> Settings:
        return load(tmp_path)

    assert asyncio.run(inside()).server.host == "dev"


def test_a_config_file_may_define_dataclasses(tmp_path: Path) -> None:
    project(
        tmp_path,
        config="import dataclasses\n@dataclasses.dataclass\nclass A:\n    port: 'int' = 5\n"
        "config = define_config(server={'port': A().port})",
    )
    assert load(tmp_path).server.port == 5


def test_every_problem_of_every_file_at_once(tmp_path: Path) -> None:
    root = project(
        tmp_path,
        config='config = define_config(server={"prot": 1, "port": "3000"}, sever={})',
        tool="server.strictPort = true",
    )
    text = error(root, environ={"PORT": "many"})
    lines = text.splitlines()
    assert lines[0] == "5 problems in the configuration:"
    assert "longwave.config.py: server.prot: unknown key, expected one of allowed_hosts, fd, " in lines[1]
    assert lines[1].endswith("found 1 (int); did you mean server.port?")
    assert lines[2].endswith('server.port: expected an integer from 0 to 65535, found "3000" (str)')
    assert lines[3].endswith("did you mean server?")
    assert "pyproject.toml [tool.longwave]: server.strictPort: unknown key" in lines[4]
    assert lines[4].endswith("did you mean server.strict_port?")
    assert lines[5].startswith("  environment variable PORT: expected an integer from 0 to 65535, found")


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ("port = 3000", "found none"),
        ("config = {'server': {}}", r"expected `config = define_config\(...\)`, found config of type dict"),
        ("config = define_config(lambda env: [1])", r"expected a dict of sections, found \[1\] \(list\)"),
        ("config = define_config(server=3)", r"server: expected a table \(dict\), found 3 \(int\)"),
        ("config = define_config(port=3)", "did you mean server.port"),
        ("config = define_config(websocket=True)", "did you mean features.websocket"),
        ("config = define_config(server={'hmr': {'clientPort': 1}})", "did you mean server.hmr.client_port"),
        (
            "config = define_config(nitro={'preset': 'x'})",
            "nitro.preset: unknown key, expected one of experimental",
        ),
        ("config = (", "line 2: SyntaxError: "),
        ("import nothing_of_that_name", "line 2: ModuleNotFoundError: "),
        (
            "def f(env):\n    return 1 / 0\nconfig = define_config(f)",
            "line 3: ZeroDivisionError: division by zero",
        ),
        ("async def f(env):\n    return 1 / 0\nconfig = define_config(f)", "line 3: ZeroDivisionError"),
        ("config = define_config(3)", "line 2: TypeError: define_config wants"),
        ("config = '\0'", "null bytes"),
    ],
)
def test_errors_of_the_config_file(tmp_path: Path, config: str, message: str) -> None:
    root = project(tmp_path, config=config)
    with pytest.raises(ConfigError, match=message) as caught:
        load(root)
    assert "longwave.config.py" in str(caught.value)


def test_a_misspelt_secret_is_not_shown(tmp_path: Path) -> None:
    text = error(project(tmp_path, tool='server.ssl_key_password = "hunter2"'))
    assert "did you mean server.ssl_keyfile_password" in text
    assert "hunter2" not in text


def test_errors_of_the_project_file(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text("[tool.longwave\n")
    assert "pyproject.toml: expected TOML" in error(tmp_path)
    (tmp_path / "pyproject.toml").write_text("[tool]\nlongwave = 3\n")
    assert "expected a dict of sections, found 3 (int)" in error(tmp_path)


def test_a_project_file_of_other_tools_is_nothing(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text("[project]\nname = 'x'\n")
    assert load(tmp_path).server.port == 3000


def test_another_config_file(tmp_path: Path) -> None:
    other = tmp_path / "other.py"
    other.write_text("from longwave.config import define_config\nconfig = define_config(server={'port': 9})")
    assert load(tmp_path, config_file=other).server.port == 9
    assert "missing.py: cannot be read: No such file" in error(tmp_path, config_file=tmp_path / "missing.py")


def test_a_root_that_is_no_folder(tmp_path: Path) -> None:
    assert "expected the folder of a project, found nothing" in error(tmp_path / "nowhere")
    (tmp_path / "file").write_text("")
    assert "found a file" in error(tmp_path / "file")


@pytest.mark.parametrize("mode", ["local", "", "a/b"])
def test_a_mode_that_cannot_be(tmp_path: Path, mode: str) -> None:
    assert 'expected a name such as "staging"' in error(tmp_path, mode=mode)


def test_the_environment_of_every_key(tmp_path: Path) -> None:
    settings = load(
        tmp_path,
        environ={
            "HOST": "0.0.0.0",
            "LONGWAVE_FEATURES_WEBSOCKET": "false",
            "LONGWAVE_SERVER_HMR_PORT": "3002",
            "LONGWAVE_LIMITS_MESSAGE": "4096",
            "LONGWAVE_TIMEOUTS_KEEP_ALIVE": "5",
            "LONGWAVE_LOG_LEVEL": "warn",
            "LONGWAVE_SERVER_PORT": "  ",
            "LONGWAVE_TEST_RUN": "not ours",
        },
    )
    assert settings.server.host == "0.0.0.0"
    assert settings.features.websocket is False
    assert settings.server.hmr.port == 3002
    assert (settings.limits.message, settings.timeouts.keep_alive) == (4096, 5.0)
    assert settings.log.level == "warning"
    assert settings.server.port == 3000


def test_an_alias_in_the_environment(tmp_path: Path) -> None:
    assert load(tmp_path, environ={"LONGWAVE_EXPERIMENTAL_WEBSOCKET": "0"}).features.websocket is False


def test_an_unknown_variable_of_a_section(tmp_path: Path) -> None:
    text = error(tmp_path, environ={"LONGWAVE_SERVER_PROT": "1"})
    assert text == (
        "environment variable LONGWAVE_SERVER_PROT: expected the name of a setting, found an unknown one; "
        "did you mean LONGWAVE_SERVER_PORT?"
    )


def test_paths_are_those_of_the_project(tmp_path: Path) -> None:
    (tmp_path / "cert.pem").write_text("")
    root = project(tmp_path, tool='server.ssl_certfile = "cert.pem"\nserver.uds = "run.sock"')
    server = load(root).server
    assert server.ssl_certfile == tmp_path / "cert.pem"
    assert server.uds == tmp_path / "run.sock"
    assert load(root, overrides={"server": {"uds": "/run/x.sock"}}).server.uds == Path("/run/x.sock")


def test_settings_that_do_not_go_together(tmp_path: Path) -> None:
    text = error(
        tmp_path,
        overrides={"server": {"uds": "a", "fd": 3, "ssl_keyfile": "key.pem", "ssl_keyfile_password": "x"}},
    )
    assert "server.fd: expected one of server.uds and server.fd, found both" in text
    assert "server.ssl_keyfile: expected server.ssl_certfile beside it, found none" in text
    assert f"expected a file, found nothing at {tmp_path / 'key.pem'}" in text


def test_settings_of_values_alone() -> None:
    settings = settings_from_values({"limits": {"message": 10}, "features": {"websocket": False}})
    assert (settings.limits.message, settings.features.websocket) == (10, False)
    assert (settings.command, settings.mode) == ("start", "production")
    with pytest.raises(
        ConfigError, match=r"create_app\(...\): limits.mesage: unknown key.*did you mean limits.message"
    ):
        settings_from_values({"limits": {"mesage": 10}})


def test_the_proxies(tmp_path: Path) -> None:
    config = """
config = define_config(server={"proxy": {
    "/api": "http://localhost:8000",
    "^/x[0-9]": {"target": "ws://h", "ws": True, "rewrite": str.upper, "headers": {"a": "secret"}},
}})
"""
    tool = """
[tool.longwave.server.proxy]
"/only" = { target = "http://b", rewrite = ["^/only", ""], timeout = 5, change_origin = false }
"""
    first, second = load(project(tmp_path, config=config)).server.proxy
    assert (first.context, first.target, first.change_origin) == ("/api", "http://localhost:8000", True)
    assert first.takes_upgrades is False and second.takes_upgrades is True
    assert second.rewrite is not None and second.rewrite("/x1") == "/X1"
    assert "secret" not in repr(second)
    (tmp_path / "pyproject.toml").write_text(tool)
    (rule,) = load(tmp_path).server.proxy
    assert rule.rewrite is not None and rule.rewrite("/only/a") == "/a"
    assert (rule.timeout, rule.change_origin) == (5.0, False)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("[]", "expected a table of paths"),
        ('{"api": "http://x"}', "'api'"),
        ('{"^(": "http://x"}', "regular expression"),
        ('{"/api": 3}', "/api: expected a target or a table, found int"),
        ('{"/api": {}}', "/api: expected a target, found none"),
        ('{"/api": {"target": "localhost:80"}}', "http://localhost:8000, found 'localhost:80'"),
        ('{"/api": {"target": "http://user@x"}}', "http://localhost:8000, found str"),
        ('{"/api": {"target": "http://x", "changeOrigin": True}}', "change_origin"),
        ('{"/api": {"target": "http://x", "ws": "yes"}}', "/api: ws: expected true or false, found 'yes'"),
        ('{"/api": {"target": "http://x", "rewrite": "x"}}', "/api: rewrite"),
        ('{"/api": {"target": "http://x", "timeout": -1}}', "/api: timeout"),
        ('{"/api": {"target": "http://x", "headers": {"a": 1}}}', "/api: headers"),
    ],
)
def test_what_is_no_proxy(tmp_path: Path, value: str, words: str) -> None:
    text = error(project(tmp_path, config=f'config = define_config(server={{"proxy": {value}}})'))
    assert words in text and "server.proxy" in text and "longwave.config.py" in text


def test_the_front_end(tmp_path: Path) -> None:
    assert load(tmp_path).frontend.vite.enabled is False
    project(tmp_path, config='config = define_config(frontend={"vite": {"root": "web"}})')
    vite = load(tmp_path).frontend.vite
    assert (vite.enabled, vite.root, vite.dist) == (True, tmp_path / "web", Path("dist"))
    project(tmp_path, config='config = define_config(frontend={"vite": True})')
    assert load(tmp_path).frontend.vite.root == tmp_path
    off = load(tmp_path, environ={"LONGWAVE_FRONTEND_VITE": "false"}).frontend.vite
    assert off.enabled is False
    (tmp_path / "other").mkdir()
    own = load(tmp_path / "other", environ={"LONGWAVE_FRONTEND_VITE_DIST": "out"}).frontend.vite
    assert (own.enabled, own.dist) == (True, Path("out"))
