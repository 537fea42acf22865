//! From the table of routes to the document.

use tutti_model::api::{Accepted, Settled};
use utoipa::ToSchema;
use utoipa::openapi::path::{HttpMethod, OperationBuilder, ParameterBuilder, ParameterIn};
use utoipa::openapi::request_body::RequestBodyBuilder;
use utoipa::openapi::schema::{ArrayBuilder, ComponentsBuilder, ObjectBuilder, Type};
use utoipa::openapi::{
    ContentBuilder, InfoBuilder, OpenApi, OpenApiBuilder, PathItem, PathsBuilder, Ref, RefOr,
    Required, ResponseBuilder, Schema,
};

use super::routes;

/// Schemas by name.
type Schemas = Vec<(String, RefOr<Schema>)>;

/// What a body holds.
#[derive(Clone, Copy)]
enum Body {
    Nothing,
    /// `application/octet-stream`.
    Bytes,
    /// `text/event-stream`.
    Events,
    /// `text/plain`.
    Text,
    /// JSON that is described elsewhere: the agent's protocol.
    Json,
    /// JSON of this schema.
    Schema(fn(&mut Schemas) -> RefOr<Schema>),
}

/// One method of one path.
pub(super) struct Route {
    method: HttpMethod,
    path: &'static str,
    summary: &'static str,
    query: &'static [&'static str],
    takes: Body,
    status: &'static str,
    answers: Body,
    waits: bool,
}

/// A route that takes and answers nothing yet.
pub(super) fn route(method: HttpMethod, path: &'static str, summary: &'static str) -> Route {
    let (takes, answers) = (Body::Nothing, Body::Nothing);
    Route { method, path, summary, query: &[], takes, status: "200", answers, waits: false }
}

impl Route {
    /// With parameters in the query.
    pub(super) fn query(self, query: &'static [&'static str]) -> Self {
        Self { query, ..self }
    }

    pub(super) fn takes<T: ToSchema>(self) -> Self {
        Self { takes: Body::Schema(one::<T>), ..self }
    }

    pub(super) fn takes_bytes(self) -> Self {
        Self { takes: Body::Bytes, ..self }
    }

    pub(super) fn answers<T: ToSchema>(self) -> Self {
        Self { answers: Body::Schema(one::<T>), ..self }
    }

    pub(super) fn lists<T: ToSchema>(self) -> Self {
        Self { answers: Body::Schema(many::<T>), ..self }
    }

    pub(super) fn answers_bytes(self) -> Self {
        Self { answers: Body::Bytes, ..self }
    }

    pub(super) fn answers_events(self) -> Self {
        Self { answers: Body::Events, ..self }
    }

    pub(super) fn answers_text(self) -> Self {
        Self { answers: Body::Text, ..self }
    }

    /// Answers with a flow that may be waited for.
    pub(super) fn accepted(self) -> Self {
        Self { waits: true, ..self }.answers::<Accepted>().status("202")
    }

    /// Whether it changes something under the rules of mutations; bytes are named by what they are.
    fn is_mutation(&self) -> bool {
        let is_apart = ["/v1/agents/", "/v1/workers/"].iter().any(|it| self.path.starts_with(it))
            || ["/v1/artifacts", "/v1/claims/{id}"].contains(&self.path);
        self.method != HttpMethod::Get && !is_apart
    }

    /// A call of the agent's protocol.
    pub(super) fn agents(self) -> Self {
        let takes = if self.method == HttpMethod::Get { Body::Nothing } else { Body::Json };
        Self { takes, answers: Body::Json, ..self }
    }

    pub(super) fn status(self, status: &'static str) -> Self {
        Self { status, ..self }
    }
}

/// A reference to a schema, which is added with all that it refers to.
fn one<T: ToSchema>(schemas: &mut Schemas) -> RefOr<Schema> {
    let name = T::name().into_owned();
    schemas.push((name.clone(), T::schema()));
    T::schemas(schemas);
    Ref::from_schema_name(name).into()
}

fn many<T: ToSchema>(schemas: &mut Schemas) -> RefOr<Schema> {
    ArrayBuilder::new().items(one::<T>(schemas)).build().into()
}

/// The whole document.
pub(super) fn document() -> OpenApi {
    let mut schemas = Schemas::new();
    let mut paths = PathsBuilder::new();
    for route in routes::all() {
        let path = route.path;
        let method = route.method.clone();
        paths = paths.path(path, PathItem::new(method, operation(&route, &mut schemas)));
    }
    let info = InfoBuilder::new()
        .title("Tutti")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(
            "Mutations answer 202 with the flow that makes it so, or 200 without one when nothing \
             had to change. With `Prefer: wait=N` they are held for up to N seconds (60 at most) \
             until the flow has ended and then answer 201, 200 or 204; of a flow that failed, the \
             body has a `problem`. With an `Idempotency-Key` a mutation that is sent again within a \
             day has no effect and the same answer. `If-Match` compares entity tags, \
             `expect_generation` (query or body) generations; what does not match is refused with \
             412. Every JSON answer to a GET has an entity tag for `If-None-Match`. Refusals are \
             problem documents.",
        ))
        .build();
    let components = ComponentsBuilder::new().schemas_from_iter(schemas).build();
    OpenApiBuilder::new().info(info).paths(paths.build()).components(Some(components)).build()
}

fn operation(route: &Route, schemas: &mut Schemas) -> OperationBuilder {
    let mut operation = OperationBuilder::new().summary(Some(route.summary));
    let text = || ObjectBuilder::new().schema_type(Type::String).build();
    let parameter = |name: &str, place, required| {
        let parameter = ParameterBuilder::new().name(name).parameter_in(place);
        parameter.required(required).schema(Some(text())).build()
    };
    for part in route.path.split('/') {
        if let Some(name) = part.strip_prefix('{').and_then(|part| part.strip_suffix('}')) {
            operation = operation.parameter(parameter(name, ParameterIn::Path, Required::True));
        }
    }
    for name in route.query {
        operation = operation.parameter(parameter(name, ParameterIn::Query, Required::False));
    }
    if route.is_mutation() {
        let name = "expect_generation";
        operation = operation.parameter(parameter(name, ParameterIn::Query, Required::False));
        for name in ["Idempotency-Key", "If-Match", "Prefer"] {
            operation = operation.parameter(parameter(name, ParameterIn::Header, Required::False));
        }
    }
    if let Some((kind, schema)) = content(route.takes, schemas) {
        let content = ContentBuilder::new().schema(Some(schema)).build();
        let body = RequestBodyBuilder::new().content(kind, content);
        operation = operation.request_body(Some(body.required(Some(Required::True)).build()));
    }
    let mut answer = ResponseBuilder::new().description(route.summary);
    if let Some((kind, schema)) = content(route.answers, schemas) {
        answer = answer.content(kind, ContentBuilder::new().schema(Some(schema)).build());
    }
    let problem = one::<tutti_model::api::Problem>(schemas);
    let problem = ContentBuilder::new().schema(Some(problem)).build();
    let refused =
        ResponseBuilder::new().description("Refused").content("application/problem+json", problem);
    if route.waits {
        let settled = ContentBuilder::new().schema(Some(one::<Settled>(schemas))).build();
        let waited = ResponseBuilder::new().description("Done, or nothing had to change");
        let waited = waited.content("application/json", settled).build();
        operation = operation.response("200", waited);
    }
    operation.response(route.status, answer.build()).response("default", refused.build())
}

/// Media type and schema of a body.
fn content(body: Body, schemas: &mut Schemas) -> Option<(&'static str, RefOr<Schema>)> {
    let any = |kind| RefOr::T(ObjectBuilder::new().schema_type(kind).build().into());
    Some(match body {
        Body::Nothing => return None,
        Body::Bytes => ("application/octet-stream", any(Type::String)),
        Body::Events => ("text/event-stream", any(Type::String)),
        Body::Text => ("text/plain", any(Type::String)),
        Body::Json => ("application/json", any(Type::Object)),
        Body::Schema(schema) => ("application/json", schema(schemas)),
    })
}
