//! Keys that Python reads and that mean nothing to a Rust process.

use super::settings::{events, rpc};
use super::{ApiConfig, Config, RedisEventTransportConfig, RedisRpcTransportConfig};

impl Config {
    /// Keys that are set, not to their defaults, and have no effect in a Rust process, with the reason.
    pub fn without_effect(&self) -> Vec<String> {
        let mut found = Vec::new();
        for (name, api) in &self.apis {
            let set = keys_of(api).into_iter().filter(|(_, is_set, _)| *is_set);
            found.extend(
                set.map(|(key, _, why)| format!("apis.{name}.{key} has no effect here: {why}")),
            );
        }
        found
    }
}

/// Each key, whether it is set, and why that has no effect.
fn keys_of(api: &ApiConfig) -> [(&'static str, bool, &'static str); 7] {
    let defaults = ApiConfig::default();
    let (rpc, events) = (rpc(api), events(api));
    let (rpc_default, events_default) =
        (RedisRpcTransportConfig::default(), RedisEventTransportConfig::default());
    [
        ("cast_values", api.cast_values != defaults.cast_values, "types decide"),
        (
            "event_listener_setup_timeout",
            api.event_listener_setup_timeout != defaults.event_listener_setup_timeout,
            "Python does not use it either",
        ),
        (
            "rpc_transport.redis.rpc_timeout",
            rpc.rpc_timeout != rpc_default.rpc_timeout,
            "a call is wanted as long as its caller waits: see rpc_timeout",
        ),
        (
            "rpc_transport.redis.rpc_retry_delay",
            rpc.rpc_retry_delay != rpc_default.rpc_retry_delay,
            "Python does not use it either",
        ),
        (
            "rpc_transport.redis.batch_size",
            rpc.batch_size != rpc_default.batch_size,
            "Python does not use it either",
        ),
        (
            "event_transport.redis.consumer_ttl",
            events.consumer_ttl != events_default.consumer_ttl,
            "consumers of others are left alone",
        ),
        (
            "event_transport.redis.reclaim_batch_size",
            events.reclaim_batch_size != events_default.reclaim_batch_size,
            "batch_size decides",
        ),
    ]
}
