//! What a program fired, as its tests see it.

use std::sync::Arc;

use tutti_bus::Bus;
use tutti_bus::testing::Recorder;

use crate::auth::UserRegistered;
use crate::server::{Server, on_every_server};

on_every_server! { events_fired_are_remembered }

async fn events_fired_are_remembered(server: Server) {
    let recorder = Recorder::new();
    let hooks: Vec<Arc<dyn tutti_bus::Hook>> = vec![Arc::new(recorder.clone())];
    let bus = Bus::connect_with_hooks(server.settings("auth", "1"), hooks).await.unwrap();
    recorder.assert_fired::<UserRegistered>(0);
    let id = bus.fire(UserRegistered::number(7)).await.unwrap();
    recorder.assert_fired::<UserRegistered>(1);
    assert_eq!(recorder.events::<UserRegistered>(), [UserRegistered::number(7)]);
    assert_eq!(recorder.sent()[0].id, id.id);
}
