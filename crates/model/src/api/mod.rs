//! The request and answer types of the HTTP API under `/v1`.
//!
//! `{model}` is a model's UUID or short name. A unit `db/0` is the two path segments `db/0`.
//! Mutations answer 202 with [`Accepted`], a `Location` header that names the resource and a `Link`
//! header (`rel="status"`) that names the flow, or 200 with `flow: null` when nothing changes. With
//! `Prefer: wait=N` they answer [`Settled`] once the flow has ended. Errors are [`Problem`]
//! documents (RFC 9457). `docs/http.md` has the rules in full.
//!
//! A request may wait for news with `wait_ms` or `follow_ms`, five minutes at most, or follow
//! `GET /v1/events`. 512 may wait at a time, agents' included; one more is refused with 503 and code
//! `busy`. A page of a log holds 32 MiB of text at most; `more` says that there would be more.
//!
//! | method and path | request → answer |
//! |---|---|
//! | `GET /v1` | → [`ControllerInfo`] |
//! | `GET /v1/openapi.json` | → the OpenAPI document |
//! | `GET /v1/models` · `POST /v1/models` | → `[ModelInfo]` · [`ModelCreate`] → [`ModelInfo`] (201) |
//! | `GET /v1/models/{model}` · `DELETE …?force=&no_wait=&timeout_ms=` | → [`ModelInfo`] · → [`Accepted`] |
//! | `GET`, `PATCH …/config` | → [`ModelConfig`] · [`ConfigChange`] → [`Accepted`] |
//! | `GET`, `PUT …/constraints` | → [`Constraints`] · [`Constraints`] → [`Accepted`] |
//! | `GET …/status` | → [`Status`] |
//! | `POST …/charms?dry_run=&digest=` (bytes of a `.charm`, or the digest of one uploaded before; a dry run publishes nothing) · `GET …/charms` | → [`CharmInfo`] (201) · → `[CharmInfo]` |
//! | `POST /v1/catalogue` (bytes of a `.charm`) · `GET /v1/catalogue` | → [`CharmInfo`] (201): charms to be deployed by bare name in any model · → `[CharmInfo]` |
//! | `POST /v1/artifacts` (bytes) · `GET /v1/artifacts/{sha256}` | → [`ArtifactInfo`] (201) · → bytes |
//! | `GET`, `POST …/applications` | → `[ApplicationInfo]` · [`Deploy`] → [`Accepted`] |
//! | `GET …/applications/{application}` · `DELETE …?force=&no_wait=&destroy_storage=` | → [`ApplicationInfo`] · → [`Accepted`] |
//! | `GET`, `PATCH …/applications/{application}/config` | → [`ApplicationConfig`] · [`ConfigChange`] → [`Accepted`] |
//! | `PUT …/applications/{application}/trust`, `/exposed` | [`Switch`] → [`Accepted`] |
//! | `GET`, `PUT …/applications/{application}/constraints` | as for models |
//! | `PUT …/applications/{application}/resources/{name}` | [`ResourceUpload`] → [`Accepted`] |
//! | `GET …/applications/{application}/resources` | → `[ResourceInfo]` |
//! | `GET …/applications/{application}/actions` | → [`Actions`] |
//! | `POST …/applications/{application}/refresh` | [`Refresh`] → [`RefreshPlan`] (200 for a dry run) or [`Accepted`] |
//! | `PUT …/applications/{application}/leader` | [`LeaderChoice`] → [`Accepted`] |
//! | `PUT …/applications/{application}/deferral` | [`Switch`] → [`Accepted`] |
//! | `POST …/applications/{application}/units` | [`AddUnits`] → [`Accepted`] |
//! | `POST …/applications/{application}:sync`, `…/units/{application}/{number}:sync` (or `/` for `:`) | → [`Accepted`] |
//! | `POST …/units/remove` | [`RemoveUnits`] → [`Accepted`] |
//! | `GET …/units/{application}/{number}` | → [`UnitInfo`] |
//! | `GET …/units/{application}/{number}/status-log?limit=` | → `[StatusLogEntry]` |
//! | `POST …/units/{application}/{number}/resolved` | [`Resolve`] → [`Accepted`] |
//! | `GET`, `POST …/relations` · `POST …/relations/remove` | → `[RelationInfo]` · [`Integrate`] → [`Accepted`] · [`RemoveRelation`] → [`Accepted`] |
//! | `GET`, `POST …/machines` · `DELETE …/machines/{number}?force=` | → `[MachineInfo]` · [`AddMachines`] → [`Accepted`] · → [`Accepted`] |
//! | `POST …/operations` · `GET …/operations?limit=` · `GET …/operations/{number}` | [`RunOperation`] → [`OperationInfo`] (202) · → `[OperationInfo]` · → [`OperationInfo`] |
//! | `GET …/operation-tasks/{number}?wait_ms=` · `POST …/operation-tasks/{number}/cancel` | → [`OperationTask`] · → [`OperationTask`] |
//! | `GET …/log?limit=&after=&level=&unit=&follow_ms=` | → [`LogPage`] |
//! | `GET`, `POST …/secrets` · `GET`, `PATCH`, `DELETE …/secrets/{id or name}?revision=` | → `[SecretInfo]` · [`SecretAdd`] → [`SecretInfo`] · `?reveal=&revisions=&revision=` → [`SecretInfo`] · [`SecretChange`] · |
//! | `POST …/secrets/{id or name}/grant`, `/revoke` | [`SecretGrantChange`] → 204 |
//! | `GET …/storage` · `POST …/units/{application}/{number}/storage` | → `[StorageInfo]` · [`AddStorage`] → [`Accepted`] |
//! | `GET …/deferred?unit=` | → `[DeferredInfo]` |
//! | `GET …/relations/{number}` · `GET …/machines/{number}` | → [`RelationInfo`] · → [`MachineInfo`] |
//! | `GET /v1/flows?id=&model=&resource=&state=&kind=&parent=&since=&limit=&after=` · `GET /v1/flows/{id}?wait_ms=` | → [`FlowPage`] · → [`FlowInfo`] with its tasks |
//! | `GET …/flows`, also below an application, a unit, a machine and a relation | `?state=&kind=&since=&limit=&after=` → [`FlowPage`] |
//! | `POST /v1/flows/{id}:cancel`, `:suspend`, `:resume`, `:retry`, `:revert`, `:abandon` (or `/` for `:`) | → [`FlowInfo`] |
//! | `GET /v1/flows/{id}/graph?format=mermaid\|dot\|json` · `GET /v1/flows/{id}/log` | → text or [`FlowGraph`] · → `[FlowLogLine]` |
//! | `POST /v1/tasks/{id}:skip` | → [`FlowInfo`] |
//! | `GET /v1/workers` · `POST /v1/workers/{name}/claims` | → `[WorkerInfo]` · [`ClaimRequest`] → `[ClaimInfo]` |
//! | `POST`, `DELETE /v1/claims/{id}` · `POST /v1/claims/{id}/result` | [`ClaimBeat`] → [`ClaimStanding`] · → 204 · [`ClaimResult`] → 204 |
//! | `GET /v1/metrics` | → text, as Prometheus reads it |
//! | `GET /v1/tasks?id=&model=&resource=&state=&class=&flow=&name=&since=&limit=&after=` · `GET /v1/tasks/{id}` | → [`TaskPage`] · → [`TaskInfo`] |
//! | `GET /v1/events?after=&follow=&topic=&model=` | → server-sent events of the outbox |
//!
//! The agent's calls are listed in [`crate::agent`]'s step module.

mod application;
mod flow;
mod model;
mod operation;
mod problem;
mod relation;
mod secret;
mod status;
mod unit;
mod worker;

pub use application::*;
pub use flow::*;
pub use model::*;
pub use operation::*;
pub use problem::*;
pub use relation::*;
pub use secret::*;
pub use status::*;
pub use unit::*;
pub use worker::*;
