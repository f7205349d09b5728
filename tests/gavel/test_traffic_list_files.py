"""Lists of robots, browsers and data centres that operators keep in files."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import msgspec
import pytest
from structlog.testing import capture_logs

from domain.errors import InvalidInput
from gavel.checkup import check_all
from gavel.settings import Settings, load
from gavel.traffic_list_files import FOLLOW_SECONDS, TrafficListFiles
from tests.commands.eventually import eventually

BROWSER = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
ROBOT = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"
CLOUD, ELSEWHERE = "192.0.2.77", "198.51.100.7"


@asynccontextmanager
async def following(files: TrafficListFiles) -> AsyncIterator[None]:
    task = asyncio.create_task(files.follow())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


def in_file(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_the_settings_name_them(tmp_path: Path) -> None:
    """Each variable is a path; without any of them what is known anyway holds."""
    clouds = in_file(tmp_path / "clouds.txt", f"{CLOUD}/32")
    settings = load({"GAVEL_DATA_CENTRES": str(clouds), "GAVEL_DATA": str(tmp_path)}, dotenv=tmp_path / ".env")
    assert settings.data_centres == clouds
    lists = TrafficListFiles(settings)()
    assert lists.objection(CLOUD, BROWSER) is not None
    assert lists.objection(ELSEWHERE, BROWSER) is None
    anyway = TrafficListFiles(Settings())()
    assert anyway.objection(CLOUD, BROWSER) is None
    assert anyway.objection(CLOUD, ROBOT) is not None


async def test_a_changed_file_is_taken_up(tmp_path: Path) -> None:
    """Without a restart, whether it is rewritten or replaced by another one of that name."""
    robots = in_file(tmp_path / "robots.txt", "HouseCrawler")
    clouds = in_file(tmp_path / "clouds.txt", f"{CLOUD}/32")
    files = TrafficListFiles(Settings(robot_patterns=robots, data_centres=clouds))
    assert files().is_robot("HouseCrawler/1")
    async with following(files):
        robots.write_text("OfficeCrawler")
        await eventually(lambda: files().is_robot("OfficeCrawler/1"))
        assert not files().is_robot("HouseCrawler/1")
        assert files().is_robot(ROBOT)
        in_file(tmp_path / "new.txt", f"{ELSEWHERE}/32").replace(clouds)
        await eventually(lambda: files().objection(ELSEWHERE, BROWSER) is not None)
        assert files().objection(CLOUD, BROWSER) is None


async def test_a_bad_file_changes_nothing(tmp_path: Path) -> None:
    """The lists in force stay as they are, the log names the bad lines, and the corrected file is taken up."""
    clouds = in_file(tmp_path / "clouds.txt", f"{CLOUD}/32")
    files = TrafficListFiles(Settings(data_centres=clouds))
    with capture_logs() as logs:
        async with following(files):
            clouds.write_text(f"{ELSEWHERE}/32\n300.0.0.0/8\n")
            await eventually(lambda: logs)
            assert files().objection(CLOUD, BROWSER) is not None
            assert files().objection(ELSEWHERE, BROWSER) is None
            clouds.unlink()
            await eventually(lambda: len(logs) == 2)
            assert files().objection(CLOUD, BROWSER) is not None
            clouds.write_text("# none yet\n")
            await eventually(lambda: len(logs) == 3)
            assert files().objection(CLOUD, BROWSER) is not None
            clouds.write_text(f"{ELSEWHERE}/32\n")
            await eventually(lambda: files().objection(ELSEWHERE, BROWSER) is not None)
    assert f"{clouds}:2" in logs[0]["reason"]
    assert f"cannot read {clouds}" in logs[1]["reason"]
    assert f"{clouds} holds no entry" in logs[2]["reason"]


async def test_a_file_that_is_being_written_is_waited_for(tmp_path: Path) -> None:
    """A list that grows line by line is taken up as a whole: half of it would make robots of people."""
    browsers = in_file(tmp_path / "browsers.txt", "^Mozilla/")
    files = TrafficListFiles(Settings(browser_patterns=browsers))
    met: set[tuple[bool, bool]] = set()

    def knows_both() -> bool:
        lists = files()
        met.add((lists.objection("", BROWSER) is None, lists.objection("", "Kiosk/9") is None))
        return (True, True) in met

    async with following(files):
        with browsers.open("w") as writer:
            for number in range(10):
                writer.write(f"^Kiosk/{number}\n")
                writer.flush()
                assert not knows_both()
                await asyncio.sleep(FOLLOW_SECONDS / 4)
            writer.write("^Mozilla/\n")
        await eventually(knows_both)
    assert met == {(True, False), (True, True)}


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("data_centres", "192.0.2.0/24\nnonsense", "{path}:2"),
        ("robot_patterns", "(", "{path}:1"),
        ("browser_patterns", ".*", "{path}:1"),
        ("robot_patterns", "Caf\u00e9".encode("latin-1"), "GAVEL_ROBOT_PATTERNS: {path} is not UTF-8"),
        ("data_centres", None, "GAVEL_DATA_CENTRES: cannot read {path}"),
        ("browser_patterns", "# none", "GAVEL_BROWSER_PATTERNS: {path} holds no entry"),
        ("robot_patterns", "", "GAVEL_ROBOT_PATTERNS: {path} holds no entry"),
        ("data_centres", "\n\n", "GAVEL_DATA_CENTRES: {path} holds no entry"),
    ],
)
async def test_a_bad_file_at_the_start(tmp_path: Path, name: str, content: str | bytes | None, told: str) -> None:
    """Nothing starts on half of a list: the fault is named with its place, and `gavel doctor` names it too."""
    path = tmp_path / "list.txt"
    if content is not None:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    settings = msgspec.structs.replace(Settings(data=tmp_path), **{name: path})
    with pytest.raises(InvalidInput) as raised:
        TrafficListFiles(settings)
    assert told.format(path=path) in str(raised.value)
    [check] = [each for each in await check_all(settings) if each.name == "traffic lists"]
    assert not check.ok
    assert told.format(path=path) in check.found


async def test_the_doctor_tells_what_is_in_force(tmp_path: Path) -> None:
    """How many entries there are, so that a file which is too short is seen."""
    settings = Settings(data=tmp_path, data_centres=in_file(tmp_path / "clouds.txt", f"{CLOUD}/32\n2001:db8::/32\n"))
    [check] = [each for each in await check_all(settings) if each.name == "traffic lists"]
    assert check.ok
    assert "1 IPv4 ranges, 1 IPv6 ranges" in check.found
