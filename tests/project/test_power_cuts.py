"""After a power cut at any moment, a run resumes from what is on the disk."""

import random
import sys

import pytest
from power_cuts import Disk
from runs import curves, digests, metrics, read, train

from training import checkpoints, files, folders
from training.checkpoints import Checkpoints
from training.provenance import recorded_config

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="asks Linux what a descriptor is")

SETTINGS = {
    "model_name": "LinearRegression", "random_seed": 4, "jit": "off",
    "max_iter": 60, "save_every": 20, "log_every": 5, "eval_every": 15, "max_to_keep": 2,
}  # fmt: skip
DAMAGE = "not what was promised"


@pytest.fixture
def world(tmp_path):
    """An empty folder, a straight run beside it, and a disk that watched one being made."""
    straight = tmp_path / "straight"
    train(SETTINGS | {"result_dir": str(straight)})
    return tmp_path, straight


def recorded(folder, settings=SETTINGS):
    """The disk that watched a run, which was paused and resumed."""
    watched = folder / "watched"
    watched.mkdir()
    with Disk(watched) as disk:
        train(settings | {"result_dir": str(watched / "run")}, until=25)
        train(settings | {"result_dir": str(watched / "run")})
    return disk


def promised_step(disk, cut, folder):
    """The last step whose line was certain to be on the disk; None before the first."""
    disk.image(cut, folder, "certain")
    return Checkpoints(folder / "run", {}).last_step()


def problem_after(disk, cut, choice, folder, straight):
    """Go on with what a cut left. Returns what is wrong with the result; "" if nothing is."""
    promised = promised_step(disk, cut, folder / "certain")
    disk.image(cut, folder / "image", choice)
    run = folder / "image" / "run"
    try:
        newest = Checkpoints(run, {}).newest()
        if promised is not None and (newest is None or newest["step"] < promised):
            return f"{DAMAGE}: step {promised}"
        # A new start gives its settings; one that is known to be a run needs none.
        train((recorded_config(run) and {} or SETTINGS) | {"result_dir": str(run)})
    except (ValueError, OSError) as error:
        return f"{type(error).__name__}: {error}"
    both = {step: digest for step, digest in digests(run).items() if step != 25}
    if both != digests(straight):
        return "other weights"
    if curves(run) != curves(straight):
        return "other curves"
    return "" if metrics(run) == metrics(straight) else "other metrics"


def choices(cut, number):
    """What may be left after a cut; the random ones differ from cut to cut."""
    return ["certain", "latest", *(random.Random(1000 * cut + i) for i in range(number))]


def problems(disk, cuts, images, world):
    """What is wrong after each cut, in some images of what may be left."""
    tmp_path, straight = world
    for cut in cuts:
        for number, choice in enumerate(choices(cut, images)):
            folder = tmp_path / f"{cut}-{number}"
            folder.mkdir()
            problem = problem_after(disk, cut, choice, folder, straight)
            if problem:
                yield f"cut {cut} ({disk.cuts[cut][0]}), {choice}: {problem}"


def test_a_power_cut_loses_nothing_that_was_promised(world):
    disk = recorded(world[0])
    cuts = random.Random(0).sample(range(len(disk.cuts)), 8)
    assert list(problems(disk, cuts, 1, world)) == []


@pytest.mark.campaign
def test_a_power_cut_at_every_moment_loses_nothing_that_was_promised(world, capsys):
    disk = recorded(world[0])
    moments, images = len(disk.cuts), 6
    found = list(problems(disk, range(moments), images, world))
    with capsys.disabled():
        print(f"\n{moments} moments, {moments * (2 + images)} folders, {len(found)} problems")
    assert found == []


def test_records_are_written_once_a_checkpoint_is_certain(world):
    """A resume takes records without a checkpoint for a run that has lost its checkpoints."""
    tmp_path, _ = world
    disk, recording = recorded(tmp_path), []
    for cut in range(len(disk.cuts)):
        folder = tmp_path / str(cut)
        folder.mkdir()
        disk.image(cut, folder / "latest", "latest")
        if (folder / "latest" / "run" / "metrics.jsonl").exists():
            recording.append(cut)
            assert promised_step(disk, cut, folder / "certain") is not None, disk.cuts[cut][0]
    assert 0 < len(recording) < len(disk.cuts)


def test_a_run_that_has_ended_stays_so_whatever_folder_it_made(tmp_path, monkeypatch):
    watched, image = tmp_path / "watched", tmp_path / "image"
    monkeypatch.setattr(folders, "RESULTS", watched / "results")
    watched.mkdir()
    with Disk(watched) as disk:
        for given in ({"result_dir": str(watched / "deep" / "run")}, {}):
            train(SETTINGS | given)
    disk.image(-1, image, "certain")
    runs = [path.parent for path in watched.rglob("metrics.jsonl")]
    assert len(runs) == 2
    for run in runs:
        kept = image / run.relative_to(watched)
        assert read(kept, "status.json")["status"] == "complete"
        assert metrics(kept) == metrics(run) != []


def test_without_syncing_it_would_be_seen(world, monkeypatch):
    for module in ("files", "checkpoints", "metrics", "run", "folders", "events"):
        monkeypatch.setattr(f"training.{module}.sync", lambda path: None)
    disk = recorded(world[0])
    monkeypatch.undo()
    assert any(problems(disk, range(len(disk.cuts) // 2, len(disk.cuts)), 1, world))


def test_a_line_before_its_files_would_be_seen(world, monkeypatch):
    def too_early(self, *arguments, commit=Checkpoints.commit):
        late = []
        with monkeypatch.context() as patch:
            patch.setattr(checkpoints, "sync", late.append)
            commit(self, *arguments)
        for path in (self.file, *late):
            files.sync(path)

    monkeypatch.setattr(Checkpoints, "commit", too_early)
    disk = recorded(world[0])
    monkeypatch.undo()
    cuts = range(len(disk.cuts) // 2, len(disk.cuts))
    assert any(DAMAGE in problem for problem in problems(disk, cuts, 1, world))
