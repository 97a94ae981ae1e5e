"""What the notebook `databricks/kinesis_streams.py` takes for granted: on Databricks, and on this machine."""

from typing import TYPE_CHECKING, Final

from pinterest_pipeline.config import load_settings, on_databricks

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from pinterest_pipeline.notebook import Secrets

_ON_DATABRICKS: Final = {
    "pipeline_id": "124df56aef51",
    "region": "us-east-1",
    "endpoint": "",
    "tables": "workspace.pinterest_stream",
    "checkpoints": "/Volumes/workspace/pinterest_stream/progress",
}
_ACCESS_KEY: Final = "aws_access_key_id"
_SECRET_KEY: Final = "aws_secret_access_key"  # noqa: S105 - the name under which a scope keeps it


def default(widget: str) -> str:
    """The default of a widget; on this machine the gateway and the working folder of the settings."""
    if on_databricks():
        return _ON_DATABRICKS[widget]
    settings = load_settings()
    return {
        "pipeline_id": settings.pipeline_id,
        "region": "us-east-1",
        "endpoint": settings.gateway.url(settings.gateway.host, settings.gateway.port),
        "tables": str(settings.data.absolute() / "spark" / "tables"),
        "checkpoints": str(settings.data.absolute() / "spark" / "checkpoints"),
    }[widget]


def access(
    secrets: "Secrets", endpoint: str, secret_scope: str, service_credential: str = ""
) -> dict[str, str]:
    """The options of the source `kinesis` that say where it is and who asks.

    With a service credential of Unity Catalog: that. With a scope: its secrets `aws_access_key_id` and
    `aws_secret_access_key`. Without both the role of the compute, and at another endpoint, such as our
    gateway, which reads no signature, any key at all.
    """
    options = {"endpoint": endpoint} if endpoint else {}
    if service_credential:
        options["serviceCredential"] = service_credential
    elif secret_scope:
        options["awsAccessKey"] = secrets.get(secret_scope, _ACCESS_KEY)
        options["awsSecretKey"] = secrets.get(secret_scope, _SECRET_KEY)
    elif endpoint:
        options |= {"awsAccessKey": "any", "awsSecretKey": "any"}
    return options


def register_kinesis(spark: "SparkSession") -> None:
    """Make the package's source `kinesis` known to a session; not on Databricks, which has its own.

    Nothing of ours may be imported there: its Spark may be older than what our source is made of.
    """
    if not on_databricks():
        from pinterest_pipeline.engines.kinesis_source import KinesisDataSource

        spark.dataSource.register(KinesisDataSource)
