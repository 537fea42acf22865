//! How a bus behaves; the defaults are Lightbus's.

use std::collections::HashMap;
use std::time::Duration;

use super::internal::Announcements;
use crate::Address;
use crate::schema::ValidationRules;

/// The settings of a bus in one process.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The name of the service: the same in all its processes, and the first half of its listeners' groups.
    pub service_name: String,
    /// The name of this process in its service. One that stays the same over restarts goes on with the events it held.
    pub process_name: String,
    /// Where the bus is.
    pub address: Address,
    /// Where schemas are, if elsewhere.
    pub schema_address: Option<Address>,
    /// How long a schema lives; it is stored again before that.
    pub schema_ttl: Duration,
    /// Calls that this process runs at a time, of all APIs together.
    pub calls_max: usize,
    /// How long a shutdown waits for what runs.
    pub drain_timeout: Duration,
    /// What this process announces about itself.
    pub announcements: Announcements,
    /// For APIs without settings of their own.
    pub default_api: ApiSettings,
    /// Settings of single APIs. They replace the default altogether.
    pub apis: HashMap<String, ApiSettings>,
}

/// The settings of one API.
#[derive(Clone, Debug)]
pub struct ApiSettings {
    /// Where its calls are, if not where the bus is.
    pub call_address: Option<Address>,
    /// Where its events are, if not where the bus is.
    pub event_address: Option<Address>,
    /// How long a caller waits.
    pub call_timeout: Duration,
    /// How long results nobody fetches are kept.
    pub result_ttl: Duration,
    /// How long firing an event may take.
    pub fire_timeout: Duration,
    /// How messages are checked.
    pub validation: ValidationRules,
    /// Events a listener reads at a time.
    pub batch_size: usize,
    /// An event held for so long without a sign of life of its consumer is taken over by another one.
    pub acknowledgement_timeout: Duration,
    /// How often a listener looks for such events.
    pub reclaim_interval: Duration,
    /// About how many events of a stream are kept; all if nothing.
    pub stream_length_max: Option<u64>,
    /// Whether each event has a stream of its own. All processes must agree on this.
    pub stream_per_event: bool,
}

impl Settings {
    /// Lightbus's defaults, at this address.
    pub fn new(service_name: &str, process_name: &str, address: Address) -> Settings {
        Settings {
            service_name: service_name.to_owned(),
            process_name: process_name.to_owned(),
            address,
            schema_address: None,
            schema_ttl: Duration::from_secs(60),
            calls_max: 64,
            drain_timeout: Duration::from_secs(30),
            announcements: Announcements::default(),
            default_api: ApiSettings::default(),
            apis: HashMap::new(),
        }
    }

    /// The same, with everything at one address.
    pub fn all_at(mut self, address: Address) -> Settings {
        self.schema_address = None;
        for api in self.apis.values_mut().chain([&mut self.default_api]) {
            api.call_address = None;
            api.event_address = None;
        }
        self.address = address;
        self
    }

    /// The settings of an API.
    pub fn api(&self, name: &str) -> &ApiSettings {
        self.apis.get(name).unwrap_or(&self.default_api)
    }
}

impl Default for ApiSettings {
    fn default() -> ApiSettings {
        ApiSettings {
            call_address: None,
            event_address: None,
            call_timeout: Duration::from_secs(5),
            result_ttl: Duration::from_secs(60),
            fire_timeout: Duration::from_secs(5),
            validation: ValidationRules::default(),
            batch_size: 100,
            acknowledgement_timeout: Duration::from_secs(60),
            reclaim_interval: Duration::from_secs(60),
            stream_length_max: Some(100_000),
            stream_per_event: false,
        }
    }
}
