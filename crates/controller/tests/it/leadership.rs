//! Who leads.

use tutti_model::agent::{ContextStatus, Report, Step};
use tutti_model::api::{Accepted, LeaderChoice, RemoveUnits};

use crate::charm::charm;
use crate::player::{Player, bag};
use crate::world::{World, refusal};

async fn leaders(agent: &Player<'_>, units: &[&str]) -> Vec<String> {
    let mut leaders = Vec::new();
    for unit in units {
        if agent.snapshot(unit).await.leader {
            leaders.push((*unit).to_owned());
        }
    }
    leaders
}

#[tokio::test]
async fn the_first_unit_leads_and_the_next_takes_over_at_once() {
    for world in World::all().await {
        world.model().await;
        world.deploy(&charm("db"), 3).await;
        let agent = Player::start(&world).await;
        for unit in ["db/0", "db/1", "db/2"] {
            agent.step(unit, Step::default()).await;
        }
        assert_eq!(leaders(&agent, &["db/0", "db/1", "db/2"]).await, ["db/0"]);
        let before = agent.snapshot("db/1").await.generation;
        let units = vec!["db/0".to_owned(), "db/1".to_owned()];
        let remove = RemoveUnits { units, ..RemoveUnits::default() };
        let _: Accepted = world.post("/v1/models/m/units/remove", &remove).await;
        assert_eq!(
            leaders(&agent, &["db/0", "db/1", "db/2"]).await,
            ["db/0"],
            "still, while dying"
        );
        agent.die("db/0").await;
        assert_eq!(leaders(&agent, &["db/1", "db/2"]).await, ["db/2"], "db/1 is going as well");
        assert!(agent.snapshot("db/2").await.generation > before);
        world.end().await;
    }
}

#[tokio::test]
async fn an_operator_names_the_leader() {
    for world in World::all().await {
        world.model().await;
        world.deploy(&charm("db"), 2).await;
        let agent = Player::start(&world).await;
        let choice = LeaderChoice { unit: "db/1".into() };
        world.put("/v1/models/m/applications/db/leader", &choice).await;
        assert_eq!(leaders(&agent, &["db/0", "db/1"]).await, ["db/1"]);
        // What the old leader still wanted to say for the application is not heard.
        let status = ContextStatus { status: "active".into(), message: "old".into() };
        let old = Report::Status { application: true, status };
        agent.report("db/0", std::slice::from_ref(&old)).await;
        let application = &world.status().await.applications["db"].application_status;
        assert_ne!(application.message, "old");
        agent.report("db/1", &[old]).await;
        let application = &world.status().await.applications["db"].application_status;
        assert_eq!(application.message, "old");
        let nobody = LeaderChoice { unit: "db/9".into() };
        let path = "/v1/models/m/applications/db/leader";
        assert_eq!(refusal(world.client.put::<_, Accepted>(path, &nobody).await).status, 404);
        world.end().await;
    }
}

#[tokio::test]
async fn leader_settings_reach_the_followers() {
    for world in World::all().await {
        world.model().await;
        world.deploy(&charm("db"), 2).await;
        let agent = Player::start(&world).await;
        let before = agent.snapshot("db/1").await;
        let set = |pairs| [Report::LeaderSettings { settings: bag(pairs) }];
        agent.report("db/0", &set(&[("a", "1"), ("b", "2")])).await;
        agent.report("db/0", &set(&[("b", "")])).await;
        let after = agent.snapshot("db/1").await;
        assert_eq!(after.leader_settings, before.leader_settings + 2);
        assert!(after.generation > before.generation);
        agent.report("db/0", &set(&[("a", "1")])).await;
        agent.report("db/1", &set(&[("a", "follower")])).await;
        assert_eq!(agent.snapshot("db/1").await.leader_settings, after.leader_settings);
        assert_eq!(agent.context("db/1").await.leader_settings, bag(&[("a", "1")]));
        world.end().await;
    }
}
