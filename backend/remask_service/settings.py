# ruff: noqa: RUF009 — `_setting` returns a dataclass field, made afresh each time.
"""Settings of `remask serve`: read once, from the environment and the command line.

Each field names its environment variable and its unit, and says why its default is what it is.
`docs/settings.md` is generated from here.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import MISSING, Field, dataclass, field, fields
from difflib import get_close_matches
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from platformdirs import user_state_path

from remask_core.errors import InputError
from remask_images.addresses import shown
from remask_worker.cluster.engine import check_addresses

__all__ = ["Settings", "settings_markdown"]

_ENGINES = ("child", "ray")
_SWITCH = {"on": True, "true": True, "1": True, "off": False, "false": False, "0": False}
LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")


def _setting(
    env: str, default: Any, why: str, *, unit: str = "", secret: bool = False, shown: str = ""
) -> Any:
    metadata = {"env": env, "unit": unit, "why": why, "shown": shown}
    if callable(default):
        return field(default_factory=default, metadata=metadata, repr=not secret)
    return field(default=default, metadata=metadata, repr=not secret)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Settings of one backend process; `settings_markdown` gives the reason of each."""

    label_studio_url: str | None = _setting(
        "LABEL_STUDIO_URL",
        None,
        "Where uploads, local files and cloud storage are fetched from. Without it only images "
        "with a full address of an allowed host can be read.",
    )
    label_studio_host: str | None = _setting(
        "LABEL_STUDIO_HOST",
        None,
        "Label Studio's address as browsers know it, when the backend reaches it by another one "
        "(containers): image addresses that begin with it are fetched from `LABEL_STUDIO_URL`.",
    )
    label_studio_api_key: str | None = _setting(
        "LABEL_STUDIO_API_KEY",
        None,
        "A personal access token or a legacy token; they are told apart by their shape. The "
        "token that Label Studio sends with `/setup` is not used: it is a legacy one, and "
        "those are off by default.",
        secret=True,
    )
    basic_auth_user: str | None = _setting(
        "BASIC_AUTH_USER",
        None,
        "With `BASIC_AUTH_PASS`: what callers must present, on everything but `/health` and "
        "`/ready`. Neither is set by default because the backend listens on this machine only.",
    )
    basic_auth_pass: str | None = _setting(
        "BASIC_AUTH_PASS", None, "See `BASIC_AUTH_USER`.", secret=True
    )
    host: str = _setting(
        "REMASK_HOST",
        "127.0.0.1",
        "Address to listen on; by default only this machine can connect. Not `HOST`, "
        "which some shells set to the machine's name.",
    )
    port: int = _setting("PORT", 9090, "The port that Label Studio's backends commonly have.")
    model: str = _setting(
        "REMASK_MODEL",
        "convnet",
        "A name of `remask models list`, or `package.module:factory`. The bundled model needs "
        "nothing to be downloaded.",
    )
    weights: Path | None = _setting(
        "REMASK_WEIGHTS",
        None,
        "Weights file; by default the bundled one, or the published one in `MODEL_DIR`.",
    )
    model_dir: Path | None = _setting(
        "MODEL_DIR",
        None,
        "Folder of weights files, as `remask models pull` fills it; by default the user's data "
        "folder.",
    )
    engine: str = _setting(
        "REMASK_ENGINE",
        "child",
        "Where the model runs. `child`: in processes of this machine. `ray`: on the cluster at "
        "`REMASK_RAY_ADDRESS`, whose own settings say which model ([cluster.md](cluster.md)).",
    )
    ray_address: str | None = _setting(
        "REMASK_RAY_ADDRESS",
        None,
        "HTTP address of Ray Serve's proxy, such as `http://127.0.0.1:8000`; several with commas "
        "between, and another is asked where one does not answer.",
    )
    device: str = _setting(
        "DEVICE",
        "auto",
        "`cpu`, `cuda`, `cuda:1` or `auto`: the first CUDA device, if any. `cuda:0,cuda:1`: a "
        "worker on each, with `REMASK_CACHE_MB` of memory each.",
    )
    model_threads: int | None = _setting(
        "REMASK_MODEL_THREADS",
        None,
        "CPU threads of the model's arithmetic; by default as many as the library takes.",
    )
    log_level: str = _setting("LOG_LEVEL", "INFO", "`DEBUG`, `INFO`, `WARNING` or `ERROR`.")
    state_dir: Path = _setting(
        "REMASK_STATE_DIR",
        lambda: user_state_path("remask", appauthor=False),
        "Folder of the click log (`sessions.db`), campaigns (`campaigns.db`) and the image cache.",
        shown="the user's state folder",
    )
    state_url: str | None = _setting(
        "REMASK_STATE_URL",
        None,
        "Database for click log and campaigns when several machines serve, such as "
        "`postgresql+psycopg://user@host/remask` (extra `postgresql`): SQLite in "
        "`REMASK_STATE_DIR` suffices for one, and its write-ahead log works on one machine only.",
        secret=True,
    )
    cache_mb: int = _setting(
        "REMASK_CACHE_MB",
        256,
        "Embeddings kept in the worker's memory: 64 images of Segment Anything at 4 MiB, or for "
        "`convnet` the pixels of some 250 photographs of a megapixel or less.",
        unit="MiB",
    )
    spill_mb: int = _setting(
        "REMASK_SPILL_MB",
        0,
        "Embeddings kept on disk as well, so that they outlive the worker; 0 keeps none. Worth "
        "it for slow encoders.",
        unit="MiB",
    )
    automatic_masks: bool = _setting(
        "REMASK_AUTOMATIC_MASKS",
        False,
        "`on`: a task without boxes gets automatic masks when Label Studio asks for a prediction. "
        "They take seconds to minutes an image, so nobody should wait for them unasked; "
        "`remask masks auto` does the same for a whole project.",
    )
    precompute: bool = _setting(
        "REMASK_PRECOMPUTE",
        False,
        "`on`: when a page of a project is opened, all its images are encoded in the background, "
        "clicks first, and kept on disk; needs `REMASK_SPILL_MB`. Worth it for slow encoders; "
        "`remask precompute` does the same by hand.",
    )
    image_cache_mb: int = _setting(
        "REMASK_IMAGE_CACHE_MB",
        4096,
        "Downloaded images kept in `REMASK_STATE_DIR`; a few thousand photographs.",
        unit="MiB",
    )
    allowed_hosts: tuple[str, ...] = _setting(
        "REMASK_ALLOWED_HOSTS",
        ("*.amazonaws.com", "storage.googleapis.com", "*.blob.core.windows.net"),
        "Hosts that images may come from, besides Label Studio itself: names separated by "
        "commas, `*.example.org` for every name below it. The default lets Label Studio's "
        "cloud storages work. A private address must be listed by name or number.",
    )
    local_files_root: Path | None = _setting(
        "REMASK_LOCAL_FILES_ROOT",
        None,
        "The folder that Label Studio knows as `LOCAL_FILES_DOCUMENT_ROOT`, if this machine sees "
        "it too: local files are then read from disk instead of through Label Studio.",
    )
    max_image_pixels: int = _setting(
        "REMASK_MAX_IMAGE_PIXELS",
        64_000_000,
        "Larger images are refused by their header, before they are decoded: 192 MB of pixels.",
        unit="pixels",
    )
    max_image_mb: int = _setting(
        "REMASK_MAX_IMAGE_MB", 64, "Larger files are not downloaded to the end.", unit="MiB"
    )
    max_request_mb: int = _setting(
        "REMASK_MAX_REQUEST_MB",
        256,
        "Larger requests are refused. Label Studio sends all selected tasks in one request, "
        "with all their masks: 10 MB for 1,000 plain tasks, much more for annotated ones.",
        unit="MiB",
    )
    fetch_timeout_s: float = _setting(
        "REMASK_FETCH_TIMEOUT_S",
        15.0,
        "Time that fetching one image may take in all: less than the 20 s a click may take.",
        unit="seconds",
    )
    threads: int = _setting(
        "REMASK_THREADS",
        64,
        "Requests worked on at once, each waiting for the worker most of the time. With 8, "
        "sixteen slow predictions keep `/health` waiting beyond Label Studio's limit of 1 s.",
    )

    alert_url: str | None = _setting(
        "REMASK_ALERT_URL",
        None,
        "A webhook of the team's own, called with JSON when an annotator's work on gold gets "
        "worse ([campaign-annotators.md](campaign-annotators.md)). A call that fails is logged.",
        secret=True,
    )

    def __post_init__(self) -> None:
        for name, least in (
            ("cache_mb", 1),
            ("spill_mb", 0),
            ("image_cache_mb", 1),
            ("max_image_pixels", 1),
            ("max_image_mb", 1),
            ("max_request_mb", 1),
            ("fetch_timeout_s", 0.1),
            ("threads", 8),
            ("port", 0),
        ):
            if getattr(self, name) < least:
                raise _problem(name, f"at least {least}", getattr(self, name))
        if self.port > 65535:
            raise _problem("port", "at most 65535", self.port)
        if self.model_threads is not None and self.model_threads < 1:
            raise _problem("model_threads", "at least 1", self.model_threads)
        if self.log_level not in LOG_LEVELS:
            raise _problem("log_level", "one of " + ", ".join(LOG_LEVELS), self.log_level)
        if self.engine not in _ENGINES:
            raise _problem("engine", "one of " + ", ".join(_ENGINES), self.engine)
        if self.engine == "ray" and self.ray_address is None:
            raise InputError(
                "`REMASK_ENGINE` is ray, so `REMASK_RAY_ADDRESS` (--ray-address) must be the "
                "address of the cluster, such as http://127.0.0.1:8000; it is not set"
            )
        if self.ray_address is not None:
            check_addresses(self.ray_address)
        if (self.basic_auth_user is None) != (self.basic_auth_pass is None):
            raise InputError("`BASIC_AUTH_USER` and `BASIC_AUTH_PASS` must be set together")
        if self.basic_auth_user is not None and ":" in self.basic_auth_user:
            raise _problem("basic_auth_user", "without a colon", self.basic_auth_user)
        for name in ("label_studio_url", "label_studio_host"):
            url = getattr(self, name)
            if url is not None and not _is_plain_url(url):
                raise _problem(
                    name, "like https://labels.example.org, without a user name in it", shown(url)
                )
        if self.label_studio_url is None and self.label_studio_api_key is not None:
            raise InputError("`LABEL_STUDIO_API_KEY` is set, so `LABEL_STUDIO_URL` must be too")
        if self.precompute and self.label_studio_api_key is None:
            raise InputError(
                "`REMASK_PRECOMPUTE` needs `LABEL_STUDIO_URL` and `LABEL_STUDIO_API_KEY`, to read "
                "the tasks of a project"
            )
        if self.precompute and not self.spill_mb:
            raise InputError("`REMASK_PRECOMPUTE` needs `REMASK_SPILL_MB`: room on disk")
        if self.local_files_root is not None and not self.local_files_root.is_dir():
            raise _problem("local_files_root", "a folder that exists", self.local_files_root)

    @classmethod
    def from_environ(
        cls, environ: Mapping[str, str], *, overrides: Mapping[str, object] | None = None
    ) -> Settings:
        """Return the settings that `environ` gives; an empty variable counts as not set.

        Args:
            environ: Environment variables.
            overrides: Field name to value, from the command line; None values are left out.

        Raises:
            InputError: A value is not what it must be, or a `REMASK_` variable is not known.
        """
        known = {field_.metadata["env"]: field_ for field_ in fields(cls)}
        for name in environ:
            if name.startswith("REMASK_") and name not in known:
                near = get_close_matches(name, known, n=1)
                hint = f"; did you mean {near[0]}?" if near else ""
                raise InputError(f"`{name}` is not a setting of remask{hint}")
        values: dict[str, Any] = {
            field_.name: _parse(field_, environ[env].strip())
            for env, field_ in known.items()
            if environ.get(env, "").strip()
        }
        values.update(
            {name: value for name, value in (overrides or {}).items() if value is not None}
        )
        return cls(**values)

    @property
    def warnings(self) -> tuple[str, ...]:
        """What works and is probably not meant, one sentence each."""
        if self.basic_auth_user is not None or _is_loopback(self.host):
            return ()
        return (
            f"anybody who reaches {self.host} can use this backend, read images through it and "
            "write to its click log: set BASIC_AUTH_USER and BASIC_AUTH_PASS",
        )

    @property
    def state_place(self) -> str:
        """The click log's database: a URL, or the path of an SQLite file."""
        return self.state_url or str(self.state_dir / "sessions.db")

    @property
    def click_log_aside(self) -> Path:
        """File for rows of the click log that its database could not take."""
        return self.state_dir / "click-log-aside.jsonl"

    @property
    def campaign_place(self) -> str:
        """The campaigns' database, a URL or a path; a file of its own, for both are written to."""
        return self.state_url or str(self.state_dir / "campaigns.db")

    @property
    def shown_state_place(self) -> str:
        """The same without a password."""
        if self.state_url is None:
            return self.state_place
        parts = urlsplit(self.state_url)
        return parts._replace(netloc=parts.netloc.rpartition("@")[2], query="").geturl()


def settings_markdown() -> str:
    """Return the table of all settings as Markdown, the text of `docs/settings.md`."""
    lines = [
        "# Settings",
        "",
        "`remask serve` reads these environment variables; flags of the same meaning win over",
        "them (`remask serve --help`). A variable that begins with `REMASK_` and is not listed",
        "here is refused, so that a misspelt name does not go unnoticed.",
        "",
        "| variable | default | what it does, and why the default is what it is |",
        "| --- | --- | --- |",
    ]
    for field_ in fields(Settings):
        about = field_.metadata
        lines.append(f"| `{about['env']}` | {_shown_default(field_)} | {about['why']} |")
    return "\n".join(lines) + "\n"


def _shown_default(field_: Field[Any]) -> str:
    if field_.metadata["shown"]:
        return str(field_.metadata["shown"])
    value = field_.default
    if value is None or value is MISSING:
        return "–"
    if isinstance(value, bool):
        return f"`{'on' if value else 'off'}`"
    text = f"`{', '.join(value) if isinstance(value, tuple) else value}`"
    return f"{text} {field_.metadata['unit']}".strip()


def _parse(field_: Field[Any], text: str) -> object:
    kind = str(field_.type).removesuffix(" | None")
    if kind == "Path":
        return Path(text).expanduser().absolute()
    if kind.startswith("tuple"):
        return tuple(part.strip().lower() for part in text.split(",") if part.strip())
    if kind == "bool":
        if text.lower() not in _SWITCH:
            raise _problem(field_.name, "`on` or `off`", text)
        return _SWITCH[text.lower()]
    if kind in ("int", "float"):
        try:
            return int(text) if kind == "int" else float(text)
        except ValueError:
            raise _problem(field_.name, "a number", text) from None
    return text.upper() if field_.name == "log_level" else text


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _is_plain_url(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return (
            parts.scheme in ("http", "https")
            and bool(parts.hostname)
            and parts.username is None
            and parts.port != 0
        )
    except ValueError:
        return False


def _problem(name: str, needed: str, came: object) -> InputError:
    env = next(field_.metadata["env"] for field_ in fields(Settings) if field_.name == name)
    return InputError(f"`{env}` must be {needed}; got {came!r}")
