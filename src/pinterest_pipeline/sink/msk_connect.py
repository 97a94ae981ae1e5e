"""The same sink on Amazon MSK Connect: settings of Confluent's connector, and its plugin (pure)."""

from typing import Final

from pinterest_pipeline.config import SinkSettings

_CONVERTERS: Final = {
    "key.converter": "org.apache.kafka.connect.storage.StringConverter",
    "value.converter": "org.apache.kafka.connect.json.JsonConverter",
    "value.converter.schemas.enable": "false",
}
_POSITIONS: Final = {
    "transforms": "Position",
    "transforms.Position.type": "org.apache.kafka.connect.transforms.InsertField$Value",
    "transforms.Position.topic.field": "_topic",
    "transforms.Position.partition.field": "_partition",
    "transforms.Position.offset.field": "_offset",
    "transforms.Position.timestamp.field": "_timestamp",
}


def connector_properties(
    pipeline_id: str, topics: tuple[str, ...], bucket: str, region: str, settings: SinkSettings
) -> dict[str, str]:
    """A Confluent S3 sink that gives the same layout and the same lines as ours."""
    return {
        "name": f"{pipeline_id}-s3-sink",
        "connector.class": "io.confluent.connect.s3.S3SinkConnector",
        "tasks.max": str(len(topics)),
        "topics": ",".join(topics),
        "s3.bucket.name": bucket,
        "s3.region": region,
        "storage.class": "io.confluent.connect.s3.storage.S3Storage",
        "format.class": "io.confluent.connect.s3.format.json.JsonFormat",
        "partitioner.class": "io.confluent.connect.storage.partitioner.DefaultPartitioner",
        "schema.compatibility": "NONE",
        "topics.dir": settings.topics_dir,
        "flush.size": str(settings.flush_size),
        "rotate.schedule.interval.ms": str(max(1, round(settings.flush_seconds * 1000))),
        "timezone": "UTC",
        "behavior.on.null.values": "ignore",
        "errors.tolerance": "all",
        "errors.deadletterqueue.topic.name": f"{pipeline_id}.dead-letters",
        "errors.deadletterqueue.context.headers.enable": "true",
        **_CONVERTERS,
        **_POSITIONS,
    }


def custom_plugin(pipeline_id: str, bucket: str) -> dict[str, object]:
    """What `aws kafkaconnect create-custom-plugin --cli-input-json` takes.

    https://docs.aws.amazon.com/MSKC/latest/mskc/API_CreateCustomPlugin.html
    """
    return {
        "name": f"{pipeline_id}-plugin",
        "description": "Confluent S3 sink connector",
        "contentType": "ZIP",
        "location": {
            "s3Location": {
                "bucketArn": f"arn:aws:s3:::{bucket}",
                "fileKey": "plugins/confluentinc-kafka-connect-s3.zip",
            }
        },
    }


def as_properties(properties: dict[str, str]) -> str:
    """The text of a properties file."""
    return "".join(f"{name}={value}\n" for name, value in properties.items())
