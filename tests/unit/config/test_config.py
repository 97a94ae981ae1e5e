"""A wrong setting is refused at start by its name, and no secret is ever printed."""

from pathlib import Path

import pytest

from pinterest_pipeline.config import (
    GatewaySettings,
    Settings,
    child_environment,
    crash_at,
    explained,
    load_credentials,
    load_settings,
)
from pinterest_pipeline.errors import SettingError


@pytest.fixture(autouse=True)
def _empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for variable, _, _ in explained():
        monkeypatch.delenv(variable, raising=False)


def test_the_environment_comes_before_the_file_and_the_file_before_the_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "pinpipe.toml").write_text("[sink]\nflush_size = 5\nflush_bytes = 6\n")
    monkeypatch.setenv("PINPIPE_SINK__FLUSH_SIZE", "7")
    settings = load_settings()
    assert (settings.sink.flush_size, settings.sink.flush_bytes) == (7, 6)
    assert settings.gateway.port == Settings.model_fields["gateway"].default.port


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("PINPIPE_SINK__FLUSH_SIZE", "0", "PINPIPE_SINK__FLUSH_SIZE: Input should be greater than"),
        ("PINPIPE_SINK__TOPICS_DIR", "/", "PINPIPE_SINK__TOPICS_DIR: .*names no folder"),
        ("PINPIPE_SINK__TOPICS_DIR", "a/../b", "PINPIPE_SINK__TOPICS_DIR: .*names no folder"),
        ("PINPIPE_GATEWAY__PORT", "abc", "PINPIPE_GATEWAY__PORT: Input should be a valid integer"),
        ("PINPIPE_TABLES__KEEP_MINUTES", "inf", "PINPIPE_TABLES__KEEP_MINUTES: .*finite number"),
        ("PINPIPE_STREAM__POLL_SECONDS", "Infinity", "PINPIPE_STREAM__POLL_SECONDS: .*finite number"),
        ("PINPIPE_SINK__FLUSHSIZE", "1", "PINPIPE_SINK__FLUSHSIZE is no setting"),
        ("PINPIPE_PIPELINE_ID", "../x", "PINPIPE_PIPELINE_ID"),
        ("PINPIPE_OBJECTS__URL", "http://x", "PINPIPE_OBJECTS__URL: .*s3://bucket/prefix"),
        ("PINPIPE_OBJECTS__URL", "s3:///prefix", "PINPIPE_OBJECTS__URL: .*s3://bucket/prefix"),
        ("PINPIPE_OBJECTS__URL", "az://account", "PINPIPE_OBJECTS__URL: .*az://account/container"),
        ("PINPIPE_OBJECTS__URL", "file://folder", "PINPIPE_OBJECTS__URL: .*file:///absolute/folder"),
        ("PINPIPE_OBJECTS__URL", "s3://key:secret@bucket", "PINPIPE_OBJECTS__URL: .*no user"),
        ("PINPIPE_OBJECTS__URL", "s3://a bucket/x", "PINPIPE_OBJECTS__URL: .*letters, digits"),
        ("PINPIPE_OBJECTS__ENDPOINT", "http://[::1", "PINPIPE_OBJECTS__ENDPOINT"),
        ("PINPIPE_OBJECTS__ENDPOINT", "localhost:8333", "PINPIPE_OBJECTS__ENDPOINT"),
        ("PINPIPE_OBJECTS__ACCESS_KEY_ID", "AKID", "PINPIPE_OBJECTS: .*go together"),
        ("PINPIPE_GATEWAY__ACCESS", "closed", "PINPIPE_GATEWAY__ACCESS: Input should be 'auto', 'open' or"),
        ("PINPIPE_GATEWAY__CORS_ORIGINS", "page.example", "PINPIPE_GATEWAY__CORS_ORIGINS"),
        ("PINPIPE_GATEWAY__CORS_ORIGINS", "https://page.example/path", "PINPIPE_GATEWAY__CORS_ORIGINS"),
        ("PINPIPE_GATEWAY__CORS_ORIGINS", "https://page.example *", "PINPIPE_GATEWAY__CORS_ORIGINS"),
    ],
)
def test_a_wrong_setting_is_named(
    variable: str, value: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(SettingError, match=said):
        load_settings()


def test_a_tilde_in_a_file_is_the_home_of_the_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "me"))
    (tmp_path / "me" / "pins").mkdir(parents=True)
    (tmp_path / "me" / "pins" / "homes.toml").write_text('[objects]\nurl = "pinpipe:s3"\n')
    (tmp_path / "pinpipe.toml").write_text('data = "~/pins"\n[gateway]\ntls_key = "~/key.pem"\n')
    settings = load_settings()
    assert settings.data == tmp_path / "me" / "pins"
    assert settings.gateway.tls_key == tmp_path / "me" / "key.pem"
    assert settings.objects.url == "pinpipe:s3"
    monkeypatch.setenv("PINPIPE_DATA", "~nobody-of-that-name/pins")
    with pytest.raises(SettingError, match="PINPIPE_DATA: there is no home folder"):
        load_settings()


@pytest.mark.parametrize("text", ["[sink]\nflushsize = 1\n", "[sink\n"])
def test_a_wrong_settings_file_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "pinpipe.toml").write_text(text)
    with pytest.raises(SettingError, match=r"FLUSHSIZE|cannot be read"):
        load_settings()


def test_a_child_gets_the_very_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    gateway = GatewaySettings(cors_origins="https://a.example https://b.example", tls_key=Path("key.pem"))
    settings = load_settings(data=Path("elsewhere"), pipeline_id="abc", gateway=gateway)
    for variable, value in child_environment(settings).items():
        monkeypatch.setenv(variable, value)
    assert load_settings() == settings


def test_a_child_has_no_value_where_we_have_none_and_the_file_has_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "pinpipe.toml").write_text('[gateway]\ntls_key = "key.pem"\n')
    settings = load_settings()
    assert settings.gateway.tls_key == Path("key.pem")
    plain = settings.model_copy(update={"gateway": GatewaySettings()})
    for variable, value in child_environment(plain).items():
        monkeypatch.setenv(variable, value)
    assert load_settings() == plain


def test_a_secret_reaches_a_child_and_no_message(monkeypatch: pytest.MonkeyPatch) -> None:
    secret = "hunter2hunter2"
    monkeypatch.setenv("PINPIPE_OBJECTS__SECRET_ACCESS_KEY", secret)
    with pytest.raises(SettingError, match="go together") as raised:
        load_settings()
    assert secret not in str(raised.value)
    monkeypatch.setenv("PINPIPE_OBJECTS__ACCESS_KEY_ID", "AKID")
    settings = load_settings()
    assert secret not in f"{settings!r} {settings}"
    assert child_environment(settings)["PINPIPE_OBJECTS__SECRET_ACCESS_KEY"] == secret
    for variable, value in child_environment(settings).items():
        monkeypatch.setenv(variable, value)
    assert load_settings() == settings


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_the_original_keys_give_a_mysql_url(tmp_path: Path) -> None:
    path = write(tmp_path / "c.yaml", "HOST: h\nUSER: u\nPASSWORD: p@s:s\nDATABASE: d\nPORT: 3307\n")
    url = load_credentials(path).database_url()
    assert url.render_as_string(hide_password=True) == "mysql+pymysql://u:***@h:3307/d"
    assert url.password == "p@s:s"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("HOST: h\nUSER: u\n", "lacks PASSWORD, DATABASE"),
        ("HOTS: h\n", "HOTS"),
        ("URL: not a url\n", "no SQLAlchemy URL"),
        ("URL: mysql+pymysql://u:p@h:3306x/d\n", "no SQLAlchemy URL"),
        ("PASSWORD: 2026-13-45\n", "cannot read: .*month"),
        ("PORT: x\nURL: sqlite://\n", "PORT"),
        ("a: [\n", "not YAML in line"),
        ("just text\n", "holds no keys"),
        ("", "holds no keys"),
        ("URL: sqlite://\nBATCH_API_URL: ftp://x\n", "BATCH_API_URL"),
        ('URL: sqlite://\nAPI_KEY: "two words"\n', "API_KEY: .*one word"),
        ('URL: sqlite://\nAPI_KEY: "a\\n"\n', "API_KEY: .*one word"),
    ],
)
def test_wrong_credentials_say_what_is_wrong(tmp_path: Path, text: str, said: str) -> None:
    path = write(tmp_path / "c.yaml", text)
    with pytest.raises(SettingError, match=said):
        load_credentials(path).database_url()


def test_missing_credentials_name_the_command_that_makes_them(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match=r"there is no .*cp db_creds.yaml.example"):
        load_credentials(tmp_path / "db_creds.yaml")


def test_a_password_is_never_printed(tmp_path: Path) -> None:
    secret = "hunter2hunter2"
    good = load_credentials(
        write(tmp_path / "c.yaml", f"HOST: h\nUSER: u\nPASSWORD: {secret}\nDATABASE: d\n")
    )
    assert secret not in f"{good!r} {good}"
    good = load_credentials(write(tmp_path / "k.yaml", f"API_KEY: {secret}\n"))
    assert secret not in f"{good!r} {good}"
    bad = write(tmp_path / "d.yaml", f"PASSWORD: [{secret}]\nURL: {secret}\nAPI_KEY: {secret} é\n")
    with pytest.raises(SettingError) as raised:
        load_credentials(bad)
    assert secret not in str(raised.value)


def test_room_for_less_than_one_body_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PINPIPE_GATEWAY__MAX_BYTES_IN_FLIGHT", "2000000")
    with pytest.raises(SettingError, match="PINPIPE_GATEWAY__MAX_BYTES_IN_FLIGHT is smaller than"):
        load_settings()


@pytest.mark.parametrize(
    "name",
    [
        "WORKERS",
        "MAX_BYTES_IN_FLIGHT",
        "MAX_CONNECTIONS",
        "MAX_HEADER_BYTES",
        "MAX_URL_BYTES",
        "HEADER_SECONDS",
        "BODY_SECONDS",
        "ANSWER_SECONDS",
        "KEEP_ALIVE_SECONDS",
    ],
)
def test_a_limit_of_nothing_is_refused_by_name(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(f"PINPIPE_GATEWAY__{name}", "0")
    with pytest.raises(SettingError, match=f"PINPIPE_GATEWAY__{name}"):
        load_settings()


KAFKA_SECRETS = {
    "PINPIPE_KAFKA__SASL_PASSWORD": "hunter2hunter2",
    "PINPIPE_KAFKA__SSL_KEY_PASSWORD": "hunter3hunter3",
    "PINPIPE_KAFKA__PROPERTIES": '{"linger.ms": "5", "ssl.keystore.password": "hunter4hunter4"}',
}


def test_secrets_of_kafka_reach_children_and_nobody_else(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable, value in KAFKA_SECRETS.items():
        monkeypatch.setenv(variable, value)
    settings = load_settings()
    assert "hunter" not in f"{settings!r} {settings} {explained()}"
    for variable, value in child_environment(settings).items():
        monkeypatch.setenv(variable, value)
    again = load_settings()
    assert again == settings
    assert again.kafka.properties["ssl.keystore.password"].get_secret_value() == "hunter4hunter4"


@pytest.mark.parametrize("value", ['{"a": ["hunter2"]}', "hunter2", '{"hunter2"}'])
def test_a_wrong_property_of_kafka_is_named_and_not_shown(
    value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PINPIPE_KAFKA__PROPERTIES", value)
    with pytest.raises(SettingError, match=r"(?i)properties") as raised:
        load_settings()
    assert "hunter2" not in str(raised.value)


def test_the_point_of_a_crash_is_no_setting_and_is_not_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PINPIPE_CRASH_AT", "somewhere")
    assert load_settings() == Settings()
    crash_at("elsewhere")
    assert all(name != "PINPIPE_CRASH_AT" for name, _, _ in explained())
