//! The keys of Lightbus's configuration file, with their defaults. The comments say what Python documents.
//!
//! `config_schema.json` of the vectors is this file as Python prints it; nothing may be added here that Python does
//! not know, because it refuses the whole file then.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

/// Where Redis is if nobody says so.
pub const DEFAULT_URL: &str = "redis://127.0.0.1:6379/0";

/// The whole file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(title = "RootConfig")]
pub struct Config {
    /// The name of the service; may hold placeholders.
    pub service_name: String,
    /// The name of this process of the service; may hold placeholders.
    pub process_name: String,
    /// Of the bus as a whole.
    pub bus: BusConfig,
    /// By API; `default` is for those that are not listed. A listed API inherits nothing from it but transports.
    pub apis: BTreeMap<String, ApiConfig>,
    /// Of the plugins that come with Lightbus.
    pub plugins: PluginSelector,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            service_name: "{friendly}".to_owned(),
            process_name: "{random4}".to_owned(),
            bus: BusConfig::default(),
            apis: BTreeMap::new(),
            plugins: PluginSelector::default(),
        }
    }
}

/// `bus`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct BusConfig {
    /// How much is logged.
    pub log_level: LogLevel,
    /// Of schemas on the bus.
    pub schema: SchemaConfig,
}

/// `bus.log_level`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    /// Everything.
    Debug,
    /// What happens.
    #[default]
    Info,
    /// What may go wrong.
    Warning,
    /// What went wrong.
    Error,
    /// What ends the process.
    Critical,
}

/// `bus.schema`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SchemaConfig {
    /// Whether dumped schemas are indented.
    pub human_readable: bool,
    /// Seconds for which a schema lives unless it is stored again.
    pub ttl: u64,
    /// Where schemas are.
    pub transport: Option<SchemaTransportSelector>,
}

impl Default for SchemaConfig {
    fn default() -> Self {
        Self { human_readable: true, ttl: 60, transport: None }
    }
}

/// `apis.{name}`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ApiConfig {
    /// Seconds to wait for an answer.
    pub rpc_timeout: u64,
    /// Read, and of no effect in Python either.
    pub event_listener_setup_timeout: u64,
    /// Seconds that firing may take.
    pub event_fire_timeout: u64,
    /// What is checked by the schema; true and false stand for both ways.
    pub validate: Option<Validate>,
    /// Where events are.
    pub event_transport: Option<EventTransportSelector>,
    /// Where calls are.
    pub rpc_transport: Option<RpcTransportSelector>,
    /// Where answers are.
    pub result_transport: Option<ResultTransportSelector>,
    /// Whether an API without a schema is an error.
    pub strict_validation: bool,
    /// Of no effect here: serde converts, always.
    pub cast_values: bool,
}

impl Default for ApiConfig {
    fn default() -> Self {
        Self {
            rpc_timeout: 5,
            event_listener_setup_timeout: 1,
            event_fire_timeout: 5,
            validate: Some(Validate::Each(ApiValidationConfig::default())),
            event_transport: None,
            rpc_transport: None,
            result_transport: None,
            strict_validation: false,
            cast_values: true,
        }
    }
}

/// `apis.{name}.validate`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Validate {
    /// For each way.
    Each(ApiValidationConfig),
    /// For both.
    Both(bool),
}

/// `apis.{name}.validate` in full.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ApiValidationConfig {
    /// Whether what is sent is checked.
    pub outgoing: bool,
    /// Whether what is received is checked.
    pub incoming: bool,
}

impl Default for ApiValidationConfig {
    fn default() -> Self {
        Self { outgoing: true, incoming: true }
    }
}

/// Which transport; the first that is set counts.
macro_rules! selector {
    ($name:ident, $redis:ident, $debug:ident, $what:literal) => {
        #[doc = $what]
        #[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
        #[serde(default, deny_unknown_fields)]
        pub struct $name {
            /// Python's transport that makes up messages. Not here.
            pub debug: Option<$debug>,
            /// Redis, or what speaks its protocol.
            pub redis: Option<$redis>,
        }

        /// Has no keys.
        #[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
        #[serde(default, deny_unknown_fields)]
        pub struct $debug {}
    };
}

selector!(
    EventTransportSelector,
    RedisEventTransportConfig,
    DebugEventTransportConfig,
    "`event_transport`."
);
selector!(
    RpcTransportSelector,
    RedisRpcTransportConfig,
    DebugRpcTransportConfig,
    "`rpc_transport`."
);
selector!(
    ResultTransportSelector,
    RedisResultTransportConfig,
    DebugResultTransportConfig,
    "`result_transport`."
);
selector!(
    SchemaTransportSelector,
    RedisSchemaTransportConfig,
    DebugSchemaTransportConfig,
    "`bus.schema.transport`."
);

/// `event_transport.redis`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RedisEventTransportConfig {
    /// Where Redis is.
    pub url: String,
    /// For Python's pool of connections.
    pub connection_parameters: Map<String, Value>,
    /// Events read at a time.
    pub batch_size: u64,
    /// Events looked at a time when those of others are taken over; ten times `batch_size` if null.
    pub reclaim_batch_size: Option<u64>,
    /// Seconds after which an event that nobody acknowledged is taken over.
    pub acknowledgement_timeout: f64,
    /// Seconds between looks for such events; `acknowledgement_timeout` if null.
    pub reclaim_interval: Option<f64>,
    /// About how many events are kept; all if null or 0.
    pub max_stream_length: Option<u64>,
    /// A stream for each API or for each event.
    pub stream_use: StreamUse,
    /// Seconds to wait after Redis went away.
    pub consumption_restart_delay: u64,
    /// Seconds after which Python deletes a consumer that did nothing.
    pub consumer_ttl: u64,
    /// In place of the service's name in the names of groups.
    pub service_name: Option<String>,
    /// In place of the process's name as the name of the consumer.
    pub consumer_name: Option<String>,
    /// A Python class.
    pub serializer: String,
    /// A Python class.
    pub deserializer: String,
}

impl Default for RedisEventTransportConfig {
    fn default() -> Self {
        Self {
            url: DEFAULT_URL.to_owned(),
            connection_parameters: pool(),
            batch_size: 10,
            reclaim_batch_size: None,
            acknowledgement_timeout: 60.0,
            reclaim_interval: None,
            max_stream_length: Some(100_000),
            stream_use: StreamUse::PerApi,
            consumption_restart_delay: 5,
            consumer_ttl: 2_592_000,
            service_name: None,
            consumer_name: None,
            serializer: "lightbus.serializers.ByFieldMessageSerializer".to_owned(),
            deserializer: "lightbus.serializers.ByFieldMessageDeserializer".to_owned(),
        }
    }
}

/// `event_transport.redis.stream_use`. All processes must agree on it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum StreamUse {
    /// All events of an API in one stream.
    #[default]
    PerApi,
    /// Each event in its own.
    PerEvent,
}

/// `rpc_transport.redis`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RedisRpcTransportConfig {
    /// Where Redis is.
    pub url: String,
    /// For Python's pool of connections.
    pub connection_parameters: Map<String, Value>,
    /// Of no effect in Python either.
    pub batch_size: u64,
    /// Seconds for which a call is wanted.
    pub rpc_timeout: u64,
    /// Of no effect in Python either.
    pub rpc_retry_delay: u64,
    /// Seconds to wait after Redis went away.
    pub consumption_restart_delay: u64,
    /// A Python class.
    pub serializer: String,
    /// A Python class.
    pub deserializer: String,
}

impl Default for RedisRpcTransportConfig {
    fn default() -> Self {
        Self {
            url: DEFAULT_URL.to_owned(),
            connection_parameters: pool(),
            batch_size: 10,
            rpc_timeout: 5,
            rpc_retry_delay: 1,
            consumption_restart_delay: 5,
            serializer: "lightbus.serializers.BlobMessageSerializer".to_owned(),
            deserializer: "lightbus.serializers.BlobMessageDeserializer".to_owned(),
        }
    }
}

/// `result_transport.redis`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RedisResultTransportConfig {
    /// Where Redis is.
    pub url: String,
    /// For Python's pool of connections.
    pub connection_parameters: Map<String, Value>,
    /// Seconds for which an answer that nobody fetches is kept.
    pub result_ttl: u64,
    /// Seconds Python waits at a time.
    pub rpc_timeout: u64,
    /// A Python class.
    pub serializer: String,
    /// A Python class.
    pub deserializer: String,
}

impl Default for RedisResultTransportConfig {
    fn default() -> Self {
        Self {
            url: DEFAULT_URL.to_owned(),
            connection_parameters: pool(),
            result_ttl: 60,
            rpc_timeout: 5,
            serializer: "lightbus.serializers.BlobMessageSerializer".to_owned(),
            deserializer: "lightbus.serializers.BlobMessageDeserializer".to_owned(),
        }
    }
}

/// `bus.schema.transport.redis`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RedisSchemaTransportConfig {
    /// Where Redis is.
    pub url: String,
    /// For Python's pool of connections.
    pub connection_parameters: Map<String, Value>,
}

impl Default for RedisSchemaTransportConfig {
    fn default() -> Self {
        Self { url: DEFAULT_URL.to_owned(), connection_parameters: Map::new() }
    }
}

fn pool() -> Map<String, Value> {
    Map::from_iter([("maxsize".to_owned(), json!(100))])
}

/// `plugins`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct PluginSelector {
    /// Announces calls and events.
    pub internal_metrics: Option<MetricsPluginConfig>,
    /// Announces processes.
    pub internal_state: Option<StatePluginConfig>,
}

impl Default for PluginSelector {
    fn default() -> Self {
        Self {
            internal_metrics: Some(MetricsPluginConfig::default()),
            internal_state: Some(StatePluginConfig::default()),
        }
    }
}

/// `plugins.internal_metrics`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct MetricsPluginConfig {
    /// Whether it does.
    pub enabled: bool,
}

/// `plugins.internal_state`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct StatePluginConfig {
    /// Whether it does.
    pub enabled: bool,
    /// Whether it repeats that a process lives.
    pub ping_enabled: bool,
    /// Seconds between two such announcements.
    pub ping_interval: u64,
}

impl Default for StatePluginConfig {
    fn default() -> Self {
        Self { enabled: false, ping_enabled: true, ping_interval: 60 }
    }
}
