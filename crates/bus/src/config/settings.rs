//! From the configuration as written to the settings of a [`Bus`](crate::Bus).

use std::time::Duration;

use serde_json::{Map, Value};

use super::{
    ApiConfig, ConfigError, Configuration, OwnApiConfig, PluginSelector, RedisEventTransportConfig,
    RedisResultTransportConfig, RedisRpcTransportConfig, RedisSchemaTransportConfig, StreamUse,
    Validate,
};
use crate::bus::OutOfBounds;
use crate::schema::{Strictness, ValidationRules};
use crate::{Address, Announcements, ApiSettings, Settings, StateEvents};

/// Settings of Python's pool of connections. There is no such pool here.
const POOL_KEYS: [&str; 2] = ["maxsize", "minsize"];

impl Configuration {
    /// The settings of the bus. What a Rust process cannot do as configured is an error that says so.
    pub fn settings(&self) -> Result<Settings, ConfigError> {
        let mut problems = Problems::default();
        let config = &self.lightbus;
        let default = self.api_settings("default", &mut problems);
        let address =
            problems.address("apis.default.rpc_transport.redis", &rpc(&config.api("default")).url);
        let schema =
            config.bus.schema.transport.as_ref().and_then(|selector| selector.redis.clone());
        let schema: RedisSchemaTransportConfig = schema.unwrap_or_default();
        problems.check_connection("bus.schema.transport.redis", &schema.connection_parameters);
        let schema_address = problems.address("bus.schema.transport.redis", &schema.url);
        let names = config.apis.keys().filter(|name| *name != "default");
        let apis =
            names.map(|name| (name.clone(), self.api_settings(name, &mut problems))).collect();
        let drain_timeout = problems.seconds("drain_timeout", self.own.drain_timeout);
        let Some(address) = address else { return Err(wrong(problems.0)) };
        let mut settings = Settings::new(&config.service_name, &config.process_name, address);
        settings.schema_address = schema_address;
        settings.schema_ttl = Duration::from_secs(config.bus.schema.ttl);
        settings.calls_max = usize::try_from(self.own.calls_max).unwrap_or(usize::MAX);
        settings.drain_timeout = drain_timeout;
        settings.announcements = announcements(&config.plugins);
        settings.default_api = default;
        settings.apis = apis;
        problems.add_out_of_bounds(settings.out_of_bounds(), |name| match name {
            "schema_ttl" => "bus.schema.ttl".to_owned(),
            "ping_interval" => "plugins.internal_state.ping_interval".to_owned(),
            _ => name.to_owned(),
        });
        problems.into_result()?;
        Ok(settings)
    }

    fn api_settings(&self, name: &str, problems: &mut Problems) -> ApiSettings {
        let api = self.lightbus.api(name);
        let place = format!("apis.{name}");
        check_selectors(&place, &api, problems);
        let (rpc, events, results) = (rpc(&api), events(&api), results(&api));
        check_classes(&place, &api, problems);
        self.check_names(&place, &events, problems);
        problems
            .check_connection(&format!("{place}.rpc_transport.redis"), &rpc.connection_parameters);
        problems.check_connection(
            &format!("{place}.event_transport.redis"),
            &events.connection_parameters,
        );
        problems.check_connection(
            &format!("{place}.result_transport.redis"),
            &results.connection_parameters,
        );
        if results.url != rpc.url {
            problems.add(format!(
                "{place}.result_transport.redis.url must be that of rpc_transport: calls and answers go one way here"
            ));
        }
        let event_place = format!("{place}.event_transport.redis");
        let acknowledgement = events.acknowledgement_timeout;
        let settings = ApiSettings {
            call_address: problems.address(&format!("{place}.rpc_transport.redis"), &rpc.url),
            event_address: problems.address(&event_place, &events.url),
            call_timeout: Duration::from_secs(api.rpc_timeout),
            result_ttl: Duration::from_secs(results.result_ttl),
            fire_timeout: Duration::from_secs(api.event_fire_timeout),
            validation: validation(&api, &self.own.api(name)),
            batch_size: usize::try_from(events.batch_size).unwrap_or(usize::MAX),
            acknowledgement_timeout: problems
                .seconds(&format!("{event_place}.acknowledgement_timeout"), acknowledgement),
            reclaim_interval: problems.seconds(
                &format!("{event_place}.reclaim_interval"),
                events.reclaim_interval.unwrap_or(acknowledgement),
            ),
            stream_length_max: events.max_stream_length.filter(|length| *length > 0),
            stream_per_event: events.stream_use == StreamUse::PerEvent,
        };
        let mut out_of_bounds = settings.out_of_bounds();
        // It is that of the acknowledgement then.
        out_of_bounds
            .retain(|(name, _)| *name != "reclaim_interval" || events.reclaim_interval.is_some());
        problems.add_out_of_bounds(out_of_bounds, |name| match name {
            "call_timeout" => format!("{place}.rpc_timeout"),
            "fire_timeout" => format!("{place}.event_fire_timeout"),
            "result_ttl" => format!("{place}.result_transport.redis.result_ttl"),
            "stream_length_max" => format!("{event_place}.max_stream_length"),
            _ => format!("{event_place}.{name}"),
        });
        settings
    }

    fn check_names(
        &self,
        place: &str,
        events: &RedisEventTransportConfig,
        problems: &mut Problems,
    ) {
        for (key, name, own) in [
            ("service_name", &events.service_name, &self.lightbus.service_name),
            ("consumer_name", &events.consumer_name, &self.lightbus.process_name),
        ] {
            if name.as_ref().is_some_and(|name| name != own) {
                problems.add(format!(
                    "{place}.event_transport.redis.{key} is another name than that of the whole process: \
                     set that one"
                ));
            }
        }
    }
}

pub(super) fn rpc(api: &ApiConfig) -> RedisRpcTransportConfig {
    api.rpc_transport.as_ref().and_then(|selector| selector.redis.clone()).unwrap_or_default()
}

pub(super) fn events(api: &ApiConfig) -> RedisEventTransportConfig {
    api.event_transport.as_ref().and_then(|selector| selector.redis.clone()).unwrap_or_default()
}

fn results(api: &ApiConfig) -> RedisResultTransportConfig {
    api.result_transport.as_ref().and_then(|selector| selector.redis.clone()).unwrap_or_default()
}

fn check_selectors(place: &str, api: &ApiConfig, problems: &mut Problems) {
    let debug = [
        (
            "rpc_transport",
            api.rpc_transport.as_ref().is_some_and(|selector| selector.debug.is_some()),
        ),
        (
            "event_transport",
            api.event_transport.as_ref().is_some_and(|selector| selector.debug.is_some()),
        ),
        (
            "result_transport",
            api.result_transport.as_ref().is_some_and(|selector| selector.debug.is_some()),
        ),
    ];
    for (key, _) in debug.iter().filter(|(_, is_debug)| *is_debug) {
        problems.add(format!(
            "{place}.{key}.debug makes up messages in Python and does not exist here"
        ));
    }
}

fn check_classes(place: &str, api: &ApiConfig, problems: &mut Problems) {
    let (rpc_set, events_set, results_set) = (rpc(api), events(api), results(api));
    let (rpc, events, results) = (
        RedisRpcTransportConfig::default(),
        RedisEventTransportConfig::default(),
        RedisResultTransportConfig::default(),
    );
    for (key, set, known) in [
        ("rpc_transport.redis.serializer", rpc_set.serializer, rpc.serializer),
        ("rpc_transport.redis.deserializer", rpc_set.deserializer, rpc.deserializer),
        ("event_transport.redis.serializer", events_set.serializer, events.serializer),
        ("event_transport.redis.deserializer", events_set.deserializer, events.deserializer),
        ("result_transport.redis.serializer", results_set.serializer, results.serializer),
        ("result_transport.redis.deserializer", results_set.deserializer, results.deserializer),
    ] {
        if set != known {
            problems.add(format!(
                "{place}.{key} is a Python class, which cannot be used here: leave it out"
            ));
        }
    }
}

fn announcements(plugins: &PluginSelector) -> Announcements {
    let state = plugins.internal_state.as_ref().filter(|state| state.enabled);
    let state = state.map(|state| StateEvents {
        ping_interval: state.ping_enabled.then(|| Duration::from_secs(state.ping_interval)),
    });
    let metrics = plugins.internal_metrics.as_ref().is_some_and(|metrics| metrics.enabled);
    Announcements { state, metrics }
}

fn validation(api: &ApiConfig, own: &OwnApiConfig) -> ValidationRules {
    let (outgoing, incoming) = match &api.validate {
        None => (false, false),
        Some(Validate::Both(both)) => (*both, *both),
        Some(Validate::Each(each)) => (each.outgoing, each.incoming),
    };
    let strictness = |on| if on { Strictness::Strict } else { Strictness::Off };
    ValidationRules {
        outgoing: own.validate_outgoing.unwrap_or_else(|| strictness(outgoing)),
        incoming: own.validate_incoming.unwrap_or_else(|| strictness(incoming)),
        schema_required: api.strict_validation,
    }
}

/// What cannot be done as configured.
#[derive(Default)]
struct Problems(Vec<String>);

impl Problems {
    fn add(&mut self, problem: String) {
        if !self.0.contains(&problem) {
            self.0.push(problem);
        }
    }

    fn address(&mut self, place: &str, url: &str) -> Option<Address> {
        Address::url(url)
            .map_err(|error| self.add(format!("{place}.url is no address of a Redis: {error}")))
            .ok()
    }

    fn seconds(&mut self, place: &str, seconds: f64) -> Duration {
        Duration::try_from_secs_f64(seconds).unwrap_or_else(|error| {
            self.add(format!("{place} is no number of seconds: {error}"));
            // Something that is not wrong as well.
            Duration::from_secs(1)
        })
    }

    fn add_out_of_bounds(&mut self, all: Vec<OutOfBounds>, key: impl Fn(&str) -> String) {
        for (name, problem) in all {
            self.add(format!("{} {problem}", key(name)));
        }
    }

    fn check_connection(&mut self, place: &str, parameters: &Map<String, Value>) {
        for key in parameters.keys().filter(|key| !POOL_KEYS.contains(&key.as_str())) {
            self.add(format!(
                "{place}.connection_parameters.{key} cannot be used here: put it into the URL"
            ));
        }
    }

    fn into_result(self) -> Result<(), ConfigError> {
        if self.0.is_empty() { Ok(()) } else { Err(wrong(self.0)) }
    }
}

fn wrong(problems: Vec<String>) -> ConfigError {
    ConfigError::Wrong { location: "of the bus".to_owned(), problems }
}
