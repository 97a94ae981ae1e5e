"""Every setting: typed, explained, refused at start by its name. The only reader of the environment.

A setting comes from the environment (`PINPIPE_SINK__FLUSH_SIZE=500`), from `pinpipe.toml` in the current
folder (`[sink]` `flush_size = 500`), from `homes.toml` of the working folder, which says where its topics and
objects are, or from its default, in this order; a variable that says `null` gives no value, whatever a file
says. The source database and the addresses of the HTTP API come from `db_creds.yaml`, as in the original
project.
"""

from pinterest_pipeline.config.credentials import Credentials, load_credentials
from pinterest_pipeline.config.groups import (
    BUCKET_NAME,
    OWN_S3,
    STORE_FORMS,
    STORE_SERVER,
    EngineSettings,
    GatewaySettings,
    KafkaSettings,
    KinesisSettings,
    LogSettings,
    ObjectSettings,
    SinkSettings,
    StreamSettings,
    TableSettings,
)
from pinterest_pipeline.config.settings import (
    Settings,
    child_environment,
    crash_at,
    explained,
    load_settings,
    on_databricks,
    remember,
    variables,
)

__all__ = [
    "BUCKET_NAME",
    "OWN_S3",
    "STORE_FORMS",
    "STORE_SERVER",
    "Credentials",
    "EngineSettings",
    "GatewaySettings",
    "KafkaSettings",
    "KinesisSettings",
    "LogSettings",
    "ObjectSettings",
    "Settings",
    "SinkSettings",
    "StreamSettings",
    "TableSettings",
    "child_environment",
    "crash_at",
    "explained",
    "load_credentials",
    "load_settings",
    "on_databricks",
    "remember",
    "variables",
]
