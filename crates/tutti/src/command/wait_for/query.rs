//! The small language of `wait-for --query`.
//!
//! ```text
//! query   = and { "||" and }           and = not { "&&" not }
//! not     = "!" not | compare          compare = value [ ("==" | "!=" | "<" | "<=" | ">" | ">=") value ]
//! value   = "(" query ")" | "text" | number | true | false
//!         | field { "." field } | len(value) | forEach(value, name => query)
//! ```

use serde_json::{Map, Value, json};

/// A query that was understood.
#[derive(Debug, PartialEq)]
pub(super) struct Query(Expression);

#[derive(Debug, PartialEq)]
enum Expression {
    Literal(Value),
    Field(Vec<String>),
    Not(Box<Expression>),
    Both(Box<Expression>, Box<Expression>),
    Either(Box<Expression>, Box<Expression>),
    Compare(Box<Expression>, String, Box<Expression>),
    Length(Box<Expression>),
    Every(Box<Expression>, String, Box<Expression>),
}

impl Query {
    /// Reads a query.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let mut parser = Parser { tokens: tokens(text)?, at: 0, depth: 0 };
        let expression = parser.either()?;
        match parser.peek() {
            None => Ok(Self(expression)),
            Some(token) => Err(format!("{token:?} was not expected")),
        }
    }

    /// Whether a thing, described by its fields, is as wanted.
    pub(super) fn holds(&self, scope: &Value) -> bool {
        truth(&evaluate(&self.0, scope))
    }
}

fn truth(value: &Value) -> bool {
    matches!(value, Value::Bool(true))
}

fn evaluate(expression: &Expression, scope: &Value) -> Value {
    match expression {
        Expression::Literal(value) => value.clone(),
        Expression::Field(path) => path
            .iter()
            .try_fold(scope, |value, name| value.get(name))
            .cloned()
            .unwrap_or(Value::Null),
        Expression::Not(inner) => json!(!truth(&evaluate(inner, scope))),
        Expression::Both(a, b) => json!(truth(&evaluate(a, scope)) && truth(&evaluate(b, scope))),
        Expression::Either(a, b) => {
            json!(truth(&evaluate(a, scope)) || truth(&evaluate(b, scope)))
        }
        Expression::Compare(a, operator, b) => {
            json!(compare(&evaluate(a, scope), operator, &evaluate(b, scope)))
        }
        Expression::Length(inner) => json!(match evaluate(inner, scope) {
            Value::Object(map) => map.len(),
            Value::Array(list) => list.len(),
            Value::String(text) => text.chars().count(),
            _ => 0,
        }),
        Expression::Every(things, name, condition) => {
            let Value::Object(things) = evaluate(things, scope) else { return json!(false) };
            json!(things.values().all(|thing| {
                let mut inner = scope.as_object().cloned().unwrap_or_else(Map::new);
                inner.insert(name.clone(), thing.clone());
                truth(&evaluate(condition, &Value::Object(inner)))
            }))
        }
    }
}

fn compare(a: &Value, operator: &str, b: &Value) -> bool {
    let order = match (a.as_f64(), b.as_f64()) {
        (Some(a), Some(b)) => a.partial_cmp(&b),
        _ => match (a.as_str(), b.as_str()) {
            (Some(a), Some(b)) => Some(a.cmp(b)),
            _ => (a == b).then_some(std::cmp::Ordering::Equal),
        },
    };
    match operator {
        "==" => order.is_some_and(std::cmp::Ordering::is_eq),
        "!=" => !order.is_some_and(std::cmp::Ordering::is_eq),
        "<" => order.is_some_and(std::cmp::Ordering::is_lt),
        "<=" => order.is_some_and(std::cmp::Ordering::is_le),
        ">" => order.is_some_and(std::cmp::Ordering::is_gt),
        _ => order.is_some_and(std::cmp::Ordering::is_ge),
    }
}

/// How deep a query may nest.
const DEPTH: usize = 50;

struct Parser {
    tokens: Vec<String>,
    at: usize,
    depth: usize,
}

impl Parser {
    fn peek(&self) -> Option<&str> {
        self.tokens.get(self.at).map(String::as_str)
    }

    fn next(&mut self) -> Result<String, String> {
        let token = self.tokens.get(self.at).cloned().ok_or("it ends too early")?;
        self.at += 1;
        Ok(token)
    }

    fn take(&mut self, wanted: &str) -> bool {
        let found = self.peek() == Some(wanted);
        self.at += usize::from(found);
        found
    }

    fn expect(&mut self, wanted: &str) -> Result<(), String> {
        if self.take(wanted) { Ok(()) } else { Err(format!("{wanted:?} is missing")) }
    }

    fn either(&mut self) -> Result<Expression, String> {
        self.depth += 1;
        if self.depth > DEPTH {
            return Err("it nests too deep".into());
        }
        let mut left = self.both()?;
        while self.take("||") {
            left = Expression::Either(left.into(), self.both()?.into());
        }
        self.depth -= 1;
        Ok(left)
    }

    fn both(&mut self) -> Result<Expression, String> {
        let mut left = self.not()?;
        while self.take("&&") {
            left = Expression::Both(left.into(), self.not()?.into());
        }
        Ok(left)
    }

    fn not(&mut self) -> Result<Expression, String> {
        let mut negations = 0;
        while self.take("!") {
            negations += 1;
        }
        let inner = self.comparison()?;
        Ok(if negations % 2 == 1 { Expression::Not(inner.into()) } else { inner })
    }

    fn comparison(&mut self) -> Result<Expression, String> {
        let left = self.value()?;
        let operator = match self.peek() {
            Some(it @ ("==" | "!=" | "<" | "<=" | ">" | ">=")) => it.to_owned(),
            _ => return Ok(left),
        };
        self.at += 1;
        Ok(Expression::Compare(left.into(), operator, self.value()?.into()))
    }

    fn value(&mut self) -> Result<Expression, String> {
        let token = self.next()?;
        if token == "(" {
            let inner = self.either()?;
            self.expect(")")?;
            return Ok(inner);
        }
        if let Some(text) = token.strip_prefix('"') {
            return Ok(Expression::Literal(json!(text)));
        }
        if let Ok(number) = token.parse::<f64>() {
            return Ok(Expression::Literal(json!(number)));
        }
        match token.as_str() {
            "true" => return Ok(Expression::Literal(json!(true))),
            "false" => return Ok(Expression::Literal(json!(false))),
            "len" => {
                self.expect("(")?;
                let inner = self.value()?;
                self.expect(")")?;
                return Ok(Expression::Length(inner.into()));
            }
            "forEach" => return self.for_each(),
            _ => {}
        }
        if !token.starts_with(|c: char| c.is_ascii_alphabetic()) {
            return Err(format!("{token:?} was not expected"));
        }
        Ok(Expression::Field(token.split('.').map(ToOwned::to_owned).collect()))
    }

    fn for_each(&mut self) -> Result<Expression, String> {
        self.expect("(")?;
        let things = self.value()?;
        self.expect(",")?;
        let name = self.next()?;
        self.expect("=>")?;
        let condition = self.either()?;
        self.expect(")")?;
        Ok(Expression::Every(things.into(), name, condition.into()))
    }
}

/// Splits a query; texts keep their opening quote as a mark.
fn tokens(text: &str) -> Result<Vec<String>, String> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let length = if first == '"' || first == '\'' {
            let inner = &rest[1..];
            let end = inner.find(first).ok_or("a quote is not closed")?;
            tokens.push(format!("\"{}", &inner[..end]));
            end + 2
        } else if let Some(symbol) =
            ["==", "!=", "<=", ">=", "&&", "||", "=>", "<", ">", "!", "(", ")", ","]
                .iter()
                .find(|symbol| rest.starts_with(**symbol))
        {
            tokens.push((*symbol).to_owned());
            symbol.len()
        } else {
            let is_word = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
            let end = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
            if end == 0 {
                return Err(format!("{first:?} was not expected"));
            }
            tokens.push(rest[..end].to_owned());
            end
        };
        rest = rest[length..].trim_start();
    }
    Ok(tokens)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_are_answered() {
        let scope = json!({
            "name": "db", "life": "alive", "status": "active", "scale": 3, "exposed": true,
            "units": {
                "db/0": {"leader": true, "workload-status": "active"},
                "db/1": {"leader": false, "workload-status": "waiting"},
            },
        });
        for (text, holds) in [
            (r#"life=="alive" && status=="active""#, true),
            (r#"life=='dead' || status=="active""#, true),
            (r#"!(status=="active")"#, false),
            ("scale >= 3 && scale<4", true),
            ("len(units)==2", true),
            ("exposed", true),
            ("!exposed", false),
            ("missing==3", false),
            (r#"forEach(units, unit => unit.workload-status=="active")"#, false),
            (r#"forEach(units, unit => unit.leader || unit.workload-status=="waiting")"#, true),
            (r#"name!="web""#, true),
        ] {
            assert_eq!(Query::parse(text).unwrap().holds(&scope), holds, "{text}");
        }
    }

    #[test]
    fn nonsense_is_refused() {
        for text in ["", "a==", "(a", "\"a", "a b", "a == == b", "forEach(a b)", "%", "&&"] {
            assert!(Query::parse(text).is_err(), "{text}");
        }
        assert!(Query::parse(&"(".repeat(10_000)).is_err());
    }
}
