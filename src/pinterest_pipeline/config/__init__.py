"""Every setting: typed, explained, refused at start by its name. The only reader of the environment.

A setting comes from the environment (`PINPIPE_SINK__FLUSH_SIZE=500`), from `pinpipe.toml` in the current
folder (`[sink]` `flush_size = 500`), from `homes.toml` of the working folder, which says where its topics and
objects are, or from its default, in this order. The source database and the
addresses of the HTTP API come from `db_creds.yaml`, as in the original project.
"""

from pinterest_pipeline.config.credentials import Credentials, load_credentials
from pinterest_pipeline.config.groups import (
    OWN_S3,
    STORE_FORMS,
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
    remember,
    variables,
)

__all__ = [
    "OWN_S3",
    "STORE_FORMS",
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
    "remember",
    "variables",
]
