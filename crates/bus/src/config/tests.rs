use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;
use crate::schema::Strictness;
use crate::{Announcements, StateEvents};

const CONFIG_SCHEMA: &str = include_str!("../../tests/vectors/config_schema.json");

/// Without what says nothing about which files are right, and with alternatives in order.
fn meaning(schema: &Value) -> Value {
    match schema {
        Value::Array(items) => items.iter().map(meaning).collect(),
        Value::Object(object) => object
            .iter()
            .filter(|(key, value)| {
                let says_all = *key == "additionalProperties" && **value == json!({});
                let is_text = *key == "description" && value.is_string();
                !(is_text || says_all)
            })
            .map(|(key, value)| {
                let mut value = meaning(value);
                if let (true, Value::Array(items)) = (key == "anyOf", &mut value) {
                    items.sort_by_key(ToString::to_string);
                }
                (key.clone(), value)
            })
            .collect(),
        Value::Number(number) => json!(number.as_f64()),
        other => other.clone(),
    }
}

fn read(text: &str) -> Result<Config, ConfigError> {
    Config::parse("lightbus.yaml", text, Format::Yaml)
}

fn complaint(text: &str) -> String {
    read(text).unwrap_err().to_string()
}

#[test]
fn the_schema_is_the_one_python_prints() {
    let vector: Value = serde_json::from_str(CONFIG_SCHEMA).unwrap();
    assert_eq!(meaning(&Config::json_schema()), meaning(&vector));
}

#[test]
fn the_defaults_are_a_configuration() {
    let defaults = serde_json::to_string(&Config::default()).unwrap();
    assert_eq!(Config::parse("x", &defaults, Format::Json).unwrap(), Config::default());
    assert_eq!(read("{}").unwrap(), Config::default());
}

#[test]
fn python_reads_what_is_written_here() {
    let schema: Value = serde_json::from_str(CONFIG_SCHEMA).unwrap();
    let mut config = Config::default();
    assert_eq!(problems(&json!(config), &schema), [""; 0]);
    let redis = RedisEventTransportConfig { reclaim_interval: Some(1.5), ..Default::default() };
    let transport = EventTransportSelector { redis: Some(redis), debug: None };
    let api = ApiConfig { event_transport: Some(transport), validate: None, ..Default::default() };
    config.apis.insert("my.shop".to_owned(), api);
    assert_eq!(problems(&json!(config), &schema), [""; 0]);
}

#[test]
fn a_file_of_lightbus_is_read() {
    let config = read(
        "
service_name: shop-{hostname}
bus:
    schema:
        transport:
            redis:
                url: 'redis://one:6379/1'
apis:
    default:
        validate: false
        event_transport: { redis: { url: 'redis://two:6379/0', batch_size: 50 } }
    my.shop:
        rpc_timeout: 20
        validate: { incoming: false }
plugins:
    internal_state: { enabled: yes, ping_interval: 5 }
",
    )
    .unwrap();
    assert_eq!(config.service_name, "shop-{hostname}");
    assert_eq!(config.api("other").validate, Some(Validate::Both(false)));
    let shop = config.api("my.shop");
    assert_eq!((shop.rpc_timeout, shop.event_fire_timeout), (20, 5));
    let validate = ApiValidationConfig { outgoing: true, incoming: false };
    assert_eq!(shop.validate, Some(Validate::Each(validate)));
    assert_eq!(shop.event_transport.unwrap().redis.unwrap().batch_size, 50);
    assert!(config.plugins.internal_state.unwrap().enabled);
}

#[test]
fn unknown_keys_are_told_with_their_path_and_the_key_that_was_meant() {
    assert_eq!(
        complaint("apis: { default: { event_transport: { redis: { batchsize: 5 } } } }"),
        "the configuration lightbus.yaml is wrong: \
         apis.default.event_transport.redis.batchsize is unknown: did you mean batch_size?"
    );
    assert_eq!(
        complaint("service_nam: x\nplugins: { web: {} }"),
        "the configuration lightbus.yaml is wrong: plugins.web is unknown: there are \
         internal_metrics, internal_state; service_nam is unknown: did you mean service_name?"
    );
}

#[test]
fn wrong_values_are_told_with_their_path() {
    for (text, expected) in [
        (
            "apis: { a: { rpc_timeout: soon } }",
            "apis.a.rpc_timeout must be an integer, not a string",
        ),
        (
            "apis: { a: { event_transport: { redis: { stream_use: none } } } }",
            r#"apis.a.event_transport.redis.stream_use must be one of ["per_api","per_event"]"#,
        ),
        (
            "apis: { a: { event_transport: { redis: { url: 5 } } } }",
            "apis.a.event_transport.redis.url must be a string, not an integer",
        ),
        (
            "apis: { a: { rpc_transport: 5 } }",
            "apis.a.rpc_transport (an integer) fits none of the types allowed",
        ),
        ("bus: { log_level: loud }", "bus.log_level must be one of"),
        ("- 1", "it is not a list of keys and values"),
        ("a: [", "cannot be understood"),
    ] {
        let complaint = complaint(text);
        assert!(complaint.contains(expected), "{complaint}");
    }
}

fn placeholders() -> Placeholders {
    Placeholders { hostname: "box".into(), pid: 42, random: [7, 36 * 36 * 36] }
}

#[test]
fn placeholders_are_filled() {
    let fill = |name| placeholders().fill(name);
    assert_eq!(fill("a-{hostname}-{pid}").unwrap(), "a-box-42");
    assert_eq!(fill("{{x}}").unwrap(), "{x}");
    for (name, length) in [("{random4}", 4), ("{random8}", 8), ("{random16}", 16)] {
        let filled = fill(name).unwrap();
        assert!(filled.len() == length && filled.bytes().all(|byte| byte.is_ascii_alphanumeric()));
    }
    assert_eq!(fill("{friendly}").unwrap().split('-').count(), 3);
    for name in ["{host}", "a{", "}"] {
        let error = fill(name).unwrap_err().to_string();
        assert!(error.contains("{random16} and {friendly}"), "{error}");
    }
    let [one, other] =
        [(), ()].map(|()| Placeholders::of_this_process().fill("{random16}").unwrap());
    assert_ne!(one, other);
}

#[tokio::test]
async fn what_is_nearer_to_the_program_counts_more() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("lightbus.yaml");
    std::fs::write(&file, "service_name: from-file").unwrap();
    let location = Some(file.display().to_string());
    let environment = Environment {
        config: location.clone(),
        service_name: Some("from-environment".into()),
        process_name: Some("process-{pid}".into()),
    };
    let load = async |sources: Sources, environment: &Environment| {
        sources.load(environment, &placeholders()).await.unwrap().lightbus
    };
    let config = load(Sources::default(), &environment).await;
    assert_eq!(
        (config.service_name, config.process_name),
        ("from-file".into(), "process-42".into())
    );
    let sources = Sources { service_name: Some("mine".into()), ..Sources::default() };
    assert_eq!(load(sources, &environment).await.service_name, "mine");
    let environment = Environment { config: None, ..environment };
    assert_eq!(load(Sources::default(), &environment).await.service_name, "from-environment");
    let sources = Sources { location, ..Sources::default() };
    assert_eq!(load(sources, &environment).await.service_name, "from-file");
}

#[tokio::test]
async fn settings_of_ours_are_in_a_file_beside() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("lightbus.yaml");
    std::fs::write(&file, "{}").unwrap();
    let sources = Sources { location: Some(file.display().to_string()), ..Sources::default() };
    let load = async || sources.load(&Environment::default(), &placeholders()).await;
    assert_eq!(load().await.unwrap().own, OwnConfig::default());
    let beside = directory.path().join("lightbus.tutti.yaml");
    std::fs::write(&beside, "calls_max: 8\napis: { default: { validate_incoming: warn } }")
        .unwrap();
    let own = load().await.unwrap().own;
    assert_eq!((own.calls_max, own.api("a").validate_incoming), (8, Some(Strictness::Warn)));
    std::fs::write(&beside, "call_max: 8").unwrap();
    let error = load().await.unwrap_err().to_string();
    assert!(
        error.contains("lightbus.tutti.yaml") && error.contains("did you mean calls_max?"),
        "{error}"
    );
}

/// Answers one request and tells what was asked.
async fn serve_once(answer: &'static str) -> (String, tokio::task::JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/lightbus", listener.local_addr().unwrap());
    let served = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = vec![0; 4096];
        let length = stream.read(&mut request).await.unwrap();
        stream.write_all(answer.as_bytes()).await.unwrap();
        String::from_utf8_lossy(&request[..length]).into_owned()
    });
    (url, served)
}

#[tokio::test]
async fn a_configuration_may_be_fetched() {
    let answer = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 23\r\n\r\n\
                  {\"service_name\": \"web\"}";
    let (url, served) = serve_once(answer).await;
    let sources = Sources { location: Some(url), ..Sources::default() };
    let config = sources.load(&Environment::default(), &placeholders()).await.unwrap();
    assert_eq!(config.lightbus.service_name, "web");
    assert!(served.await.unwrap().starts_with("GET /lightbus HTTP/1.1\r\nhost: 127.0.0.1:"));
}

#[tokio::test]
async fn what_cannot_be_fetched_is_said() {
    let (url, _served) = serve_once("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n").await;
    for (location, expected) in [
        (url.as_str(), "the server answered 404"),
        ("https://example.com/lightbus.yaml", "only http is spoken here, without TLS"),
        ("/nowhere/lightbus.yaml", "No such file"),
    ] {
        let sources = Sources { location: Some(location.into()), ..Sources::default() };
        let error = sources.load(&Environment::default(), &placeholders()).await.unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
    }
}

fn configuration(lightbus: &str, own: &str) -> Configuration {
    let own = OwnConfig::parse("lightbus.tutti.yaml", own, Format::Yaml).unwrap();
    Configuration { lightbus: read(lightbus).unwrap(), own }
}

#[test]
fn settings_are_those_of_the_file() {
    let lightbus = "
service_name: shop
bus: { schema: { ttl: 30 } }
apis:
    default: { rpc_timeout: 7, event_transport: { redis: { url: 'redis://events:6379/2', max_stream_length: 0 } } }
    slow: { rpc_timeout: 90, validate: { outgoing: false } }
";
    let own = "calls_max: 3\napis: { slow: { validate_incoming: warn } }";
    let settings = configuration(lightbus, own).settings().unwrap();
    assert_eq!((settings.service_name.as_str(), settings.schema_ttl.as_secs()), ("shop", 30));
    assert_eq!((settings.calls_max, settings.drain_timeout.as_secs()), (3, 30));
    assert_eq!(settings.announcements, Announcements::default());
    let default = settings.api("other");
    assert_eq!((default.call_timeout.as_secs(), default.stream_length_max), (7, None));
    let slow = settings.api("slow");
    assert_eq!((slow.call_timeout.as_secs(), slow.batch_size), (90, 10));
    assert_eq!(format!("{:?}", slow.event_address), "Some(events:6379)");
    assert_eq!(slow.validation.outgoing, Strictness::Off);
    assert_eq!(slow.validation.incoming, Strictness::Warn);
}

#[test]
fn plugins_are_announcements() {
    let plugins = "
plugins:
    internal_state: { enabled: true, ping_interval: 5 }
    internal_metrics: { enabled: true }
";
    let announcements = configuration(plugins, "{}").settings().unwrap().announcements;
    let ping_interval = Some(std::time::Duration::from_secs(5));
    let expected = Announcements { state: Some(StateEvents { ping_interval }), metrics: true };
    assert_eq!(announcements, expected);
    let silent = "plugins: { internal_state: { enabled: true, ping_enabled: false } }";
    let announcements = configuration(silent, "{}").settings().unwrap().announcements;
    assert_eq!(announcements.state, Some(StateEvents { ping_interval: None }));
}

#[test]
fn what_cannot_be_done_here_is_said() {
    for (lightbus, expected) in [
        (
            "apis: { a: { rpc_transport: { debug: {} } } }",
            "apis.a.rpc_transport.debug makes up messages in Python",
        ),
        (
            "apis: { a: { event_transport: { redis: { serializer: my.Serializer } } } }",
            "apis.a.event_transport.redis.serializer is a Python class",
        ),
        (
            "apis: { a: { result_transport: { redis: { url: 'redis://x' } } } }",
            "apis.a.result_transport.redis.url must be that of rpc_transport",
        ),
        (
            "apis: { default: { rpc_transport: { redis: { connection_parameters: { password: x } } } } }",
            "connection_parameters.password cannot be used here: put it into the URL",
        ),
        (
            "bus: { schema: { transport: { redis: { url: 'http://x' } } } }",
            "bus.schema.transport.redis.url is no address of a Redis",
        ),
        (
            "apis: { a: { event_transport: { redis: { acknowledgement_timeout: -1 } } } }",
            "apis.a.event_transport.redis.acknowledgement_timeout is no number of seconds",
        ),
        (
            "apis: { a: { event_transport: { redis: { consumer_name: x } } } }",
            "apis.a.event_transport.redis.consumer_name is another name",
        ),
    ] {
        let error = configuration(lightbus, "{}").settings().unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn values_that_no_process_could_keep_are_told_by_their_keys() {
    let events = |setting: &str| {
        format!("apis: {{ a: {{ event_transport: {{ redis: {{ {setting} }} }} }} }}")
    };
    let huge = u64::MAX;
    for (lightbus, expected) in [
        ("bus: { schema: { ttl: 0 } }".to_owned(), "bus.schema.ttl must be at least 1 s, not 0 s"),
        (
            format!("bus: {{ schema: {{ ttl: {huge} }} }}"),
            "bus.schema.ttl must be at most ten years",
        ),
        ("apis: { default: { rpc_timeout: 0 } }".to_owned(), "apis.default.rpc_timeout must be at"),
        (format!("apis: {{ a: {{ rpc_timeout: {huge} }} }}"), "apis.a.rpc_timeout must be at most"),
        (
            format!("apis: {{ a: {{ event_fire_timeout: {huge} }} }}"),
            "apis.a.event_fire_timeout must",
        ),
        (
            "apis: { a: { result_transport: { redis: { result_ttl: 0 } } } }".to_owned(),
            "apis.a.result_transport.redis.result_ttl must be at least 1 s",
        ),
        (events("batch_size: 0"), "redis.batch_size must be between 1 and 1000000, not 0"),
        (events(&format!("batch_size: {huge}")), "redis.batch_size must be between 1 and 1000000"),
        (
            events("acknowledgement_timeout: 0"),
            "redis.acknowledgement_timeout must be at least 0.01 s",
        ),
        (events("reclaim_interval: 0.001"), "redis.reclaim_interval must be at least 0.01 s"),
        (events("reclaim_interval: 1e18"), "redis.reclaim_interval must be at most ten years"),
        (events(&format!("max_stream_length: {huge}")), "redis.max_stream_length must be at most"),
        (
            "plugins: { internal_state: { enabled: true, ping_interval: 0 } }".to_owned(),
            "plugins.internal_state.ping_interval must be at least 0.01 s, not 0 s",
        ),
    ] {
        let error = configuration(&lightbus, "{}").settings().unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
        assert_eq!(error.matches(" must be ").count(), 1, "{error}");
    }
    for (own, expected) in [
        ("calls_max: 0".to_owned(), "calls_max must be between 1 and 1000000, not 0"),
        (format!("calls_max: {huge}"), "calls_max must be between 1 and 1000000"),
        ("drain_timeout: 1e18".to_owned(), "drain_timeout must be at most ten years"),
    ] {
        let error = configuration("{}", &own).settings().unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn what_has_no_effect_is_listed() {
    let config = read("apis: { a: { cast_values: false }, b: {} }").unwrap();
    assert_eq!(config.without_effect(), ["apis.a.cast_values has no effect here: types decide"]);
}
