//! Another team's API, known by its schema only, as Rust source: a trait for the macro and the types it needs.
//!
//! The schema of the result is the schema it was made of, as far as Rust has a type for each part; what it has no type for
//! becomes a `serde_json::Value`.

use std::collections::BTreeMap;

use serde_json::Value;

use super::ApiSchema;

const HEAD: &str =
    "use serde::{Deserialize, Serialize};\nuse tutti_bus::schemars::{self, JsonSchema};\n";
const DECIMAL_PATTERN: &str = r"^-?\d+(\.\d+)?$";
const DERIVES: &str = "#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]\n";
/// Words that Rust keeps for itself even with `r#`.
const NEVER_NAMES: [&str; 5] = ["self", "Self", "super", "crate", "_"];

/// Rust source for the API: a trait called `trait_name` with the attribute `tutti_bus::api`, and its types. The crate that
/// uses it needs `serde`, and `serde_json` and `jiff` if they are named in it.
pub fn rust_source(schema: &ApiSchema, trait_name: &str) -> String {
    let mut types = Types::default();
    let mut members = Vec::new();
    for (name, rpc) in schema.rpcs() {
        members.push(procedure(name, rpc.parameters, rpc.response, &mut types));
    }
    for (name, parameters) in schema.events() {
        members.push(event(name, parameters, &mut types));
    }
    let name = schema.name();
    let version = schema.version();
    let head = if types.written.is_empty() { "" } else { HEAD };
    let blank = if types.written.is_empty() { "" } else { "\n" };
    let members = members.join("\n");
    let types: String =
        types.written.iter().map(|written| format!("\n{}", written.source)).collect();
    format!(
        "{head}{blank}#[tutti_bus::api(name = {name:?}, version = {version})]\n\
         pub trait {trait_name} {{\n{members}}}\n{types}"
    )
}

fn procedure(name: &str, parameters: &Value, response: &Value, types: &mut Types) -> String {
    if parameters["additionalProperties"] == Value::Bool(true) {
        return format!("    // {name} takes arguments of any name, which no method can.\n");
    }
    let (Some(ident), Some(list)) = (identifier(name), arguments(name, parameters, types)) else {
        return format!("    // {name} has a name, or an argument, that Rust cannot write.\n");
    };
    let answer = types.rust_type(response, &camel_case(&format!("{name}_answer")));
    let list: String = list.iter().map(|argument| format!(", {argument}")).collect();
    format!(
        "{}    async fn {ident}(&self{list}) -> tutti_bus::Result<{answer}>;\n",
        comment(parameters, "    ")
    )
}

fn event(name: &str, parameters: &Value, types: &mut Types) -> String {
    match (identifier(name), arguments(name, parameters, types)) {
        (Some(ident), Some(list)) => {
            let list = list.join(", ");
            format!("{}    #[event]\n    fn {ident}({list});\n", comment(parameters, "    "))
        }
        _ => format!("    // {name} has a name, or a parameter, that Rust cannot write.\n"),
    }
}

/// Those that must be given first. Nothing if one of them has a name that Rust has no way to write.
fn arguments(of: &str, parameters: &Value, types: &mut Types) -> Option<Vec<String>> {
    let no_properties = serde_json::Map::new();
    let properties = parameters["properties"].as_object().unwrap_or(&no_properties);
    let (mut required, mut optional) = (Vec::new(), Vec::new());
    for (name, schema) in properties {
        let ident = identifier(name)?;
        let kind = types.rust_type(schema, &camel_case(&format!("{of}_{name}")));
        match default(schema) {
            Some(Value::Null) if kind.starts_with("Option<") => {
                optional.push(format!("{ident}: {kind}"));
            }
            Some(value) if literal(value, &kind).is_some() => {
                let value = literal(value, &kind).unwrap_or_default();
                optional.push(format!("#[default({value})] {ident}: {kind}"));
            }
            _ => required.push(format!("{ident}: {kind}")),
        }
    }
    required.extend(optional);
    Some(required)
}

/// The default, which Python repeats in each alternative.
fn default(schema: &Value) -> Option<&Value> {
    schema.get("default").or_else(|| schema.get("anyOf")?.get(0)?.get("default"))
}

fn literal(value: &Value, kind: &str) -> Option<String> {
    match (value, kind) {
        (Value::Bool(_), "bool") | (Value::Number(_), "i64") => Some(value.to_string()),
        (Value::Number(number), "f64") => Some(format!("{:?}", number.as_f64()?)),
        (Value::String(text), "String") => Some(format!("{text:?}")),
        (Value::Null, "serde_json::Value") => Some("serde_json::Value::Null".to_owned()),
        _ => None,
    }
}

/// The types written so far.
#[derive(Default)]
struct Types {
    written: Vec<Written>,
    /// What was written of which schema.
    names: BTreeMap<String, String>,
}

struct Written {
    name: String,
    source: String,
}

impl Types {
    /// The type of the values of `schema`; `name` is for a type that has to be written and has no title.
    fn rust_type(&mut self, schema: &Value, name: &str) -> String {
        if let Some(inner) = optional(schema) {
            return format!("Option<{}>", self.rust_type(inner, name));
        }
        let has = |keyword: &str| schema.get(keyword).is_some();
        match schema["type"].as_str().unwrap_or_default() {
            "boolean" => "bool".to_owned(),
            "integer" => "i64".to_owned(),
            "number" => "f64".to_owned(),
            "null" => "()".to_owned(),
            "string" if has("enum") => self.write(schema, name, Self::enumeration),
            "string" => string_type(schema).to_owned(),
            "array" => self.array_type(schema, name),
            "object" if has("properties") => self.write(schema, name, Self::structure),
            "object" if schema["additionalProperties"].is_object() => {
                let values = self.rust_type(&schema["additionalProperties"], name);
                format!("std::collections::BTreeMap<String, {values}>")
            }
            "object" => "serde_json::Map<String, serde_json::Value>".to_owned(),
            _ => "serde_json::Value".to_owned(),
        }
    }

    fn array_type(&mut self, schema: &Value, name: &str) -> String {
        let items = schema.get("items").or_else(|| schema.get("prefixItems"));
        match items {
            Some(Value::Array(items)) => {
                let items: Vec<String> =
                    items.iter().map(|item| self.rust_type(item, name)).collect();
                if items.len() == 1 {
                    format!("({},)", items[0])
                } else {
                    format!("({})", items.join(", "))
                }
            }
            Some(items) => format!("Vec<{}>", self.rust_type(items, name)),
            None => "Vec<serde_json::Value>".to_owned(),
        }
    }

    /// Writes a type once for each different schema.
    fn write(
        &mut self,
        schema: &Value,
        name: &str,
        source: fn(&mut Self, &Value, &str) -> Option<String>,
    ) -> String {
        let title = schema["title"].as_str().filter(|title| identifier(title).is_some());
        let title = title.map_or_else(|| name.to_owned(), camel_case);
        let mut schema = schema.clone();
        if let Some(schema) = schema.as_object_mut() {
            schema.retain(|key, _| !["default", "$schema"].contains(&key.as_str()));
        }
        let key = schema.to_string();
        if let Some(known) = self.names.get(&key) {
            return known.clone();
        }
        let name = self.free_name(title);
        let Some(source) = source(self, &schema, &name) else {
            return "serde_json::Value".to_owned();
        };
        self.names.insert(key, name.clone());
        self.written.push(Written { name: name.clone(), source });
        name
    }

    fn free_name(&self, name: String) -> String {
        let is_taken = |name: &str| self.written.iter().any(|written| written.name == name);
        let mut names = std::iter::once(name.clone()).chain((2..).map(|n| format!("{name}{n}")));
        names.find(|name| !is_taken(name)).unwrap_or(name)
    }

    fn structure(&mut self, schema: &Value, name: &str) -> Option<String> {
        let (mut fields, mut functions) = (Vec::new(), Vec::new());
        for (field, schema) in schema["properties"].as_object()? {
            let ident = identifier(field)?;
            let kind = self.rust_type(schema, &camel_case(&format!("{name}_{field}")));
            fields.push(comment(schema, "    "));
            match default(schema).and_then(|value| literal(value, &kind)) {
                Some(value) => {
                    let function = format!("{}_{}", snake_case(name), field);
                    let value =
                        if kind == "String" { format!("{value}.to_owned()") } else { value };
                    functions.push(format!("\nfn {function}() -> {kind} {{\n    {value}\n}}\n"));
                    fields.push(format!("    #[serde(default = {function:?})]\n"));
                }
                None if default(schema).is_some_and(Value::is_null) => {
                    fields.push("    #[serde(default)]\n".to_owned());
                }
                None => {}
            }
            fields.push(format!("    pub {ident}: {kind},\n"));
        }
        let (comment, fields, functions) =
            (comment(schema, ""), fields.concat(), functions.concat());
        Some(format!("{comment}{DERIVES}pub struct {name} {{\n{fields}}}\n{functions}"))
    }

    fn enumeration(&mut self, schema: &Value, name: &str) -> Option<String> {
        let mut variants = Vec::new();
        for value in schema["enum"].as_array()? {
            let value = value.as_str()?;
            let variant = camel_case(value);
            identifier(&variant)?;
            variants.push(format!("    #[serde(rename = {value:?})]\n    {variant},\n"));
        }
        let (comment, variants) = (comment(schema, ""), variants.concat());
        Some(format!("{comment}{DERIVES}pub enum {name} {{\n{variants}}}\n"))
    }
}

/// `X` of an `anyOf` of `X` and null.
fn optional(schema: &Value) -> Option<&Value> {
    match schema.get("anyOf")?.as_array()?.as_slice() {
        [inner, null] if null["type"] == "null" => Some(inner),
        [null, inner] if null["type"] == "null" => Some(inner),
        _ => None,
    }
}

fn string_type(schema: &Value) -> &'static str {
    match (schema["format"].as_str(), schema["pattern"].as_str()) {
        (Some("date-time"), _) => "tutti_bus::value::DateTime",
        (Some("date"), _) => "jiff::civil::Date",
        (_, Some(DECIMAL_PATTERN)) => "tutti_bus::value::Decimal",
        _ => "String",
    }
}

fn comment(schema: &Value, indent: &str) -> String {
    let text = schema["description"].as_str().unwrap_or_default();
    text.lines().map(|line| format!("{indent}/// {line}\n")).collect()
}

/// The name as Rust can write it, if it can.
fn identifier(name: &str) -> Option<String> {
    let mut letters = name.chars();
    let begins = letters.next().is_some_and(|first| first.is_ascii_alphabetic() || first == '_');
    if !begins || !letters.all(|letter| letter.is_ascii_alphanumeric() || letter == '_') {
        return None;
    }
    if NEVER_NAMES.contains(&name) {
        return None;
    }
    Some(if is_keyword(name) { format!("r#{name}") } else { name.to_owned() })
}

fn is_keyword(name: &str) -> bool {
    const KEYWORDS: &str = " abstract as async await become box break const continue do dyn else enum extern false final fn \
                            for gen if impl in let loop macro match mod move mut override priv pub ref return static struct \
                            trait true try type typeof unsafe unsized use virtual where while yield ";
    KEYWORDS.contains(&format!(" {name} "))
}

fn camel_case(name: &str) -> String {
    let words = name.split(|letter: char| !letter.is_ascii_alphanumeric());
    words
        .filter_map(|word| {
            let (first, rest) = word.split_at_checked(1)?;
            Some(first.to_ascii_uppercase() + rest)
        })
        .collect()
}

fn snake_case(name: &str) -> String {
    let mut snake = String::new();
    for letter in name.chars() {
        if letter.is_ascii_uppercase() && !snake.is_empty() {
            snake.push('_');
        }
        snake.push(letter.to_ascii_lowercase());
    }
    snake
}
