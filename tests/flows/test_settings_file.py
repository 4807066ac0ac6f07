"""The settings file: what stands above what, what cannot be used, the file of `fitcore init`, and the schemas that are shipped."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from deploy.schema import schema_text as deploy_schema_text
from flows import cli, settings
from flows.deploying import example, example_schema
from flows.settings_file import SettingsError, SettingsFile, commented, load, schema_path, schema_text, variable_of

VARIABLES = [variable for field in SettingsFile.model_fields.values() if (variable := variable_of(field))]


@pytest.fixture
def written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Writes the settings file that is read, and says what is read then."""
    for name in (*VARIABLES, "FITCORE_SETTINGS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))

    def write(text: str) -> settings.Settings:
        (tmp_path / "my.yaml").write_text(text)
        monkeypatch.setenv("FITCORE_SETTINGS", str(tmp_path / "my.yaml"))
        return settings.read()

    return write


def test_the_environment_stands_above_the_file_and_that_above_the_defaults(written: Any, monkeypatch: Any, tmp_path: Path) -> None:
    monkeypatch.setenv("FITCORE_THREADS", "3")
    found = written("store: kept\nthreads: 7\nseed: 4\nsearches: {second: {n_eff: 500}}\n")
    assert found.store == tmp_path / "kept"  # from the folder of the file
    assert (found.threads, found.seed, found.server_seconds) == (3, 4, 120.0)
    assert found.searches == {"second": {"n_eff": 500}}
    assert [found.origins[name] for name in ("store", "threads", "seed", "engine")] == ["file", "environment", "file", "default"]
    assert found.asked["threads"] == 3
    assert found.file == tmp_path / "my.yaml"
    assert settings.child_environment(found)["FITCORE_SETTINGS"] == str(tmp_path / "my.yaml")


def test_the_users_own_file_is_read_and_one_in_the_current_folder_is_not(written: Any, monkeypatch: Any, tmp_path: Path) -> None:
    (tmp_path / "settings.yaml").write_text("threads: 2")
    (tmp_path / "fitcore.yaml").write_text("threads: 2")
    monkeypatch.chdir(tmp_path)
    assert settings.read().file is None
    own = tmp_path / "config" / "fitcore" / "settings.yaml"
    own.parent.mkdir(parents=True)
    own.write_text("threads: 9")
    assert (settings.read().threads, settings.read().file) == (9, own)


def test_a_variable_of_every_field_stands_above_the_file(written: Any, monkeypatch: Any, tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_text("k" * 32)
    key.chmod(0o600)
    values = {
        "FITCORE_STORE": "/s",
        "FITCORE_CACHE": "/c",
        "FITCORE_DATA": "/d",
        "FITCORE_DATABASE": "postgresql://u:secret@h/d",
        "FITCORE_THREADS": "5",
        "PREFECT_API_URL": "http://u:secret@h:1/api",
        "FITCORE_SERVER_SECONDS": "7",
        "FITCORE_KEY_FILE": str(key),
        "FITCORE_ENGINE": "dask",
        "FITCORE_ENGINE_ADDRESS": "tcp://a:1",
        "FITCORE_LATENTS_RESOURCES": "GPU=1",
        "NO_COLOR": "1",
    }
    assert sorted(values) == sorted(VARIABLES)
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    found = written("threads: 2\n")
    assert {found.origins[name] for name, field in SettingsFile.model_fields.items() if variable_of(field)} == {"environment"}
    assert (found.database, found.key) == ("postgresql://u:secret@h/d", b"k" * 32)
    told = json.dumps(found.asked)
    assert "secret" not in told
    assert "k" * 32 not in told
    assert found.asked["database"] == "set"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("threds: 3", "line 1: threds: no such setting; there are store, cache"),
        ("threds: 3", "Did you mean 'threads'?"),
        ("\nthreads: many", r"line 2: threads: Input should be a valid integer; it is 'many'. Correct it, or leave the line out."),
        ("threads: 0", "threads: Input should be greater than or equal to 1; it is 0"),
        ("seed: -1", "seed: Input should be greater than or equal to 0"),
        ("engine: dsak", "engine: Input should be 'threads', 'dask' or 'ray'; it is 'dsak'"),
        ("seed: 1\nseed: 2", "line 2: the key 'seed' is there twice"),
        ("searches: &a {}\nlatents_resources: *a", "line 2: aliases are not allowed"),
        ("- 1", r"holds \[1\]; it must hold keys: store"),
        ("store: [", "is no YAML that can be used"),
        ("engine_address: tcp://a:1", "engine_address in the settings file .*my.yaml is 'tcp://a:1' and FITCORE_ENGINE is 'threads'"),
        ("key_file: nowhere", "key_file in the settings file .*my.yaml names nowhere, which cannot be read"),
        ("x: " + "y" * 1_000_001, "more than 1,000,000 bytes. Is it another file?"),
    ],
)
def test_what_cannot_be_used_is_told_with_its_line(written: Any, text: str, says: str) -> None:
    with pytest.raises(SettingsError, match=f"(?s){says}"):
        written(text)


def test_a_file_that_is_not_there(written: Any, monkeypatch: Any, tmp_path: Path) -> None:
    monkeypatch.setenv("FITCORE_SETTINGS", str(tmp_path / "none.yaml"))
    with pytest.raises(SettingsError, match=r"none.yaml cannot be read: .*Name another by FITCORE_SETTINGS, or unset it."):
        settings.read()


def test_the_commented_file_is_every_field_with_its_default_and_meaning(tmp_path: Path) -> None:
    text = commented(schema_path())
    assert yaml.safe_load(text) is None  # nothing of it is in force
    path = tmp_path / "all.yaml"
    path.write_text(re.sub(r"(?m)^# (?=\w+: )", "", text.split("\n\n", 2)[2]))
    found = load(path)
    assert list(found.model_fields_set) != []
    assert found.model_fields_set == set(SettingsFile.model_fields)
    assert found == SettingsFile()
    words = " ".join(line.removeprefix("## ") for line in text.splitlines())
    for name, field in SettingsFile.model_fields.items():
        assert field.description
        assert field.description in words, name
        assert variable_of(field) in words
        for example_ in field.examples or ():
            SettingsFile(**{name: example_})


def test_the_shipped_schemas_are_those_of_the_forms() -> None:
    assert schema_path().read_text() == schema_text(), "run: fitcore init --schema > flows/settings.schema.json, from flows.settings_file"
    assert example_schema().read_text() == deploy_schema_text()
    for text in (schema_text(), deploy_schema_text()):
        Draft202012Validator.check_schema(json.loads(text))
    validator = Draft202012Validator(json.loads(schema_text()))
    validator.validate({"store": "kept", "searches": {"second": {"n_eff": 500}}})
    assert not validator.is_valid({"threds": 3})


@pytest.fixture
def init(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: Any) -> Any:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.delenv("FITCORE_SETTINGS", raising=False)

    def run(*words: Any, code: int = 0) -> tuple[str, str]:
        with pytest.raises(SystemExit) as ended:
            cli.app(["init", *map(str, words)])
        output, errors = capsys.readouterr()
        assert (ended.value.code or 0) == code, errors
        return output, errors

    return run


def test_init_writes_the_users_own_file_once(init: Any, tmp_path: Path) -> None:
    own = tmp_path / "config" / "fitcore" / "settings.yaml"
    assert init()[0] == f"{own}\n"
    assert own.read_text().splitlines()[0] == f"# yaml-language-server: $schema={schema_path()}"
    assert settings.read().file == own
    own.write_text("threads: 2\n")
    assert "is there already and was left as it is" in init(code=2)[1]
    assert own.read_text() == "threads: 2\n"


def test_init_elsewhere_says_how_it_is_read(init: Any, tmp_path: Path) -> None:
    output, errors = init(tmp_path / "here.yaml")
    assert output == f"{tmp_path / 'here.yaml'}\n"
    assert f"export FITCORE_SETTINGS={tmp_path / 'here.yaml'}" in errors
    assert "is a folder. Name the file to write" in init(tmp_path, code=2)[1]
    (tmp_path / "file").touch()
    assert "cannot be written" in init(tmp_path / "file" / "x.yaml", code=2)[1]
    assert init("--schema")[0] == schema_text()


def test_init_of_a_deployment(init: Any, tmp_path: Path) -> None:
    assert "Name the file to write" in init("--deploy", code=2)[1]
    init("--deploy", tmp_path / "nightly.yaml")
    text = (tmp_path / "nightly.yaml").read_text()
    assert text == example(example_schema())
    assert text.startswith(f"# yaml-language-server: $schema={example_schema()}\n")
    Draft202012Validator(json.loads(deploy_schema_text())).validate(yaml.safe_load(text))
    assert init("--deploy", "--schema")[0] == deploy_schema_text()
