"""The wheel is complete, the lock files match the project, and the set-up in the README equals that of make."""

import os
import re
import subprocess
import sys
import sysconfig
import tarfile
import tomllib
import venv
import zipfile
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement

import balancebot
from tests.patience import PATIENCE

_ROOT = Path(__file__).parents[1]
_PROJECT: dict[str, Any] = tomllib.loads((_ROOT / "pyproject.toml").read_text())


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project's wheel, built without downloads."""
    folder = tmp_path_factory.mktemp("wheel")
    build = "import sys; from hatchling.build import build_wheel; build_wheel(sys.argv[1])"
    subprocess.run([sys.executable, "-c", build, str(folder)], cwd=_ROOT, check=True, capture_output=True)
    (built,) = folder.glob("*.whl")
    return built


def test_the_wheel_contains_templates_migrations_and_the_licence(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    for folder in ("templates", "migrations"):
        for file in (_ROOT / folder).rglob("*"):
            if file.is_file() and "__pycache__" not in file.parts:
                assert f"balancebot/_data/{file.relative_to(_ROOT).as_posix()}" in names
    for file in (_ROOT / "balancebot").rglob("*"):
        if file.is_file() and "__pycache__" not in file.parts:
            assert file.relative_to(_ROOT).as_posix() in names
    assert f"balancebot-{balancebot.__version__}.dist-info/licenses/LICENSE" in names


@pytest.mark.slow
def test_the_wheel_installed_into_an_empty_environment_runs_from_another_folder(
    wheel: Path, tmp_path: Path
) -> None:
    home = tmp_path / "venv"
    venv.create(home, with_pip=False)
    python = home / "bin" / "python"
    packages = Path(
        subprocess.run(
            [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"],
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
    )
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(packages)
    # dependencies come from this environment, so that nothing is downloaded; the project itself does not
    (packages / "others.pth").write_text(sysconfig.get_path("purelib"))
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    code = (
        "import balancebot, sys; from balancebot.cli import main\n"
        "print(balancebot.__file__); sys.exit(main(['demo', '--once']))"
    )
    done = subprocess.run(
        [python, "-c", code],
        cwd=elsewhere,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
    )
    assert (0, "") == (done.returncode, done.stderr)
    assert done.stdout.startswith(str(packages))
    assert "Recovered from warning" in done.stdout


def _pythons() -> list[str]:
    """Return the Pythons of this machine that the project allows, one for each minor version."""
    names = [f"python3.{minor}" for minor in range(11, 20)]
    folders = [Path.home() / ".pyenv" / "versions", Path("/usr/bin"), Path("/usr/local/bin")]
    found = {
        name: path
        for name in names
        for folder in folders
        for path in (*folder.glob(f"*/bin/{name}"), folder / name)
        if path.exists()
    }
    return [str(found[name]) for name in sorted(found)]


@pytest.mark.slow
@pytest.mark.parametrize("python", _pythons())
def test_the_wheel_starts_on_every_installed_python(wheel: Path, tmp_path: Path, python: str) -> None:
    """All modules compile; whatever needs packages compiled for one Python only runs on this one."""
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path)
    code = "import sys; from balancebot.cli import main; sys.exit(main(sys.argv[1:]))"
    subprocess.run(
        [python, "-W", "error::SyntaxWarning", "-m", "compileall", "-q", tmp_path / "balancebot"], check=True
    )
    is_this = Path(python).name == f"python3.{sys.version_info.minor}"
    calls = (
        (["--help"], "Will we run out of SMS"),
        (["--version"], f"balancebot {balancebot.__version__}\n"),
        (["config", "reference"], "[poll]"),
    )
    for words, expected in calls if is_this else calls[:1]:
        done = subprocess.run(
            [python, "-W", "error::SyntaxWarning", "-c", code, *words],
            cwd=tmp_path,
            env={"PATH": "/usr/bin:/bin", "PYTHONPATH": f"{tmp_path}:{sysconfig.get_path('purelib')}"},
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE,
        )
        assert (0, "") == (done.returncode, done.stderr), words
        assert expected in done.stdout


@pytest.mark.long
@pytest.mark.parametrize("python", _pythons())
def test_the_wheel_works_with_its_locked_packages_on_every_installed_python(
    wheel: Path, tmp_path: Path, python: str
) -> None:
    """Needs uv, and the network for packages that aren't in its cache."""
    home = tmp_path / "venv"
    environment = {
        name: value for name, value in os.environ.items() if name not in {"PYTHONPATH", "VIRTUAL_ENV"}
    }

    def run(*words: str | Path) -> str:
        done = subprocess.run(
            words,
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=5 * PATIENCE,
        )
        assert 0 == done.returncode, done.stdout + done.stderr
        return done.stdout

    install = ("uv", "pip", "install", "--quiet", "--python", home / "bin" / "python")
    run("uv", "venv", "--quiet", "--python", python, home)
    run(*install, "--require-hashes", "--requirement", _ROOT / "requirements.lock")
    run(*install, "--no-deps", wheel)
    program = home / "bin" / "balancebot"
    assert "Recovered from warning" in run(program, "demo", "--once")
    run(program, "init", "--account", "acme", "--dev-key", "key", "--dev-secret", "secret")
    assert "configuration" in run(program, "check", "--offline")


def test_the_wheel_of_the_sdist_is_the_same(wheel: Path, tmp_path: Path) -> None:
    build = "import sys; from hatchling.build import build_sdist; build_sdist(sys.argv[1])"
    subprocess.run([sys.executable, "-c", build, tmp_path], cwd=_ROOT, check=True, capture_output=True)
    (sdist,) = tmp_path.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        # Python 3.11 before 3.11.4 has no extraction filters
        archive.extraction_filter = getattr(tarfile, "data_filter", None)
        archive.extractall(tmp_path)
    (unpacked,) = (path for path in tmp_path.iterdir() if path.is_dir())
    build = "import sys; from hatchling.build import build_wheel; build_wheel(sys.argv[1])"
    subprocess.run([sys.executable, "-c", build, tmp_path], cwd=unpacked, check=True, capture_output=True)
    (built,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as direct, zipfile.ZipFile(built) as by_sdist:
        assert set(direct.namelist()) == set(by_sdist.namelist())


@pytest.mark.parametrize(
    ("lock", "wanted"),
    [
        ("requirements.lock", _PROJECT["project"]["dependencies"]),
        ("requirements.lock", _PROJECT["project"]["optional-dependencies"]["postgres"]),
        ("requirements-dev.lock", _PROJECT["dependency-groups"]["dev"]),
        ("requirements-docs.lock", _PROJECT["dependency-groups"]["docs"]),
    ],
    ids=["runtime", "postgres", "development", "documentation"],
)
def test_a_lock_file_satisfies_the_requirements_of_the_project(lock: str, wanted: list[str]) -> None:
    locked = _locked(lock)
    for requirement in map(Requirement, wanted):
        assert requirement.specifier.contains(locked[requirement.name.lower()]), (
            f"{requirement}: run make lock"
        )


@pytest.mark.parametrize("lock", ["requirements.lock", "requirements-dev.lock", "requirements-docs.lock"])
def test_a_lock_file_has_every_hash_and_no_address(lock: str) -> None:
    text = (_ROOT / lock).read_text()
    assert "://" not in text
    for name in _locked(lock):
        assert re.search(rf"^{re.escape(name)}==[^\n]*\\\n    --hash=sha256:", text, re.MULTILINE)


def test_the_readme_begins_with_the_two_commands_of_the_set_up() -> None:
    block = re.search(r"```console\n(.*?)```", (_ROOT / "README.md").read_text(), re.DOTALL)
    assert block is not None
    commands = [line.split("#")[0].strip() for line in block[1].splitlines()]
    assert ["make demo", "make test"] == commands
    asked = subprocess.run(
        ["make", "--dry-run", *["demo", "test"]], cwd=_ROOT, capture_output=True, text=True, check=True
    )
    assert "balancebot demo --once" in asked.stdout
    assert "make test" in (_ROOT / ".ci" / "run").read_text()


def _locked(lock: str) -> dict[str, str]:
    """Return the version of each package in a lock."""
    found = re.findall(r"^([a-z0-9._-]+)==([^\s;]+)", (_ROOT / lock).read_text(), re.MULTILINE)
    return dict(found)
