"""Reads the cloud task with SkyPilot's own loader; `make test-cloud` runs it in SkyPilot's own environment.

python training/tests/sky_task.py training/cloud/train.yaml
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml
from sky.data import storage
from sky.jobs import recovery_strategy  # noqa: F401  (registers the strategies)
from sky.utils import dag_utils
from sky.utils.registry import JOBS_RECOVERY_STRATEGY_REGISTRY

BUCKET = [("BUCKET", "a-bucket")]


def load(text: str, overrides: list[tuple[str, str]] = BUCKET) -> Any:
    """Return the one task of ``text``, read as `sky jobs launch` reads it."""
    (task,) = dag_utils.load_chain_dag_from_yaml_str(text, env_overrides=overrides).tasks
    return task


def main(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    task = load(text)
    (machine,) = task.resources

    assert str(machine.cloud) == "AWS", machine
    assert machine.accelerators == {"A10G": 4}, machine
    assert machine.use_spot, "the task is meant for spot machines"
    recovery = machine.job_recovery
    assert recovery, "a job that loses its machine must get another"
    assert JOBS_RECOVERY_STRATEGY_REGISTRY.from_str(recovery["strategy"]), recovery
    # Code that fails must end the job, not buy another machine.
    assert not recovery.get("max_restarts_on_errors"), recovery

    stop = machine.autostop_config
    assert stop is not None, "no autostop"
    assert stop.enabled, "autostop is off"
    assert stop.down, "autostop must terminate the machine"
    assert 0 < stop.idle_minutes <= 15, stop

    ((place, bucket),) = task.storage_mounts.items()
    assert place == "/results"
    assert bucket.name == "a-bucket", "the bucket does not come from BUCKET"
    assert bucket.mode is storage.StorageMode.MOUNT_CACHED
    assert bucket.persistent, "the results must outlive the job"
    assert not task.file_mounts, "files of this machine would be copied"
    assert not task.secrets, "secrets are given on the command line, or not at all"
    assert task.run.startswith("timeout "), "the job needs an end"
    for script in ("training/cloud/setup.sh", "training/cloud/run.sh"):
        assert script in task.setup + task.run
        assert Path(script).is_file(), f"{script}: no such file in {Path.cwd()}"

    refuses("a task without a bucket", lambda: load(text, []))
    refuses("an unknown key", lambda: load(text.replace("workdir:", "workdirectory:")))
    refuses("an unknown resource", lambda: load(text.replace("use_spot:", "use_spots:")))
    refuses("an unknown mode", lambda: load(text.replace("MOUNT_CACHED", "MOUNTED")))
    assert set(yaml.safe_load(text)["envs"]) >= {"BUCKET", "DOMAIN", "MODEL", "NUM_SAMPLES", "RECIPE"}
    print(f"{path}: SkyPilot reads it: {machine}")


def refuses(what: str, read: Callable[[], object]) -> None:
    """Fail unless reading raises: a loader that takes everything would prove nothing."""
    try:
        read()
    except ValueError:
        return
    raise AssertionError(f"the loader took {what}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
