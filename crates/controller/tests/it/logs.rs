//! Logs and deferred notices: what people look at.

use std::time::{Duration, Instant};

use tutti_model::agent::{DeferredNotice, LogLine, Report};
use tutti_model::api::{DeferredInfo, LogPage};

use crate::charm::charm;
use crate::player::Player;
use crate::world::World;

const LOG: &str = "/v1/models/m/log";

fn lines(messages: &[(&str, &str)]) -> Report {
    let line = |(level, message): &(&str, &str)| LogLine {
        time: 1_000_000,
        level: (*level).into(),
        logger: "unit.db/0.juju-log".into(),
        message: (*message).into(),
    };
    Report::Log { lines: messages.iter().map(line).collect() }
}

fn messages(page: &LogPage) -> Vec<&str> {
    page.lines.iter().map(|line| line.message.as_str()).collect()
}

#[tokio::test]
async fn lines_are_kept_in_order_and_paged() {
    for world in World::all().await {
        world.model().await;
        world.deploy(&charm("db"), 2).await;
        let agent = Player::start(&world).await;
        agent.report("db/0", &[lines(&[("DEBUG", "one"), ("INFO", "t\0o")])]).await;
        agent.report("db/1", &[lines(&[("ERROR", "three")])]).await;
        let all: LogPage = world.get(LOG).await;
        assert_eq!(messages(&all), ["one", "t\u{fffd}o", "three"]);
        assert_eq!(all.lines[2].entity, "unit-db-1");
        let newest: LogPage = world.get(&format!("{LOG}?limit=1")).await;
        assert_eq!(messages(&newest), ["three"]);
        let page: LogPage = world.get(&format!("{LOG}?after=0&limit=2")).await;
        assert_eq!(messages(&page), ["one", "t\u{fffd}o"]);
        let page: LogPage = world.get(&format!("{LOG}?after={}&limit=0", page.after)).await;
        assert_eq!(messages(&page), ["three"]);
        let severe: LogPage = world.get(&format!("{LOG}?level=WARNING")).await;
        assert_eq!(messages(&severe), ["three"]);
        let one: LogPage = world.get(&format!("{LOG}?unit=db/0&level=info")).await;
        assert_eq!(messages(&one), ["t\u{fffd}o"]);
        let begun = Instant::now();
        let path = format!("{LOG}?after={}&follow_ms=20000", page.after);
        let (followed, ()) = tokio::join!(world.get::<LogPage>(&path), async {
            tokio::time::sleep(Duration::from_millis(30)).await;
            agent.report("db/0", &[lines(&[("INFO", "four")])]).await;
        });
        assert_eq!(messages(&followed), ["four"]);
        assert!(begun.elapsed() < Duration::from_secs(5));
        let path = format!("{LOG}?after={}&follow_ms=30", followed.after);
        assert_eq!(world.get::<LogPage>(&path).await.after, followed.after, "nothing new");
        world.end().await;
    }
}

#[tokio::test]
async fn a_page_is_bounded_by_its_bytes_too() {
    for world in World::all().await {
        world.model().await;
        world.deploy(&charm("db"), 1).await;
        let agent = Player::start(&world).await;
        let long = "x".repeat(256 * 1024);
        // 40 MiB.
        for _ in 0..4 {
            agent.report("db/0", &[lines(&[("INFO", long.as_str()); 40])]).await;
        }
        let newest: LogPage = world.get(&format!("{LOG}?limit=0")).await;
        assert!(newest.more && (100..140).contains(&newest.lines.len()), "{}", newest.lines.len());
        let first: LogPage = world.get(&format!("{LOG}?limit=0&after=0")).await;
        assert!(first.more && first.lines[0].sequence < newest.lines[0].sequence);
        let rest: LogPage = world.get(&format!("{LOG}?limit=0&after={}", first.after)).await;
        assert!(!rest.more);
        assert_eq!(first.lines.len() + rest.lines.len(), 160);
        assert_eq!(rest.after, newest.after);
        world.end().await;
    }
}

#[tokio::test]
async fn old_lines_go_when_there_are_too_many() {
    let world = World::sqlite().await;
    world.model().await;
    world.deploy(&charm("db"), 1).await;
    let agent = Player::start(&world).await;
    let line = LogLine { time: i64::MAX / 2, level: "INFO".into(), ..LogLine::default() };
    let batch = Report::Log { lines: vec![line; 20_000] };
    for _ in 0..6 {
        agent.report("db/0", std::slice::from_ref(&batch)).await;
    }
    let page: LogPage = world.get(&format!("{LOG}?after=0&limit=1")).await;
    assert!(page.lines[0].sequence > 15_000, "{}", page.lines[0].sequence);
    world.end().await;
}

#[tokio::test]
async fn deferred_notices_are_those_of_the_last_report() {
    for world in World::all().await {
        world.model().await;
        world.deploy(&charm("db"), 1).await;
        let agent = Player::start(&world).await;
        let notice = |sequence| DeferredNotice {
            sequence,
            event: format!("MyCharm/on/config_changed[{sequence}]"),
            observer: "MyCharm".into(),
            method: "_on_config_changed".into(),
            attempts: 2,
            since: 1_000_000,
            next: 2_000_000,
        };
        agent.report("db/0", &[Report::Deferred { notices: vec![notice(1), notice(2)] }]).await;
        agent.report("db/0", &[Report::Deferred { notices: vec![notice(2)] }]).await;
        let listed: Vec<DeferredInfo> = world.get("/v1/models/m/deferred?unit=db/0").await;
        assert_eq!(listed.len(), 1);
        let one = &listed[0];
        assert_eq!((one.unit.as_str(), one.sequence, one.attempts), ("db/0", 2, 2));
        assert_eq!(one.event, "config_changed");
        assert_eq!(one.handler, "MyCharm._on_config_changed");
        assert_eq!(one.next, "1970-01-01T00:00:02Z");
        agent.report("db/0", &[Report::Deferred { notices: Vec::new() }]).await;
        let listed: Vec<DeferredInfo> = world.get("/v1/models/m/deferred").await;
        assert!(listed.is_empty());
        world.end().await;
    }
}
