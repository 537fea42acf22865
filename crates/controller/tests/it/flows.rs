//! Flows, tasks and events.

use serde_json::{Value, json};
use tutti_model::api::{Accepted, Deploy, FlowInfo, FlowLogLine, FlowPage, TaskInfo, TaskPage};

use crate::charm::charm;
use crate::world::{World, refusal};

#[tokio::test]
async fn flows_and_tasks_are_found_by_model_resource_and_state() {
    for world in World::all().await {
        world.model().await;
        world.add_model("n", "").await;
        let accepted = world.deploy(&charm("db"), 2).await;
        let id = accepted.flow.unwrap().id;
        for query in [
            "",
            "?model=m",
            "?resource=application/db",
            "?kind=deploy",
            "?name=DB",
            "?model=m&limit=1",
        ] {
            let flows = world.get::<FlowPage>(&format!("/v1/flows{query}")).await.flows;
            assert_eq!((flows.len(), flows[0].id.as_str()), (1, id.as_str()), "{query}");
            assert_eq!((flows[0].model.as_str(), flows[0].generation), ("m", Some(1)));
            assert_eq!(flows[0].resources, ["application/db"]);
        }
        let under = format!("?parent={id}");
        for query in ["?model=n", "?resource=application/x", "?state=failed", "?name=x", &under] {
            let flows = world.get::<FlowPage>(&format!("/v1/flows{query}")).await.flows;
            assert_eq!(flows, [], "{query}");
        }
        let path = "/v1/tasks?resource=unit/db/1&state=WAITING,pending";
        let tasks = world.get::<TaskPage>(path).await.tasks;
        assert_eq!((tasks.len(), tasks[0].name.as_str()), (1, "unit.converge"));
        let none = world.get::<TaskPage>(&format!("/v1/tasks{under}")).await.tasks;
        assert_eq!(none, []);
        let one: TaskInfo = world.get(&format!("/v1/tasks/{}", tasks[0].id)).await;
        assert_eq!((one.flow.as_str(), one.resource.as_str()), (id.as_str(), "unit/db/1"));
        let problem = refusal(world.client.get::<TaskPage>("/v1/tasks?state=odd").await);
        assert_eq!(problem.status, 400);
        world.end().await;
    }
}

#[tokio::test]
async fn flows_can_be_cancelled_and_retried() {
    for world in World::all().await {
        world.model().await;
        let accepted = world.deploy(&charm("db"), 1).await;
        let path = format!("/v1/flows/{}", accepted.flow.as_ref().unwrap().id);
        world.post::<FlowInfo>(&format!("{path}/cancel"), json!({})).await;
        assert_eq!(world.ended(&accepted).await.state, "cancelled");
        let again =
            refusal(world.client.post::<_, FlowInfo>(&format!("{path}/cancel"), &json!({})).await);
        assert_eq!(again.status, 409, "{}", again.detail);
        assert_eq!(world.application("db").await.sync.state, "failed");
        world.post::<FlowInfo>(&format!("{path}/retry"), json!({})).await;
        let _agent = world.agent().await;
        assert_eq!(world.ended(&accepted).await.state, "succeeded");
        let none = refusal(world.client.get::<FlowInfo>(&format!("/v1/flows/{}", uuid())).await);
        assert_eq!(none.status, 404);
        world.end().await;
    }
}

fn uuid() -> &'static str {
    "01890000-0000-7000-8000-000000000000"
}

#[tokio::test]
async fn a_change_of_the_same_kind_takes_the_place_of_one_that_has_not_begun() {
    for world in World::all().await {
        world.model().await;
        let deployed = world.deploy(&charm("db"), 1).await;
        let path = "/v1/models/m/applications/db/config";
        let first = world.patch(path, json!({"set": {"port": "1"}})).await;
        let second = world.patch(path, json!({"set": {"port": "2"}})).await;
        assert_eq!(world.ended(&first).await.state, "superseded");
        let waiting: FlowInfo =
            world.get(&format!("/v1/flows/{}", second.flow.as_ref().unwrap().id)).await;
        assert_eq!(waiting.state, "blocked");
        assert_eq!(waiting.waiting_for[0].flow, deployed.flow.as_ref().unwrap().id);
        let _agent = world.agent().await;
        assert_eq!(world.ended(&second).await.state, "succeeded");
        world.end().await;
    }
}

#[tokio::test]
async fn a_unit_that_goes_holds_up_nobody() {
    for world in World::all().await {
        world.model().await;
        // Each waits for db/1, the second only once the first has ended.
        world.deploy(&charm("db"), 2).await;
        let path = "/v1/models/m/applications/db/config";
        let configured = world.patch(path, json!({"set": {"port": "1"}})).await;
        world.post::<Accepted>("/v1/models/m/units/remove", json!({"units": ["db/1"]})).await;
        let _agent = world.agent().await;
        assert_eq!(world.ended(&configured).await.state, "succeeded");
        world.end().await;
    }
}

#[tokio::test]
async fn pages_follow_one_another() {
    for world in World::all().await {
        world.model().await;
        for _ in 0..5 {
            world.post::<Accepted>("/v1/models/m/machines", json!({})).await;
        }
        let all = world.get::<FlowPage>("/v1/flows").await;
        assert_eq!((all.flows.len(), all.next), (5, None));
        let mut found = Vec::new();
        let mut next = Some("/v1/flows?limit=2&kind=add-machines".to_owned());
        while let Some(path) = next {
            let answer = world.send("GET", &path, &[], &Value::Null).await;
            let page: FlowPage = answer.json();
            let link = page.next.as_ref().map(|next| format!("<{next}>; rel=\"next\""));
            assert_eq!(answer.header("link"), link.unwrap_or_default());
            found.extend(page.flows);
            next = page.next;
        }
        assert_eq!(found, all.flows);
        let first = &found[4].id;
        let gone =
            refusal(world.client.get::<FlowPage>(&format!("/v1/flows?after={}", uuid())).await);
        assert_eq!(gone.status, 410);
        let rest = world.get::<FlowPage>(&format!("/v1/flows?after={first}")).await;
        assert_eq!(rest.flows, []);
        world.deploy(&charm("db"), 3).await;
        let one = world.get::<TaskPage>("/v1/tasks?resource=application/db&limit=2").await;
        let two = world.get::<TaskPage>(&one.next.unwrap()).await;
        let all = world.get::<TaskPage>("/v1/tasks?resource=application/db").await;
        let ids = |tasks: &[TaskInfo]| tasks.iter().map(|task| task.id.clone()).collect::<Vec<_>>();
        assert_eq!(ids(&[one.tasks, two.tasks].concat()), ids(&all.tasks)[..4]);
        world.end().await;
    }
}

#[tokio::test]
async fn what_is_no_filter_is_named_with_those_that_are() {
    for world in World::all().await {
        for (path, named, known) in [
            ("/v1/flows?colour=red", "colour", "since"),
            ("/v1/tasks?kind=deploy", "kind", "name"),
            ("/v1/flows?state=odd", "odd", "superseded"),
            ("/v1/tasks?task_state=odd", "odd", "revert_failed"),
            ("/v1/tasks?class=odd", "odd", "timeout"),
            ("/v1/flows?since=yesterday", "yesterday", "10m"),
            ("/v1/flows?limit=0", "limit", "1000"),
            ("/v1/events?kind=x", "kind", "topic"),
        ] {
            let problem = refusal(world.client.get::<Value>(path).await);
            assert_eq!(problem.status, 400, "{path}");
            let said = &problem.detail;
            assert!(said.contains(named) && said.contains(known), "{path}: {said}");
        }
        world.end().await;
    }
}

#[tokio::test]
async fn a_resource_has_a_history() {
    for world in World::all().await {
        world.model().await;
        world.deploy(&charm("db"), 1).await;
        world.patch("/v1/models/m/applications/db/config", json!({"set": {"port": "1"}})).await;
        world.post::<Accepted>("/v1/models/m/machines", json!({})).await;
        for (path, kinds) in [
            ("applications/db/flows", &["configure", "deploy"][..]),
            ("applications/db/flows?state=BLOCKED", &["configure"]),
            ("applications/db/flows?since=1h", &["configure", "deploy"]),
            ("applications/db/flows?since=2100-01-01T00:00:00Z", &[]),
            ("machines/1/flows", &["add-machines"]),
            ("units/db/7/flows", &[]),
            ("flows", &["add-machines", "configure", "deploy"]),
        ] {
            let flows = world.get::<FlowPage>(&format!("/v1/models/m/{path}")).await.flows;
            let found: Vec<_> = flows.iter().map(|flow| flow.kind.as_str()).collect();
            assert_eq!(found, kinds, "{path}");
        }
        let recent =
            world.get::<TaskPage>("/v1/tasks?since=10m&task_state=WAITING,pending").await.tasks;
        assert!(!recent.is_empty());
        let none = world.get::<TaskPage>("/v1/tasks?since=2100-01-01T00:00:00Z").await;
        assert_eq!(none, TaskPage::default());
        world.end().await;
    }
}

#[tokio::test]
async fn a_flow_shows_its_shape_and_what_can_be_asked_of_it() {
    for world in World::all().await {
        world.model().await;
        let deployed = world.deploy(&charm("db"), 2).await;
        let id = &deployed.flow.as_ref().unwrap().id;
        let path = "/v1/models/m/applications/db/config";
        world.patch(path, json!({"set": {"port": "1"}})).await;
        world.put("/v1/models/m/applications/db/trust", json!({"on": true})).await;
        world
            .until("the charm is checked", || async {
                world.get::<FlowInfo>(&format!("/v1/flows/{id}")).await.tasks[0].state
                    == "succeeded"
            })
            .await;
        let flow: FlowInfo = world.get(&format!("/v1/flows/{id}")).await;
        assert_eq!((flow.task_count, flow.tasks_open), (3, 2));
        assert_eq!(flow.verbs, ["cancel", "suspend", "abandon"]);
        let check = &flow.tasks[0];
        assert!(check.needs.is_empty());
        assert!(flow.tasks[1..].iter().all(|task| task.needs == [check.id.clone()]), "{flow:#?}");
        let of_db = world.get::<FlowPage>("/v1/flows?state=blocked").await.flows;
        let places: Vec<_> = of_db.iter().map(|flow| flow.waiting_for[0].position).collect();
        assert_eq!(places, [Some(3), Some(2)]);
        let first: FlowInfo = world.get(&format!("/v1/flows/{}", of_db.last().unwrap().id)).await;
        assert_eq!(first.waiting_for[0].position, Some(2));
        for (format, parts) in [
            ("", &["flowchart TD", "t0 --> t1", "t0 --> t2", "fill:#b7e1b0"][..]),
            ("?format=mermaid", &["flowchart TD"]),
            ("?format=dot", &["digraph flow {", "t0 -> t2;"]),
            ("?format=json", &["\"from\":", "\"nodes\":"]),
        ] {
            let answer = world
                .send("GET", &format!("/v1/flows/{id}/graph{format}"), &[], &Value::Null)
                .await;
            assert_eq!(answer.status, 200);
            for part in parts {
                assert!(answer.body.contains(part), "{format}: {part}: {}", answer.body);
            }
        }
        let path = format!("/v1/flows/{id}/graph?format=png");
        assert_eq!(refusal(world.client.get::<Value>(&path).await).status, 400);
        let lines: Vec<FlowLogLine> = world.get(&format!("/v1/flows/{id}/log")).await;
        assert_eq!(lines, []);
        let none = refusal(world.client.get::<Value>(&format!("/v1/flows/{}/log", uuid())).await);
        assert_eq!(none.status, 404);
        world.end().await;
    }
}

#[tokio::test]
async fn a_flow_has_the_trace_of_its_request() {
    for world in World::all().await {
        world.model().await;
        world.deploy(&charm("db"), 1).await;
        let given = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        let path = "/v1/models/m/applications/db/config";
        let mut seen = Vec::new();
        for (number, header) in [Some(given), None, Some("nonsense"), None].iter().enumerate() {
            let headers: Vec<_> = header.iter().map(|trace| ("traceparent", *trace)).collect();
            let change = json!({"set": {"port": (number + 1).to_string()}});
            let answer = world.send("PATCH", path, &headers, &change).await;
            assert_eq!(answer.status, 202, "{}", answer.body);
            let accepted: Accepted = serde_json::from_str(&answer.body).unwrap();
            let flow: FlowInfo =
                world.get(&format!("/v1/flows/{}", accepted.flow.unwrap().id)).await;
            seen.extend(flow.trace);
        }
        assert_eq!((seen.len(), seen[0].as_str()), (4, given));
        assert!(seen.iter().all(|trace| tutti_flow::Trace::read(trace).parent.is_some()));
        seen.sort();
        seen.dedup();
        assert_eq!(seen.len(), 4, "each request has its own");
        world.end().await;
    }
}

#[tokio::test]
async fn parts_of_ids_stand_for_them() {
    for world in World::all().await {
        world.model().await;
        let deployed = world.deploy(&charm("db"), 1).await;
        let id = deployed.flow.unwrap().id;
        let end = id.rsplit('-').next().unwrap();
        for part in [id.as_str(), &id[..13], end, &end.to_uppercase()] {
            let found = world.get::<FlowPage>(&format!("/v1/flows?id={part}")).await.flows;
            assert_eq!((found.len(), found[0].id.as_str()), (1, id.as_str()), "{part}");
        }
        let task = &world.get::<TaskPage>(&format!("/v1/tasks?flow={id}")).await.tasks[0].id;
        let end = task.rsplit('-').next().unwrap();
        let found = world.get::<TaskPage>(&format!("/v1/tasks?id={end}")).await.tasks;
        assert_eq!((found.len(), &found[0].id), (1, task));
        let page = world.get::<FlowPage>(&format!("/v1/flows?limit=1&id={id}")).await;
        assert_eq!((page.flows.len(), page.next), (1, None));
        assert_eq!(world.get::<FlowPage>("/v1/flows?id=ffffffff").await.flows, []);
        for part in ["12345", "deploy", "%25%25%25%25%25%25"] {
            let problem = refusal(world.client.get::<Value>(&format!("/v1/flows?id={part}")).await);
            assert_eq!(problem.status, 400, "{part}");
        }
        world.end().await;
    }
}

#[tokio::test]
async fn verbs_change_the_course_of_a_flow_and_say_what_they_cannot() {
    for world in World::all().await {
        world.model().await;
        let deployed = world.deploy(&charm("db"), 1).await;
        let id = deployed.flow.as_ref().unwrap().id.clone();
        let ask = async |verb: &str| -> FlowInfo {
            world.post(&format!("/v1/flows/{id}{verb}"), json!({})).await
        };
        let refused = async |verb: &str| {
            let path = format!("/v1/flows/{id}{verb}");
            refusal(world.client.post::<_, FlowInfo>(&path, &json!({})).await)
        };
        ask(":suspend").await;
        world
            .until("it is suspended", || async {
                world.get::<FlowInfo>(&format!("/v1/flows/{id}")).await.suspended
            })
            .await;
        assert!(ask("/resume").await.verbs.contains(&"cancel".to_owned()));
        let early = refused(":retry").await;
        assert_eq!((early.status, early.code.as_str()), (409, "conflict"));
        assert!(
            early.detail.contains("cannot be retried: it can be cancelled"),
            "{}",
            early.detail
        );
        let task = &world.get::<TaskPage>(&format!("/v1/tasks?flow={id}")).await.tasks[0].id;
        let path = format!("/v1/tasks/{task}:skip");
        let skipped = refusal(world.client.post::<_, FlowInfo>(&path, &json!({})).await);
        assert_eq!(skipped.status, 409);
        assert!(skipped.detail.contains("can be skipped when"), "{}", skipped.detail);
        ask(":cancel").await;
        assert_eq!(world.ended(&deployed).await.state, "cancelled");
        let again = refused(":suspend").await;
        assert_eq!(
            again.detail,
            format!("flow {id} is cancelled and cannot be suspended: it can be retried")
        );
        let nothing = refused(":revert").await;
        assert_eq!(nothing.status, 409);
        let sentence = "cannot be reverted, for nothing it did can be undone: it can be retried";
        assert!(nothing.detail.ends_with(sentence), "{}", nothing.detail);
        ask(":retry").await;
        ask(":abandon").await;
        assert_eq!(world.ended(&deployed).await.state, "abandoned");
        let over = refused(":retry").await;
        assert!(over.detail.ends_with("nothing can be done with it any more"), "{}", over.detail);
        for (path, status) in [
            (format!("/v1/flows/{id}:explode"), 400),
            (format!("/v1/flows/{id}"), 400),
            ("/v1/flows/x:cancel".to_owned(), 400),
            (format!("/v1/flows/{}:cancel", uuid()), 404),
            (format!("/v1/tasks/{task}"), 400),
            (format!("/v1/tasks/{}/skip", uuid()), 404),
        ] {
            let problem = refusal(world.client.post::<_, FlowInfo>(&path, &json!({})).await);
            assert_eq!(problem.status, status, "{path}: {}", problem.detail);
        }
        world.end().await;
    }
}

#[tokio::test]
async fn a_failed_task_that_somebody_took_care_of_is_skipped() {
    for world in World::all().await {
        world.model().await;
        let charm = world.upload(&charm("db")).await.url;
        let artifacts = world.options.data.join("artifacts");
        let elsewhere = world.directory.path().join("artifacts");
        std::fs::rename(&artifacts, &elsewhere).unwrap();
        let deploy = Deploy { charm, units: Some(1), ..Deploy::default() };
        let deployed: Accepted = world.post("/v1/models/m/applications", deploy).await;
        let failed = world.ended(&deployed).await;
        assert_eq!((failed.state.as_str(), failed.tasks[0].state.as_str()), ("failed", "failed"));
        assert_eq!(failed.verbs, ["retry"]);
        std::fs::rename(&elsewhere, &artifacts).unwrap();
        let path = format!("/v1/tasks/{}:skip", failed.tasks[0].id);
        let answer = world.send("POST", &path, &[], &json!({})).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        let skipped: FlowInfo = answer.json();
        assert_eq!((skipped.id.as_str(), skipped.finished.as_str()), (failed.id.as_str(), ""));
        let _agent = world.agent().await;
        let ended = world.ended(&deployed).await;
        let states: Vec<_> = ended.tasks.iter().map(|task| task.state.as_str()).collect();
        assert_eq!((ended.state.as_str(), states), ("succeeded", vec!["skipped", "succeeded"]));
        world.end().await;
    }
}

#[tokio::test]
async fn a_retried_flow_that_waits_its_turn_is_cancelled_by_whoever_may() {
    for world in World::all().await {
        world.model().await;
        let deployed = world.deploy(&charm("db"), 1).await;
        let path = format!("/v1/flows/{}", deployed.flow.as_ref().unwrap().id);
        let ask = async |verb: &str| -> FlowInfo {
            world.post(&format!("{path}:{verb}"), json!({})).await
        };
        ask("cancel").await;
        assert_eq!(world.ended(&deployed).await.state, "cancelled");
        let configured = "/v1/models/m/applications/db/config";
        world.patch(configured, json!({"set": {"port": "1"}})).await;
        assert_eq!(ask("retry").await.state, "blocked");
        assert_eq!(ask("cancel").await.state, "cancelled");
        assert_eq!(ask("retry").await.state, "blocked");
        let removed = world.delete("/v1/models/m/applications/db").await;
        assert_eq!(world.ended(&removed).await.state, "succeeded");
        assert_eq!(world.ended(&deployed).await.state, "cancelled");
        world.end().await;
    }
}
