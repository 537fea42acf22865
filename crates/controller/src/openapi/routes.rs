//! Everything under `/v1`: method, path, what it is for, what goes in and what comes out.

use tutti_model::api::{
    Actions, AddMachines, AddStorage, AddUnits, ApplicationConfig, ApplicationInfo, ArtifactInfo,
    CharmInfo, ClaimBeat, ClaimInfo, ClaimRequest, ClaimResult, ClaimStanding, ConfigChange,
    Constraints, ControllerInfo, DeferredInfo, Deploy, FlowGraph, FlowInfo, FlowLogLine, FlowPage,
    Integrate, LeaderChoice, LogPage, MachineInfo, ModelConfig, ModelCreate, ModelInfo,
    OperationInfo, OperationTask, Refresh, RelationInfo, RemoveRelation, RemoveUnits, Resolve,
    ResourceInfo, ResourceUpload, RunOperation, SecretAdd, SecretChange, SecretGrantChange,
    SecretInfo, Status, StatusLogEntry, StorageInfo, Switch, TaskInfo, TaskPage, UnitInfo,
    WorkerInfo,
};
use utoipa::openapi::HttpMethod::{Delete, Get, Patch, Post, Put};

use super::document::{Route, route};

/// Every route.
pub(super) fn all() -> impl Iterator<Item = Route> {
    [
        controller(),
        models(),
        applications(),
        units(),
        relations(),
        operations(),
        secrets(),
        flows(),
        workers(),
        agents(),
    ]
    .into_iter()
    .flatten()
}

fn controller() -> Vec<Route> {
    vec![
        route(Get, "/v1", "The controller").answers::<ControllerInfo>(),
        route(Get, "/v1/openapi.json", "This document"),
        route(Get, "/v1/metrics", "What is counted, as Prometheus reads it").answers_text(),
        route(Post, "/v1/artifacts", "Store bytes")
            .takes_bytes()
            .answers::<ArtifactInfo>()
            .status("201"),
        route(Get, "/v1/artifacts/{digest}", "Stored bytes").answers_bytes(),
        route(Get, "/v1/catalogue", "Charms deployed by name").lists::<CharmInfo>(),
        route(Post, "/v1/catalogue", "Publish a charm for every model")
            .takes_bytes()
            .answers::<CharmInfo>()
            .status("201"),
    ]
}

fn models() -> Vec<Route> {
    vec![
        route(Get, "/v1/models", "Every model").lists::<ModelInfo>(),
        route(Post, "/v1/models", "Add a model")
            .takes::<ModelCreate>()
            .answers::<ModelInfo>()
            .status("201"),
        route(Get, "/v1/models/{model}", "A model").answers::<ModelInfo>(),
        accepted(route(Delete, "/v1/models/{model}", "Destroy a model")).query(&[
            "force",
            "no_wait",
            "timeout_ms",
        ]),
        route(Get, "/v1/models/{model}/config", "A model's config").answers::<ModelConfig>(),
        accepted(route(Patch, "/v1/models/{model}/config", "Change a model's config"))
            .takes::<ConfigChange>(),
        route(Get, "/v1/models/{model}/constraints", "A model's constraints")
            .answers::<Constraints>(),
        accepted(route(Put, "/v1/models/{model}/constraints", "Replace a model's constraints"))
            .takes::<Constraints>(),
        route(Get, "/v1/models/{model}/status", "Everything in a model").answers::<Status>(),
        route(Get, "/v1/models/{model}/charms", "A model's charms").lists::<CharmInfo>(),
        route(Post, "/v1/models/{model}/charms", "Upload a charm")
            .query(&["dry_run"])
            .takes_bytes()
            .answers::<CharmInfo>()
            .status("201"),
        route(Get, "/v1/models/{model}/log", "A model's log")
            .query(&["limit", "after", "level", "unit", "follow_ms"])
            .answers::<LogPage>(),
        route(Get, "/v1/models/{model}/machines", "A model's machines").lists::<MachineInfo>(),
        accepted(route(Post, "/v1/models/{model}/machines", "Add machines")).takes::<AddMachines>(),
        route(Get, "/v1/models/{model}/machines/{number}", "A machine").answers::<MachineInfo>(),
        accepted(route(Delete, "/v1/models/{model}/machines/{number}", "Remove a machine"))
            .query(&["force", "no_wait"]),
        route(Get, "/v1/models/{model}/storage", "A model's storage").lists::<StorageInfo>(),
        route(Get, "/v1/models/{model}/deferred", "Deferred notices")
            .query(&["unit"])
            .lists::<DeferredInfo>(),
    ]
}

/// Path of an application, and below it.
macro_rules! application {
    ($below:literal) => {
        concat!("/v1/models/{model}/applications/{application}", $below)
    };
}

fn applications() -> Vec<Route> {
    vec![
        route(Get, "/v1/models/{model}/applications", "A model's applications")
            .lists::<ApplicationInfo>(),
        accepted(route(Post, "/v1/models/{model}/applications", "Deploy a charm"))
            .takes::<Deploy>(),
        route(Get, application!(""), "An application").answers::<ApplicationInfo>(),
        accepted(route(Delete, application!(""), "Remove an application")).query(&[
            "force",
            "no_wait",
            "destroy_storage",
        ]),
        route(Get, application!("/config"), "Its settings").answers::<ApplicationConfig>(),
        accepted(route(Patch, application!("/config"), "Change its settings"))
            .takes::<ConfigChange>(),
        accepted(route(Put, application!("/trust"), "Give or take the cloud credential"))
            .takes::<Switch>(),
        accepted(route(Put, application!("/exposed"), "Open or close its ports")).takes::<Switch>(),
        accepted(route(Put, application!("/deferral"), "Let deferred notices come back early"))
            .takes::<Switch>(),
        route(Get, application!("/constraints"), "Its constraints").answers::<Constraints>(),
        accepted(route(Put, application!("/constraints"), "Replace its constraints"))
            .takes::<Constraints>(),
        route(Get, application!("/resources"), "Its resources").lists::<ResourceInfo>(),
        accepted(route(Put, application!("/resources/{name}"), "Attach a resource"))
            .takes::<ResourceUpload>(),
        route(Get, application!("/actions"), "Its actions").answers::<Actions>(),
        accepted(route(
            Post,
            application!("/refresh"),
            "Refresh it; a dry run answers the plan with 200",
        ))
        .takes::<Refresh>(),
        accepted(route(Post, application!("/sync"), "Bring it back to what is wished")),
        accepted(route(Post, application!(""), "A verb behind its name, …/{application}:sync")),
        accepted(route(Put, application!("/leader"), "Name its leader")).takes::<LeaderChoice>(),
        accepted(route(Post, application!("/units"), "Add units")).takes::<AddUnits>(),
    ]
}

/// Path of a unit, and below it.
macro_rules! unit {
    ($below:literal) => {
        concat!("/v1/models/{model}/units/{application}/{number}", $below)
    };
}

fn units() -> Vec<Route> {
    vec![
        accepted(route(Post, "/v1/models/{model}/units/remove", "Remove units"))
            .takes::<RemoveUnits>(),
        route(Get, unit!(""), "A unit").answers::<UnitInfo>(),
        route(Get, unit!("/status-log"), "Its past statuses")
            .query(&["limit"])
            .lists::<StatusLogEntry>(),
        accepted(route(Post, unit!("/sync"), "Bring it back to what is wished")),
        accepted(route(Post, unit!(""), "A verb behind its name, …/{number}:sync")),
        accepted(route(Post, unit!("/resolved"), "Resolve its failed hook")).takes::<Resolve>(),
        accepted(route(Post, unit!("/storage"), "Add storage to it")).takes::<AddStorage>(),
    ]
}

fn relations() -> Vec<Route> {
    vec![
        route(Get, "/v1/models/{model}/relations", "A model's relations").lists::<RelationInfo>(),
        accepted(route(Post, "/v1/models/{model}/relations", "Relate applications"))
            .takes::<Integrate>(),
        route(Get, "/v1/models/{model}/relations/{number}", "A relation").answers::<RelationInfo>(),
        accepted(route(Post, "/v1/models/{model}/relations/remove", "Remove a relation"))
            .takes::<RemoveRelation>(),
    ]
}

fn operations() -> Vec<Route> {
    const TASK: &str = "/v1/models/{model}/operation-tasks/{number}";
    vec![
        route(Get, "/v1/models/{model}/operations", "Operations, newest last")
            .query(&["limit"])
            .lists::<OperationInfo>(),
        route(Post, "/v1/models/{model}/operations", "Run an action or a command")
            .takes::<RunOperation>()
            .answers::<OperationInfo>()
            .status("202"),
        route(Get, "/v1/models/{model}/operations/{number}", "An operation")
            .answers::<OperationInfo>(),
        route(Get, TASK, "A task of an operation").query(&["wait_ms"]).answers::<OperationTask>(),
        route(Post, concat!("/v1/models/{model}/operation-tasks/{number}", "/cancel"), "Cancel it")
            .answers::<OperationTask>(),
    ]
}

fn secrets() -> Vec<Route> {
    const ONE: &str = "/v1/models/{model}/secrets/{secret}";
    vec![
        route(Get, "/v1/models/{model}/secrets", "A model's secrets").lists::<SecretInfo>(),
        route(Post, "/v1/models/{model}/secrets", "Add a secret")
            .takes::<SecretAdd>()
            .answers::<SecretInfo>()
            .status("201"),
        route(Get, ONE, "A secret")
            .query(&["reveal", "revisions", "revision"])
            .answers::<SecretInfo>(),
        route(Patch, ONE, "Change a secret").takes::<SecretChange>().answers::<SecretInfo>(),
        route(Delete, ONE, "Remove a secret or a revision").query(&["revision"]).status("204"),
        route(Post, "/v1/models/{model}/secrets/{secret}/grant", "Grant it")
            .takes::<SecretGrantChange>()
            .status("204"),
        route(Post, "/v1/models/{model}/secrets/{secret}/revoke", "Revoke it")
            .takes::<SecretGrantChange>()
            .status("204"),
    ]
}

fn flows() -> Vec<Route> {
    vec![
        route(Get, "/v1/flows", "Flows, newest first")
            .query(&[
                "id", "model", "resource", "state", "kind", "name", "parent", "since", "limit",
                "after",
            ])
            .answers::<FlowPage>(),
        history(route(Get, "/v1/models/{model}/flows", "A model's flows")),
        history(route(Get, application!("/flows"), "An application's flows")),
        history(route(Get, unit!("/flows"), "A unit's flows")),
        history(route(Get, "/v1/models/{model}/machines/{number}/flows", "A machine's flows")),
        history(route(Get, "/v1/models/{model}/relations/{number}/flows", "A relation's flows")),
        route(Get, "/v1/flows/{id}", "A flow with its tasks")
            .query(&["wait_ms"])
            .answers::<FlowInfo>(),
        verb("/v1/flows/{id}", "A verb behind the id, /v1/flows/{id}:cancel, as behind a slash"),
        verb("/v1/flows/{id}/cancel", "Cancel a flow"),
        verb("/v1/flows/{id}/suspend", "Begin nothing more of a flow"),
        verb("/v1/flows/{id}/resume", "Let a suspended flow go on"),
        verb("/v1/flows/{id}/retry", "Let a flow go on from where it failed"),
        verb("/v1/flows/{id}/revert", "Undo what a flow did"),
        verb("/v1/flows/{id}/abandon", "Give a flow up as it is"),
        route(Get, "/v1/flows/{id}/graph", "A flow as a picture: Mermaid, DOT or JSON")
            .query(&["format"])
            .answers::<FlowGraph>(),
        route(Get, "/v1/flows/{id}/log", "What a flow's tasks said").lists::<FlowLogLine>(),
        route(Get, "/v1/tasks", "Tasks of flows, newest first")
            .query(&[
                "id", "model", "resource", "state", "class", "flow", "name", "parent", "since",
                "limit", "after",
            ])
            .answers::<TaskPage>(),
        route(Get, "/v1/tasks/{id}", "A task").answers::<TaskInfo>(),
        verb("/v1/tasks/{id}", "A verb behind the id, /v1/tasks/{id}:skip"),
        verb("/v1/tasks/{id}/skip", "A failed task was taken care of by hand: its flow goes on"),
        route(Get, "/v1/events", "What happens, as it happens")
            .query(&["after", "follow", "topic", "model"])
            .answers_events(),
    ]
}

/// What is asked of a flow or its task; the answer is the flow.
fn verb(path: &'static str, summary: &'static str) -> Route {
    route(Post, path, summary).answers::<FlowInfo>()
}

fn workers() -> Vec<Route> {
    vec![
        route(Get, "/v1/workers", "Workers that have been heard of").lists::<WorkerInfo>(),
        route(Post, "/v1/workers/{name}/claims", "Tasks for a worker, under a lease")
            .takes::<ClaimRequest>()
            .lists::<ClaimInfo>(),
        route(Post, "/v1/claims/{id}", "A sign of life, progress and lines")
            .takes::<ClaimBeat>()
            .answers::<ClaimStanding>(),
        route(Delete, "/v1/claims/{id}", "Give a task back unfinished").status("204"),
        route(Post, "/v1/claims/{id}/result", "What came of a task")
            .takes::<ClaimResult>()
            .status("204"),
    ]
}

fn agents() -> Vec<Route> {
    const SESSION: &[&str] = &["session"];
    vec![
        route(Post, "/v1/agents/{machine}/sessions", "An agent starts").agents(),
        route(Get, "/v1/agents/{machine}/changes", "Units with something new")
            .query(&["session", "after", "wait_ms"])
            .agents(),
        route(Get, "/v1/agents/{machine}/units/{unit}", "What is wanted of a unit")
            .query(SESSION)
            .agents(),
        route(Post, "/v1/agents/{machine}/units/{unit}/steps", "A step of a unit")
            .query(SESSION)
            .agents(),
        route(Post, "/v1/agents/{machine}/units/{unit}/reports", "Immediate effects")
            .query(SESSION)
            .agents()
            .status("204"),
    ]
}

/// The flows of one resource.
fn history(route: Route) -> Route {
    route.query(&["state", "kind", "since", "limit", "after"]).answers::<FlowPage>()
}

/// A mutation.
fn accepted(route: Route) -> Route {
    route.accepted()
}
