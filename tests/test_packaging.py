"""What is installed: the wheel with its data, the pinned versions, the image's recipe, and nobody's own machine in it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import sysconfig
import tomllib
import venv
import zipfile
from collections.abc import Iterator
from importlib.metadata import requires, version
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import aggregator

ROOT = Path(__file__).parents[1]
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
NOT_OURS = {"data", "dist", "build"}  # made here, and ignored by git


def run(*command: str | Path, cwd: Path, env: dict[str, str] | None = None) -> str:
    done = subprocess.run(
        [str(one) for one in command],
        cwd=cwd,
        env=env,
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


# --- the wheel ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder, cwd=ROOT)
    (made,) = folder.glob("*.whl")
    return made


@pytest.fixture(scope="module")
def contents(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def test_the_wheel_holds_every_module_and_data_file_of_the_packages(contents: set[str]) -> None:
    here = {
        path.relative_to(ROOT).as_posix()
        for package in ("aggregator", "connectors", "storage")
        for path in (ROOT / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert here - contents == set()
    assert {"aggregator/triage/han.txt", "storage/migrations/env.py"} <= contents


def test_the_wheel_holds_the_shipped_settings_and_every_rule_file(contents: set[str]) -> None:
    rules = {
        f"aggregator/shipped/rules/{path.relative_to(ROOT / 'rules').as_posix()}"
        for path in (ROOT / "rules").rglob("*")
        if path.is_file()
    }
    shipped = {one for one in contents if one.startswith("aggregator/shipped/")}
    assert shipped == {*rules, "aggregator/shipped/settings.yaml"}


def test_the_wheel_holds_nothing_else(contents: set[str]) -> None:
    tops = {one.partition("/")[0] for one in contents}
    assert tops == {
        "aggregator",
        "connectors",
        "storage",
        f"inboxd-{aggregator.__version__}.dist-info",
    }
    assert [one for one in contents if one.endswith((".pyc", ".db"))] == []


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of commands of an environment with the wheel, and the dependencies of this one."""
    home = tmp_path_factory.mktemp("installed")
    venv.create(home, symlinks=True)
    python = home / "bin" / "python"
    pip = ("-m", "pip", "--python", python, "install", "--quiet", "--no-deps", "--no-index")
    run(sys.executable, *pip, wheel, cwd=home)
    packages = run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=home)
    ours = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
    Path(packages.strip(), "dependencies.pth").write_text("\n".join(sorted(ours)) + "\n")
    return home / "bin"


def clean() -> dict[str, str]:
    """The environment without anything that would show the checkout or other settings."""
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("INBOXD_", "PYTHON"))
    }


def test_what_is_installed_is_not_the_checkout(installed: Path, tmp_path: Path) -> None:
    where = "import aggregator, connectors, storage; print(aggregator.__file__)"
    said = run(installed / "python", "-c", where, cwd=tmp_path, env=clean())
    assert Path(said.strip()).is_relative_to(installed.parent)


def test_the_installed_command_starts_from_any_folder(installed: Path, tmp_path: Path) -> None:
    inboxd = installed / "inboxd"
    assert "deliveries" in run(inboxd, "--help", cwd=tmp_path, env=clean())
    said = run(inboxd, "--version", cwd=tmp_path, env=clean())
    assert said == f"inboxd {aggregator.__version__}\n"
    assert (
        run(installed / "python", "-m", "aggregator", "--version", cwd=tmp_path, env=clean())
        == said
    )


def test_a_folder_made_by_init_passes_check_and_judges(installed: Path, tmp_path: Path) -> None:
    inboxd, env = installed / "inboxd", clean()
    run(inboxd, "init", "品牌", cwd=tmp_path, env=env)
    made = tmp_path / "品牌"
    assert (made / "settings.yaml").read_bytes() == (ROOT / "settings.yaml").read_bytes()
    told = ("--settings", "品牌/settings.yaml")
    assert "rules: ok" in run(inboxd, *told, "check", cwd=tmp_path, env=env)
    assert " 0 failed" in run(inboxd, *told, "rules", "test", cwd=tmp_path, env=env)
    assert "P1" in run(inboxd, *told, "try", "充电宝冒烟了", cwd=tmp_path, env=env)


def test_the_installed_package_brings_its_own_migrations(installed: Path, tmp_path: Path) -> None:
    inboxd, env = installed / "inboxd", clean()
    run(inboxd, "init", ".", cwd=tmp_path, env=env)
    run(inboxd, "db", "upgrade", cwd=tmp_path, env=env)
    assert "sound" in run(inboxd, "db", "check", cwd=tmp_path, env=env)


# --- what is imported when ----------------------------------------------------------------------

SDKS = {"tweepy", "facebook", "wechatpy", "slack_sdk"}
IMPORTS = f"""
import sys, aggregator.app
from connectors.registry import connector_class
sdks, seen = {SDKS!r}, set()
print("app", *sdks & sys.modules.keys())
for name in ("weibo", "x", "facebook", "wechat"):
    connector_class(name)
    print(name, *sdks & sys.modules.keys() - seen)
    seen |= sys.modules.keys()
"""


def test_an_sdk_is_imported_with_its_first_account_and_not_before() -> None:
    said = run(sys.executable, "-c", IMPORTS, cwd=ROOT).splitlines()
    assert said == ["app", "weibo", "x tweepy", "facebook facebook", "wechat wechatpy"]


# --- pinned versions ----------------------------------------------------------------------------


def pins() -> dict[str, str]:
    lines = (ROOT / "constraints.txt").read_text("utf-8").splitlines()
    pairs = [line.split("==") for line in lines]
    assert len({canonicalize_name(name) for name, _ in pairs}) == len(lines)
    return {canonicalize_name(name): pinned for name, pinned in pairs}


def needed() -> Iterator[Requirement]:
    """What the project asks for here with all its extras, and all that asks for in turn."""
    extras = PROJECT["optional-dependencies"].values()
    listed = [*PROJECT["dependencies"], *(line for extra in extras for line in extra)]
    waiting = [one for one in map(Requirement, listed) if one.name != PROJECT["name"]]
    seen: set[tuple[str, str]] = set()
    while waiting:
        one = waiting.pop()
        yield one
        for extra in {"", *one.extras} - {extra for name, extra in seen if name == one.name}:
            seen.add((one.name, extra))
            below = (Requirement(line) for line in requires(one.name) or ())
            waiting += [
                need
                for need in below
                if need.marker is None or need.marker.evaluate({"extra": extra})
            ]


def test_the_constraints_pin_all_that_is_installed_within_what_the_project_allows() -> None:
    pinned = pins()
    every = list(needed())
    names = {canonicalize_name(one.name) for one in every}
    assert names - pinned.keys() == set()
    outside = [one for one in every if pinned[canonicalize_name(one.name)] not in one.specifier]
    assert outside == []
    # What is tested is what is installed elsewhere.
    assert {name: version(name) for name in names} == {name: pinned[name] for name in names}


def test_what_builds_the_wheel_is_pinned_too() -> None:
    whole = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    assert whole["build-system"]["requires"] == [f"hatchling=={pins()['hatchling']}"]


def test_the_version_is_the_same_wherever_it_stands() -> None:
    assert PROJECT["version"] == aggregator.__version__
    label = f'image.version="{aggregator.__version__}"'
    assert label in (ROOT / "Dockerfile").read_text("utf-8")


# --- what everybody may see -----------------------------------------------------------------------

HOSTS = ("pypi" + ".org", "python" + "hosted.org", "anaconda" + ".org", "registry" + ".npmjs")
MIRROR = re.compile(
    r"(index" + r"-url|find" + r"-links|mirrors?\.[\w-]+\.\w+|tuna\.tsinghua|/simple/?\s*$)", re.M
)
OWN_MACHINE = re.compile(r"(?<![\w.:/~-])/(?:home|Users|root|work|mnt)/\w")


def files() -> Iterator[Path]:
    for top in sorted(ROOT.iterdir()):
        if top.name in NOT_OURS or (
            top.name.startswith(".") and top.is_dir() and top.name != ".ci"
        ):
            continue
        for path in [top] if top.is_file() else sorted(top.rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                yield path


def test_no_file_names_a_package_registry_or_a_folder_of_one_machine() -> None:
    found = []
    for path in files():
        text = path.read_bytes().decode("utf-8", "replace")
        if any(host in text for host in HOSTS) or MIRROR.search(text) or OWN_MACHINE.search(text):
            found.append(path.relative_to(ROOT).as_posix())
    assert found == []


def test_the_image_is_made_of_files_that_are_there_and_runs_as_nobody_special() -> None:
    recipe = (ROOT / "Dockerfile").read_text("utf-8")
    copied = re.findall(r"^COPY (?!--from)(.*) \S+$", recipe, re.M)
    names = [name for line in copied for name in line.split()]
    ignored = (ROOT / ".dockerignore").read_text("utf-8").split()
    assert [name for name in names if not (ROOT / name).exists() or name in ignored] == []
    for line in ("USER 10001", "VOLUME /data", "HEALTHCHECK ", 'ENTRYPOINT ["inboxd"]'):
        assert f"\n{line}" in recipe
