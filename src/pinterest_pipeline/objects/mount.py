"""A bucket as a mount of DBFS, as the original had it. Where Unity Catalog is, a volume takes its place."""

from pinterest_pipeline.errors import Forbidden, SettingError
from pinterest_pipeline.notebook import Dbutils

# Keys of the secret scope.
KEY_ID, KEY = "aws_access_key_id", "aws_secret_access_key"


def mounted(dbutils: Dbutils, bucket: str, secret_scope: str) -> str:
    """The mount point of `bucket`, mounted when it is not; may be called again and again.

    The keys come from the secret scope and are handed over as configuration, never in the address, which
    everybody who lists the mounts can read. A mount through which nothing can be listed, as one that was
    half done, is made anew.

    Raises SettingError when another source is mounted there, Forbidden when the bucket cannot be read.
    """
    point, source = f"/mnt/{bucket}", f"s3a://{bucket}"
    there = {mount.mountPoint: mount.source for mount in dbutils.fs.mounts()}.get(point)
    if there not in (None, source):
        raise SettingError(
            f"{point} is a mount of another source already",
            f"dbutils.fs.unmount('{point}') if nobody needs it",
        )
    if there and _is_readable(dbutils, point):
        return point
    if there:
        dbutils.fs.unmount(point)
    _mount(dbutils, source, point, secret_scope)
    return point


def _mount(dbutils: Dbutils, source: str, point: str, secret_scope: str) -> None:
    keys = {
        "fs.s3a.access.key": dbutils.secrets.get(secret_scope, KEY_ID),
        "fs.s3a.secret.key": dbutils.secrets.get(secret_scope, KEY),
    }
    dbutils.fs.mount(source, point, extra_configs=keys)
    if not _is_readable(dbutils, point):  # a mount is made whether its keys are good or not
        dbutils.fs.unmount(point)
        raise Forbidden(
            f"{source} is mounted, but cannot be listed",
            f"look at the keys in the secret scope '{secret_scope}'",
        )


def _is_readable(dbutils: Dbutils, point: str) -> bool:
    try:
        dbutils.fs.ls(point)
    except Exception:  # of the JVM, of py4j or of Spark Connect, as the compute has it
        return False
    return True
