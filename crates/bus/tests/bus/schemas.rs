//! When schemas are on the bus.

use serde::{Deserialize, Serialize};
use std::sync::OnceLock;
use std::time::Duration;

use serde_json::json;
use tutti_bus::schema::ApiSchema;
use tutti_bus::{Bus, Error, Event};

use crate::auth::{API, UserRegistered};
use crate::server::{Server, on_every_server};

on_every_server! {
    an_event_without_a_schema_stores_none,
    a_schema_that_was_not_stored_is_stored_with_the_next_event,
}

/// An event whose API says nothing about it.
#[derive(Serialize, Deserialize)]
struct Unsaid {}

impl Event for Unsaid {
    const API: &'static str = "quiet";
    const NAME: &'static str = "unsaid";
    const VERSION: u32 = 1;

    fn schema() -> &'static ApiSchema {
        static SCHEMA: OnceLock<ApiSchema> = OnceLock::new();
        SCHEMA.get_or_init(|| ApiSchema::new("quiet", 1, json!({"rpcs": {}, "events": {}})))
    }
}

async fn an_event_without_a_schema_stores_none(server: Server) {
    let bus = server.bus("s", "1").await;
    bus.fire(Unsaid {}).await.unwrap();
    let stored: bool = server.run(&["EXISTS", "schema:quiet"]).await;
    assert!(!stored);
}

async fn a_schema_that_was_not_stored_is_stored_with_the_next_event(mut server: Server) {
    let mut settings = server.settings("s", "1");
    settings.default_api.fire_timeout = Duration::from_secs(10);
    let bus = Bus::connect(settings).await.unwrap();
    server.stop().await;
    let outcome = bus.fire(UserRegistered::number(1)).await;
    assert!(matches!(outcome, Err(Error::Transport { .. })), "{outcome:?}");
    server.start_again().await;
    bus.fire(UserRegistered::number(2)).await.unwrap();
    let stored: bool = server.run(&["EXISTS", &format!("schema:{API}")]).await;
    assert!(stored);
}
