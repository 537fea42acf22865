//! `GET /v1/flows/{id}/graph`: a flow as a picture, with the states of its tasks.

use axum::Json;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use tutti_flow::{Format, NewFlow, NewTask, Work, draw, query};
use tutti_model::api::{FlowEdge, FlowGraph, FlowInfo, FlowNode};
use tutti_store::Tx;
use uuid::Uuid;

use super::whole::{whole, with_needs};
use crate::Error;

/// The languages of pictures.
#[derive(Clone, Copy, Debug)]
pub(super) enum Language {
    Text(Format),
    Json,
}

impl Language {
    /// The language of a query; Mermaid if it names none.
    pub(super) fn read(word: &str) -> Result<Self, Error> {
        match word {
            "" | "mermaid" => Ok(Self::Text(Format::Mermaid)),
            "dot" => Ok(Self::Text(Format::Dot)),
            "json" => Ok(Self::Json),
            word => Err(Error::Invalid(format!(
                "format: \"{word}\" is no language of pictures: there are mermaid, dot, json"
            ))),
        }
    }
}

/// A flow as a picture in some language.
#[derive(Debug)]
pub(super) enum Picture {
    Text(String),
    Json(FlowGraph),
}

impl IntoResponse for Picture {
    fn into_response(self) -> Response {
        match self {
            Self::Text(text) => {
                ([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], text).into_response()
            }
            Self::Json(graph) => Json(graph).into_response(),
        }
    }
}

/// Draws a flow.
pub(super) fn picture(tx: &mut Tx<'_>, id: Uuid, language: Language) -> Result<Picture, Error> {
    match language {
        Language::Json => Ok(Picture::Json(graph(whole(tx, id)?))),
        Language::Text(format) => Ok(Picture::Text(text(tx, id, format)?)),
    }
}

fn graph(flow: FlowInfo) -> FlowGraph {
    let mut graph =
        FlowGraph { flow: flow.id, title: flow.title, state: flow.state, ..FlowGraph::default() };
    for task in flow.tasks {
        let to = task.id.clone();
        let edge = |from| FlowEdge { from, to: to.clone() };
        graph.edges.extend(task.needs.into_iter().map(edge));
        let (id, name, title, state) = (task.id, task.name, task.title, task.state);
        graph.nodes.push(FlowNode { id, name, title, state });
    }
    graph
}

/// Retries, conditions and nested flows are in plans, which nobody but the engine reads: tasks and
/// arrows are enough to see how far it is.
fn text(tx: &mut Tx<'_>, id: Uuid, format: Format) -> Result<String, Error> {
    let row = query::flow(tx, id)?.ok_or(tutti_flow::Error::NoFlow { id })?;
    let (mut states, mut tasks) = (Vec::new(), Vec::new());
    for (task, needs) in with_needs(tx, id)? {
        states.push(task.state);
        tasks.push(NewTask {
            name: task.name,
            title: task.title,
            needs,
            work: task.wait.map_or(Work::Run, Work::Wait),
            ..NewTask::default()
        });
    }
    let flow = NewFlow { title: row.title, tasks, ..NewFlow::default() };
    Ok(draw(&flow, format, |at| states.get(at).copied()))
}
