//! `apis`, `schema` and `dumpschema`: what can be called and fired.

use std::fmt::Write as _;
use std::path::PathBuf;

use clap::Args;
use serde::Serialize;
use serde_json::{Map, Value};
use tutti_bus::schema::{ApiSchema, write_schemas};

use super::Action;
use super::connection::Session;
use super::name::{Kind, find_api, instead};
use super::parameters::types;
use crate::arguments::OutputArguments;
use crate::failure::{Attempt as _, Failure, Outcome};
use crate::output::table::Table;
use crate::output::{self, Format, style};

#[derive(Args, Debug)]
pub(super) struct Apis {
    #[command(flatten)]
    output: OutputArguments,
}

/// An API as it is listed.
#[derive(Debug, Serialize)]
struct Listed<'a> {
    api: &'a str,
    procedures: Vec<&'a str>,
    events: Vec<&'a str>,
}

impl Action for Apis {
    async fn act(self, session: &Session) -> Outcome {
        let schemas = session.schemas().await?;
        if schemas.is_empty() && self.output.form(Format::Tabular) == Format::Tabular {
            session.tell(format!("No API is on the bus at {}.", session.place));
            return Ok(());
        }
        let listed: Vec<Listed<'_>> = schemas
            .iter()
            .map(|api| Listed {
                api: api.name(),
                procedures: Kind::Procedure.names(api),
                events: Kind::Event.names(api),
            })
            .collect();
        self.output.print(Format::Tabular, &listed, || {
            let mut table = Table::new(["API", "Procedures", "Events"]);
            for one in &listed {
                table.row([
                    one.api.into(),
                    one.procedures.join(" ").into(),
                    one.events.join(" ").into(),
                ]);
            }
            table.render()
        })
    }
}

#[derive(Args, Debug)]
pub(super) struct ShowSchema {
    /// An API, or one of its procedures or events
    #[arg(value_name = "API|API.NAME")]
    name: String,
    #[command(flatten)]
    output: OutputArguments,
}

impl Action for ShowSchema {
    async fn act(self, session: &Session) -> Outcome {
        let schemas = session.schemas().await?;
        if let Some(api) = schemas.iter().find(|api| api.name() == self.name) {
            return self.output.print(Format::Tabular, api.document(), || whole(api));
        }
        let Some((api, member)) = self.name.rsplit_once('.') else {
            return find_api(&schemas, &self.name, session).map(drop);
        };
        let Ok(api) = find_api(&schemas, api, session) else {
            return find_api(&schemas, &self.name, session).map(drop);
        };
        let (document, text) = if let Some(rpc) = api.rpc(member) {
            let document = &api.document()["rpcs"][member];
            (document, procedure(member, rpc.parameters, rpc.response))
        } else if let Some(parameters) = api.event(member) {
            (&api.document()["events"][member], event(member, parameters))
        } else {
            let names = [Kind::Procedure.names(api), Kind::Event.names(api)].concat();
            let otherwise = format!("it has {}", names.join(", "));
            return Err(Failure::new(format!(
                "the API {} has neither a procedure nor an event {member:?}: {}",
                api.name(),
                instead(member, &names, &otherwise)
            )));
        };
        self.output.print(Format::Tabular, document, || text)
    }
}

fn whole(api: &ApiSchema) -> String {
    let bold = |text: &str| {
        format!("{}{text}{}\n", style::HEADING.render(), style::HEADING.render_reset())
    };
    let mut text = bold(api.name());
    for (name, rpc) in api.rpcs() {
        text.push_str(&procedure(name, rpc.parameters, rpc.response));
    }
    for (name, parameters) in api.events() {
        text.push_str(&event(name, parameters));
    }
    text
}

/// `check_password(username: string, password: string) -> boolean`
fn procedure(name: &str, parameters: &Value, response: &Value) -> String {
    let result = kind(response, response);
    let mut text = format!("  {name}({}) -> {result}\n", signature(parameters));
    describe(parameters, &mut text);
    text
}

/// `event user_registered(username: string, is_admin: boolean = false)`
fn event(name: &str, parameters: &Value) -> String {
    let mut text = format!("  event {name}({})\n", signature(parameters));
    describe(parameters, &mut text);
    text
}

fn describe(schema: &Value, text: &mut String) {
    let words = schema.get("description").and_then(Value::as_str).unwrap_or_default();
    for line in words.lines() {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "      {line}");
    }
}

/// The parameters with their types and defaults.
fn signature(schema: &Value) -> String {
    let nothing = Map::new();
    let properties = schema.get("properties").and_then(Value::as_object).unwrap_or(&nothing);
    let required = schema.get("required").and_then(Value::as_array);
    let is_required = |name: &str| required.is_some_and(|all| all.iter().any(|it| it == name));
    let one = |(name, property): (&String, &Value)| {
        let default = property.get("default").or_else(|| {
            property.get("anyOf")?.as_array()?.iter().find_map(|branch| branch.get("default"))
        });
        let mut text = format!("{name}: {}", kind(property, schema));
        let _ = match default {
            Some(default) => write!(text, " = {default}"),
            None if is_required(name) => Ok(()),
            None => write!(text, " (optional)"),
        };
        text
    };
    let (first, last): (Vec<_>, Vec<_>) =
        properties.iter().partition(|(name, _)| is_required(name));
    let mut all: Vec<String> = first.into_iter().chain(last).map(one).collect();
    if schema.get("additionalProperties") != Some(&Value::Bool(false)) {
        all.push("…".to_owned());
    }
    all.join(", ")
}

/// `string`, `"red" or "blue"`, `integer or null`, `[string]`, a class's name.
fn kind(schema: &Value, root: &Value) -> String {
    if let Some(values) = schema.get("enum").and_then(Value::as_array) {
        return values.iter().map(Value::to_string).collect::<Vec<_>>().join(" or ");
    }
    let title = schema.get("title").and_then(Value::as_str);
    let types = types(schema, root);
    match (types.as_slice(), schema.get("items")) {
        ([only], Some(items @ Value::Object(_))) if only == "array" => {
            format!("[{}]", kind(items, root))
        }
        ([only], _) if only == "object" => match title {
            Some(title) if !title.contains(' ') => title.to_owned(),
            _ => "object".to_owned(),
        },
        ([], _) => "any".to_owned(),
        (types, _) => types.join(" or "),
    }
}

#[derive(Args, Debug)]
pub(super) struct DumpSchema {
    /// Write to this file, or to a file for each API in this directory [default: stdout]
    #[arg(short, long, value_name = "FILE|DIRECTORY")]
    out: Option<PathBuf>,
}

impl Action for DumpSchema {
    async fn act(self, session: &Session) -> Outcome {
        let schemas = session.schemas().await?;
        match self.out {
            Some(out) => {
                write_schemas(&out, &schemas).attempt(|| "cannot dump the schemas".to_owned())?;
                session.tell(format!("{} APIs written to {}", schemas.len(), out.display()));
                Ok(())
            }
            None => {
                let apis: Map<String, Value> = schemas
                    .iter()
                    .map(|api| (api.name().to_owned(), api.document().clone()))
                    .collect();
                output::write(&format!("{:#}\n", Value::Object(apis)))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_signature_reads_like_one() {
        let parameters = json!({
            "type": "object", "additionalProperties": false, "required": ["b"],
            "description": "Two\nlines",
            "properties": {
                "a": {"type": "integer", "default": 7},
                "b": {"type": "array", "items": {"type": "string"}},
                "c": {"anyOf": [{"type": "string", "default": null}, {"type": "null", "default": null}]},
                "d": {"type": "string", "enum": ["x", "y"], "default": "x"},
            },
        });
        let report = json!({"type": "object", "title": "Report"});
        assert_eq!(
            procedure("report", &parameters, &report),
            "  report(b: [string], a: integer = 7, c: string or null = null, d: \"x\" or \"y\" = \"x\") -> Report\n      Two\n      lines\n"
        );
        assert_eq!(
            event("e", &json!({"properties": {"x": {}}})),
            "  event e(x: any (optional), …)\n"
        );
    }
}
