"""`dbutils.fs` as far as mounts need it: one is made with wrong keys too, and shows it when it is read."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import SimpleNamespace


@dataclass
class Mounts:
    """Mounts of buckets that open to one key; `mount` dies at its end as often as `dies` says."""

    key: str
    dies: int = 0
    made: dict[str, SimpleNamespace] = field(default_factory=dict)

    def mounts(self) -> list[SimpleNamespace]:
        return list(self.made.values())

    def mount(self, source: str, mount_point: str, *, extra_configs: Mapping[str, str]) -> bool:
        if mount_point in self.made:
            raise RuntimeError(f"java.rmi.RemoteException: Directory already mounted: {mount_point}")
        key = extra_configs["fs.s3a.secret.key"]
        self.made[mount_point] = SimpleNamespace(mountPoint=mount_point, source=source, key=key)
        if self.dies > 0:
            self.dies -= 1
            self.made[mount_point].key = ""
            raise RuntimeError("java.util.concurrent.TimeoutException: the mount was half done")
        return True

    def unmount(self, mount_point: str) -> bool:
        del self.made[mount_point]
        return True

    def ls(self, path: str) -> list[str]:
        if self.made[path].key != self.key:
            raise RuntimeError("java.nio.file.AccessDeniedException: 403 Forbidden")
        return ["topics/"]
