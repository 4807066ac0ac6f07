"""The settings file: its form, its JSON schema, the commented file that `fitcore init` writes, and how one is read.

Whatever is not in the file has its default; the environment stands above the file, and the options of a command above both. No file is
read because it lies in the folder where a command was started: that may be a stranger's. It is the one that FITCORE_SETTINGS names, or
``settings.yaml`` in the user's own configuration folder.
"""

from __future__ import annotations

import json
import reprlib
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.fields import FieldInfo

from fitcore.naming import did_you_mean
from fitcore.strict_yaml import StrictLoader

LARGEST_FILE = 1_000_000
SCHEMA_FILE = "settings.schema.json"
TITLE = "Settings of fitcore"
END = "\n...\n"  # what YAML writes after a single word
ENVIRONMENT = "environment"  # the key of the schema under which a field's variable is
Scalar = int | float | str | bool
Positive = Annotated[int, Field(ge=1)]


class SettingsError(ValueError):
    """A variable of the environment, or the settings file, has a value that cannot be used."""


def _field(default: Any, meaning: str, variable: str = "", *, example: Any = None, factory: Any = None, **limits: Any) -> Any:
    extra: Any = {ENVIRONMENT: variable} if variable else None
    given = {"default_factory": factory} if factory is not None else {"default": default}
    return Field(
        **given,
        description=meaning,
        json_schema_extra=extra,
        examples=None if example is None else [example],
        validate_default=True,
        **limits,
    )


class SettingsFile(BaseModel):
    """Every field that a settings file may have; those that are left out have their defaults."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False, title=TITLE)

    store: str | None = _field(
        None, "Folder of the results; null is ./results where the command is started.", "FITCORE_STORE", example="/data/results"
    )
    cache: str | None = _field(
        None,
        "Folder for compiled code and the private server's database; null is ~/.cache/fitcore.",
        "FITCORE_CACHE",
        example="/scratch/fitcore",
    )
    data: str | None = _field(
        None, "Folder of what 'fitcore server' keeps; null is ~/.local/share/fitcore.", "FITCORE_DATA", example="/var/lib/fitcore"
    )
    database: str | None = _field(
        None,
        "PostgreSQL database of 'fitcore server'; null is SQLite. Where it needs a password, use the variable.",
        "FITCORE_DATABASE",
        example="postgresql://prefect@host:5432/prefect",
    )
    threads: Positive | None = _field(
        None, "Likelihoods evaluated side by side; null is the number of cores.", "FITCORE_THREADS", example=4
    )
    prefect_api_url: str | None = _field(
        None,
        "API of a Prefect server of yours; null is that of 'fitcore server' where it runs, or one for the time of the run. Its password is "
        "in PREFECT_API_AUTH_STRING alone.",
        "PREFECT_API_URL",
        example="http://127.0.0.1:4200/api",
    )
    server_seconds: Annotated[float, Field(gt=0)] = _field(
        120.0, "How long to wait for a Prefect server's first answer, in seconds.", "FITCORE_SERVER_SECONDS"
    )
    key_file: str | None = _field(
        None,
        "File that holds the key with which the store is signed, its owner's alone; null signs nothing.",
        "FITCORE_KEY_FILE",
        example="~/.fitcore-key",
    )
    engine: Literal["threads", "dask", "ray"] = _field("threads", "Where the tasks of a chain run: threads, dask or ray.", "FITCORE_ENGINE")
    engine_address: str | None = _field(
        None,
        "Address of a Dask or Ray cluster; null is one on this machine for the time of the run.",
        "FITCORE_ENGINE_ADDRESS",
        example="tcp://node1:8786",
    )
    latents_resources: dict[str, Annotated[float, Field(gt=0)]] = _field(
        None,
        "What the cluster must give to the computation of latent variables.",
        "FITCORE_LATENTS_RESOURCES",
        example={"GPU": 1.0},
        factory=dict,
    )
    no_color: bool = _field(False, "No colors on a terminal.", "NO_COLOR")
    pipeline: str = _field("lens", "Pipeline of 'run', 'plan' and 'why-miss' where --pipeline names none.")
    seed: Annotated[int, Field(ge=0)] = _field(0, "Seed of every random number where --seed gives none. Another seed is another result.")
    jobs: Positive | None = _field(None, "Datasets side by side; null is as many as cores and memory allow.", example=2)
    time_limit: str | None = _field(None, "Save and end after so long, such as 90m, as by --time-limit; null is never.", example="90m")
    searches: dict[str, dict[str, Scalar]] = _field(
        None,
        "Search settings to replace, by stage and field, in every run of a pipeline that has the stage. Other settings are other results.",
        example={"power_law": {"n_eff": 1000}},
        factory=dict,
    )


def variable_of(field: FieldInfo) -> str:
    """The variable of the environment that stands above a field; empty where there is none."""
    extra = field.json_schema_extra
    return str(extra.get(ENVIRONMENT, "")) if isinstance(extra, dict) else ""


def schema_text() -> str:
    """The JSON schema, as it is shipped in `SCHEMA_FILE`."""
    return json.dumps(SettingsFile.model_json_schema(), indent=1, sort_keys=True) + "\n"


def schema_path() -> Path:
    """The shipped schema."""
    return Path(str(resources.files("flows"))) / SCHEMA_FILE


def commented(schema: Path) -> str:
    """A settings file with every field, its meaning and its default, all of it commented out."""
    parts = [
        f"# yaml-language-server: $schema={schema}",
        f"# {TITLE}. Each line that begins with one sign is a default: take the sign away and change it. Paths that do not begin with /\n"
        "# begin at the folder of this file. A variable of the environment stands above the file, and an option of a command above both.",
    ]
    for name, field in SettingsFile.model_fields.items():
        variable = variable_of(field)
        told = f"{field.description}" + (f" Variable: {variable}." if variable else "")
        example = f" For example {_line(name, field.examples[0])}." if field.examples else ""
        parts.append("\n".join([*_wrapped(told + example), f"# {_line(name, field.get_default(call_default_factory=True))}"]))
    return "\n\n".join(parts) + "\n"


def _line(name: str, value: Any) -> str:
    """One field as YAML on one line."""
    return f"{name}: {yaml.safe_dump(value, default_flow_style=True, width=10_000).removesuffix(END).strip()}"


def _wrapped(text: str, width: int = 110) -> list[str]:
    lines, line = [], ""
    for word in text.split():
        if line and len(line) + len(word) + 1 > width:
            lines.append(line)
            line = ""
        line = f"{line} {word}".strip()
    return [f"## {each}" for each in [*lines, line]]


def load(path: Path) -> SettingsFile:
    """The settings in a file.

    Raises
    ------
    SettingsError
        when it cannot be read, or not used: each fault with its line, the value, what is allowed and the remedy.
    """
    try:
        with path.open("rb") as file:
            data = file.read(LARGEST_FILE + 1)
        if len(data) > LARGEST_FILE:
            raise SettingsError(
                f"The settings file {path} has more than {LARGEST_FILE:,} bytes. Is it another file? 'fitcore init' makes one."
            )
        loader = StrictLoader(data.decode("utf-8"))
        node = loader.get_single_node()
        value = {} if node is None else loader.construct_document(node)
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"The settings file {path} cannot be read: {error}. Name another by FITCORE_SETTINGS, or unset it.") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise SettingsError(
            f"The settings file {path} is no YAML that can be used: {error}. 'fitcore init' makes one to begin with."
        ) from error
    if not isinstance(value, dict):
        raise SettingsError(
            f"The settings file {path} holds {reprlib.repr(value)}; it must hold keys: {', '.join(SettingsFile.model_fields)}."
        )
    lines = {} if node is None else {str(key.value): key.start_mark.line + 1 for key, _ in node.value}
    try:
        return SettingsFile.model_validate(value)
    except ValidationError as error:
        faults = "\n".join(f"  {_fault(item, lines)}" for item in error.errors(include_url=False)[:5])
        raise SettingsError(f"The settings file {path} cannot be used:\n{faults}") from error


def _fault(item: Any, lines: Mapping[str, int]) -> str:
    place = [str(part) for part in item["loc"]] or ["the file"]
    where = f"line {lines[place[0]]}: {'.'.join(place)}" if place[0] in lines else ".".join(place)
    if item["type"] == "extra_forbidden":
        hint = did_you_mean(place[0], SettingsFile.model_fields)
        return f"{where}: no such setting; there are {', '.join(SettingsFile.model_fields)}.{hint}"
    return f"{where}: {item['msg']}; it is {reprlib.repr(item['input'])}. Correct it, or leave the line out."
