//! Starting, stopping, refusing.

use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use tutti_client::Client;
use tutti_controller::{Controller, Options, STATEMENTS};
use tutti_model::api::{ControllerInfo, FlowInfo, LogPage, ModelCreate, ModelInfo};
use tutti_store::Store;

use crate::world::{World, refusal};

#[tokio::test]
async fn it_tells_who_it_is() {
    for world in World::all().await {
        let info: ControllerInfo = world.get("/v1").await;
        assert_eq!(info.agent_version, "3.6.9");
        assert_eq!((info.name.as_str(), info.default_cloud.as_str()), ("local", "localhost"));
        assert_eq!(info.socket, world.options.socket().display().to_string());
        assert_eq!(info.pid, std::process::id());
        world.end().await;
    }
}

#[tokio::test]
async fn identity_and_models_survive_a_restart() {
    for mut world in World::all().await {
        let before: ControllerInfo = world.get("/v1").await;
        world.model().await;
        let begun = Instant::now();
        world.restart().await;
        assert!(begun.elapsed().as_millis() < 2000, "{:?}", begun.elapsed());
        let after: ControllerInfo = world.get("/v1").await;
        assert_eq!(before.uuid, after.uuid);
        let models: Vec<ModelInfo> = world.get("/v1/models").await;
        assert_eq!(models.len(), 1);
        world.end().await;
    }
}

#[tokio::test]
async fn tcp_serves_loopback_only() {
    let directory = tempfile::tempdir().unwrap();
    let mut options = Options::new(directory.path());
    options.listen = Some("127.0.0.1:0".parse().unwrap());
    let controller = Controller::start(options.clone()).await.unwrap();
    let address = controller.address().unwrap().to_string();
    let client = Client::connect(&address.parse().unwrap()).await.unwrap();
    let info: ControllerInfo = client.get("/v1").await.unwrap();
    assert_eq!(info.address, address);
    drop(client);
    controller.stop().await;
    options.listen = Some("0.0.0.0:0".parse().unwrap());
    let error = Controller::start(options).await.unwrap_err();
    assert!(error.to_string().contains("listen on 0.0.0.0"), "{error}");
}

#[tokio::test]
async fn what_is_private_is_for_its_owner_alone() {
    let world = World::sqlite().await;
    let mode = |name: &str| {
        let path = world.options.data.join(name);
        path.metadata().unwrap().permissions().mode() & 0o077
    };
    assert_eq!(mode(""), 0o011, "workloads of other users must reach their charm and storage");
    for name in ["tutti.sock", "tutti.db", "tutti.db-wal", "tutti.db.lock", "artifacts"] {
        assert_eq!(mode(name), 0, "{name}");
    }
    world.end().await;
}

#[tokio::test]
async fn one_controller_per_database_file() {
    let world = World::sqlite().await;
    let mut options = world.options.clone();
    options.socket = Some(world.directory.path().join("other.sock"));
    let error = Controller::start(options.clone()).await.unwrap_err();
    let text = error.to_string();
    assert!(text.contains(&format!("is in use by process {}", std::process::id())), "{text}");
    world.end().await;
    Controller::start(options).await.unwrap().stop().await;
}

#[tokio::test]
async fn bad_requests_get_problem_documents() {
    let world = World::sqlite().await;
    world.model().await;
    let nowhere = refusal(world.client.get::<ControllerInfo>("/v1/nothing").await);
    assert_eq!((nowhere.status, nowhere.code.as_str()), (404, "not-found"));
    let no_model = refusal(world.client.get::<ModelInfo>("/v1/models/nope").await);
    assert_eq!((no_model.status, no_model.detail.as_str()), (404, "model \"nope\" not found"));
    let method = refusal(world.client.delete::<ControllerInfo>("/v1/models").await);
    assert_eq!((method.status, method.code.as_str()), (405, "method"));
    let shape = refusal(world.client.post::<_, ModelInfo>("/v1/models", &["no object"]).await);
    assert_eq!((shape.status, shape.code.as_str()), (400, "invalid"));
    let id = refusal(world.client.get::<ModelInfo>("/v1/flows/no-uuid").await);
    assert_eq!((id.status, id.code.as_str()), (400, "invalid"));
    let huge = "x".repeat(40 * 1024 * 1024);
    let huge = refusal(world.client.post::<_, ModelInfo>("/v1/models", &huge).await);
    assert_eq!(huge.status, 413);
    world.end().await;
}

#[tokio::test]
async fn so_many_requests_may_wait_and_no_more() {
    let directory = tempfile::tempdir().unwrap();
    let options = Options { waiting_max: 1, ..Options::new(directory.path()) };
    let socket = format!("unix:{}", options.socket().display()).parse().unwrap();
    let controller = Controller::start(options).await.unwrap();
    let client = Client::connect(&socket).await.unwrap();
    let model = ModelCreate { name: "m".into(), ..ModelCreate::default() };
    client.post::<_, ModelInfo>("/v1/models", &model).await.unwrap();
    let log = async |follow_ms: u32| -> Result<LogPage, tutti_client::Error> {
        client.get(&format!("/v1/models/m/log?after=0&follow_ms={follow_ms}")).await
    };
    let follower = client.clone();
    // Refused while the other one waits, it tries again.
    let waiting = tokio::spawn(async move {
        let path = "/v1/models/m/log?after=0&follow_ms=60000";
        while follower.get::<LogPage>(path).await.is_err() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    let begun = Instant::now();
    let busy = loop {
        match log(1).await {
            Err(tutti_client::Error::Problem(problem)) => break problem,
            // The other one does not wait yet.
            other => assert!(other.is_ok() && begun.elapsed().as_secs() < 10, "{other:?}"),
        }
    };
    assert_eq!((busy.status, busy.code.as_str()), (503, "busy"));
    log(0).await.unwrap();
    waiting.abort();
    while log(1).await.is_err() {
        assert!(begun.elapsed().as_secs() < 10, "the place of who went is not free again");
    }
    drop(client);
    controller.stop().await;
}

#[tokio::test]
async fn every_statement_prepares_on_both_engines() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("test.db").display().to_string();
    let server = std::env::var("TUTTI_TEST_POSTGRES").ok();
    let server = server.map(|url| format!("{url}?schema=controller_statements"));
    for url in std::iter::once(file).chain(server) {
        let migrations =
            [tutti_controller::MIGRATIONS, tutti_flow::MIGRATIONS, tutti_content::MIGRATIONS];
        let store = Store::open(&url, &migrations.concat()).await.unwrap();
        for statements in STATEMENTS {
            store.prepare_all(statements).await.unwrap();
        }
        store.close().await;
    }
}

#[tokio::test]
async fn every_described_method_is_served_and_no_other() {
    let world = World::sqlite().await;
    let document: serde_json::Value = world.get("/v1/openapi.json").await;
    for (path, item) in document["paths"].as_object().unwrap() {
        let mut described: Vec<_> = item
            .as_object()
            .unwrap()
            .keys()
            .filter(|key| ["get", "post", "put", "patch", "delete"].contains(&key.as_str()))
            .map(|key| key.to_uppercase())
            .collect();
        described.sort();
        assert_eq!(allowed(&world, path).await, described, "{path}");
    }
    world.end().await;
}

/// The methods a path takes, as it tells when asked with another one.
async fn allowed(world: &World, path: &str) -> Vec<String> {
    let answer = world.raw(&format!("OPTIONS {}", path.replace(['{', '}'], "")), "").await;
    assert!(answer.starts_with("HTTP/1.1 405"), "{path}: {answer}");
    let allow = answer.lines().find_map(|line| line.strip_prefix("allow: ")).unwrap_or_default();
    let mut methods: Vec<String> = allow.split(',').map(str::to_owned).collect();
    methods.retain(|method| method != "HEAD");
    methods.sort();
    methods
}

#[tokio::test]
async fn accepted_changes_say_where_to_look() {
    let world = World::sqlite().await;
    world.model().await;
    let change = r#"{"set": {"update-status-hook-interval": "1m"}}"#;
    let first = world.raw("PATCH /v1/models/m/config", change).await;
    assert!(first.starts_with("HTTP/1.1 202 Accepted"), "{first}");
    assert!(first.contains("\r\nlocation: /v1/models/m\r\n"), "{first}");
    let link = first.lines().find_map(|line| line.strip_prefix("link: <")).unwrap();
    let flow: FlowInfo = world.get(link.strip_suffix(">; rel=\"status\"").unwrap()).await;
    assert_eq!(flow.kind, "configure-model");
    let again = world.raw("PATCH /v1/models/m/config", change).await;
    assert!(again.starts_with("HTTP/1.1 200 OK") && !again.contains("location: "), "{again}");
    let refused = world.raw("GET /v1/models/nope", "").await;
    assert!(refused.starts_with("HTTP/1.1 404"), "{refused}");
    assert!(refused.contains("content-type: application/problem+json"), "{refused}");
    world.end().await;
}
