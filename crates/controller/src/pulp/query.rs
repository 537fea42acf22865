//! Queries of lists: filters are taken out one by one, and one that nobody took is refused. A list answers a page with its
//! true count and the addresses of the pages around it.

use axum::extract::FromRequestParts;
use axum::http::header::HOST;
use axum::http::request::Parts;
use percent_encoding::percent_decode_str;
use serde_json::{Value, json};
use tutti_content::repository::Labels;
use tutti_content::{Named, Order, Window};

use super::hrefs::{self, Address};
use super::plugin::Plugin;
use super::refusal::Refusal;

/// Rows of a page, unless told otherwise (Pulp), and at most.
const LIMIT: u32 = 100;
const LIMIT_MAX: u32 = 1_000;

/// What a request asks for behind `?`.
#[derive(Debug)]
pub(crate) struct Query {
    pairs: Vec<(String, String)>,
    /// `http://host/path`
    origin: String,
    window: Window,
    fields: Option<Vec<String>>,
    exclude: Vec<String>,
}

impl<S: Sync> FromRequestParts<S> for Query {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refusal> {
        let host = parts.headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
        let origin = match host {
            "" => parts.uri.path().to_owned(),
            host => format!("http://{host}{}", parts.uri.path()),
        };
        let pairs = pairs(parts.uri.query().unwrap_or_default());
        let mut query = Self {
            pairs,
            origin,
            window: Window { limit: LIMIT, offset: 0 },
            fields: None,
            exclude: Vec::new(),
        };
        let limit = query.number("limit")?.unwrap_or_else(|| LIMIT.into());
        let offset = query.number("offset")?.unwrap_or(0);
        let within = |number: i64, max: u32| u32::try_from(number).unwrap_or(max).min(max);
        query.window =
            Window { limit: within(limit, LIMIT_MAX).max(1), offset: within(offset, u32::MAX) };
        query.fields = query.list("fields");
        query.exclude = query.list("exclude_fields").unwrap_or_default();
        if query.take("q").is_some_and(|text| !text.is_empty()) {
            return Err(Refusal::filter("q: expressions are not understood here; use the filters"));
        }
        Ok(query)
    }
}

/// The names and values of a query or a form.
pub(crate) fn pairs(text: &str) -> Vec<(String, String)> {
    let decode = |part: &str| {
        let spaced = part.replace('+', " ");
        percent_decode_str(&spaced).decode_utf8_lossy().into_owned()
    };
    let pair = |pair: &str| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        (decode(name), decode(value))
    };
    text.split('&').filter(|pair| !pair.is_empty()).map(pair).collect()
}

impl Query {
    /// Which part of the list.
    pub(crate) fn window(&self) -> Window {
        self.window
    }

    /// The last value of a parameter.
    pub(crate) fn take(&mut self, name: &str) -> Option<String> {
        self.all(name).pop()
    }

    /// Every value of a parameter.
    fn all(&mut self, name: &str) -> Vec<String> {
        let taken = self.pairs.extract_if(.., |(one, _)| one == name);
        taken.map(|(_, value)| value).collect()
    }

    /// A list: values of several parameters of the name, or separated by commas.
    pub(crate) fn list(&mut self, name: &str) -> Option<Vec<String>> {
        let values = self.all(name);
        let split = |value: &String| value.split(',').map(str::to_owned).collect::<Vec<_>>();
        (!values.is_empty()).then(|| values.iter().flat_map(split).collect())
    }

    /// A number.
    pub(crate) fn number(&mut self, name: &str) -> Result<Option<i64>, Refusal> {
        let Some(text) = self.take(name) else { return Ok(None) };
        let refused = |_| Refusal::filter(format!("{name}: {text:?} is no number"));
        text.parse().map(Some).map_err(refused)
    }

    /// A yes or no.
    pub(crate) fn flag(&mut self, name: &str) -> Result<Option<bool>, Refusal> {
        match self.take(name).map(|text| text.to_lowercase()).as_deref() {
            None | Some("") => Ok(None),
            Some("true" | "1" | "t") => Ok(Some(true)),
            Some("false" | "0" | "f") => Ok(Some(false)),
            Some(text) => {
                Err(Refusal::filter(format!("{name}: {text:?} is neither true nor false")))
            }
        }
    }

    /// A time, in UTC microseconds.
    pub(crate) fn time(&mut self, name: &str) -> Result<Option<i64>, Refusal> {
        let Some(text) = self.take(name) else { return Ok(None) };
        let refused = || Refusal::filter(format!("{name}: {text:?} is no time"));
        super::time_of(&text).map(Some).ok_or_else(refused)
    }

    /// What an address is of.
    pub(crate) fn address(&mut self, name: &str) -> Result<Option<Address>, Refusal> {
        let Some(text) = self.take(name) else { return Ok(None) };
        let refused = || Refusal::filter(format!("{name}: {text:?} is no address of anything"));
        Address::parse(&text).map(Some).ok_or_else(refused)
    }

    /// The id of what an address is of; what is of another sort has no rows.
    pub(crate) fn id(&mut self, name: &str) -> Result<Option<i64>, Refusal> {
        Ok(self.address(name)?.map(|address| match address {
            Address::Object(_, _, id) | Address::Upload(id) => id,
            _ => -1,
        }))
    }

    /// The ids of what is named by addresses or UUIDs; none if nothing is named.
    pub(crate) fn ids(&mut self) -> Result<Option<Vec<i64>>, Refusal> {
        let mut ids = None;
        for name in ["pulp_href__in", "prn__in", "pulp_id__in"] {
            for text in self.list(name).into_iter().flatten() {
                let id = match Address::parse(&text) {
                    Some(Address::Object(_, _, id) | Address::Upload(id)) => Some(id),
                    Some(_) => None,
                    None => hrefs::id(&text),
                };
                let list: &mut Vec<i64> = ids.get_or_insert_default();
                list.extend(id);
            }
        }
        Ok(ids)
    }

    /// The filters of what has a name and labels; of all content types that are served so if no plugin is given.
    pub(crate) fn named(&mut self, plugin: Option<&Plugin>) -> Result<Named, Refusal> {
        let mut content_types = plugin
            .map_or_else(Plugin::content_types, |plugin| vec![plugin.content_type.to_owned()]);
        if let Some(wanted) = self.list("pulp_type__in").or_else(|| self.list("pulp_type")) {
            content_types.retain(|one| {
                let prefix = format!("{one}.");
                wanted.iter().any(|wanted| wanted.starts_with(&prefix))
            });
        }
        let mut named = Named {
            content_types,
            ids: self.ids()?,
            name: self.take("name"),
            name_in: self.list("name__in"),
            contains: self.take("name__contains"),
            icontains: self.take("name__icontains"),
            iexact: self.take("name__iexact"),
            startswith: self.take("name__startswith"),
            istartswith: self.take("name__istartswith"),
            order: self.order()?,
            ..Named::default()
        };
        if let Some(selection) = self.take("pulp_label_select") {
            select(&mut named, &selection)?;
        }
        Ok(named)
    }

    fn order(&mut self) -> Result<Order, Refusal> {
        match self.take("ordering").as_deref() {
            None | Some("" | "-pulp_created" | "-pk") => Ok(Order::Newest),
            Some("pulp_created" | "pk") => Ok(Order::Oldest),
            Some("name") => Ok(Order::Name),
            Some("-name") => Ok(Order::NameBackwards),
            Some(text) => {
                Err(Refusal::filter(format!("ordering: {text:?} is not understood here")))
            }
        }
    }

    /// Whether the oldest come first.
    pub(crate) fn ascending(&mut self, newest_first: &[&str]) -> Result<bool, Refusal> {
        match self.take("ordering").as_deref() {
            None | Some("") => Ok(false),
            Some(text) => match text.strip_prefix('-') {
                Some(text) if newest_first.contains(&text) => Ok(false),
                None if newest_first.contains(&text) => Ok(true),
                _ => Err(Refusal::filter(format!("ordering: {text:?} is not understood here"))),
            },
        }
    }

    /// Refuses what nobody took.
    pub(crate) fn finish(&self) -> Result<(), Refusal> {
        match self.pairs.first() {
            Some((name, _)) => Err(Refusal::filter(format!("Invalid Filter: '{name}'"))),
            None => Ok(()),
        }
    }

    /// A page of a list.
    pub(crate) fn page(&self, asked: &str, count: u64, mut rows: Vec<Value>) -> Value {
        rows.iter_mut().for_each(|row| self.trim(row));
        let Window { limit, offset } = self.window;
        let link = |offset: u32| {
            let mut parts: Vec<&str> = asked
                .split('&')
                .filter(|pair| {
                    !pair.is_empty() && !pair.starts_with("limit=") && !pair.starts_with("offset=")
                })
                .collect();
            let place = format!("limit={limit}&offset={offset}");
            parts.push(&place);
            format!("{}?{}", self.origin, parts.join("&"))
        };
        let next = offset.checked_add(limit).filter(|next| u64::from(*next) < count).map(link);
        let previous = (offset > 0).then(|| link(offset.saturating_sub(limit)));
        json!({"count": count, "next": next, "previous": previous, "results": rows})
    }

    /// Leaves out what is not asked for.
    pub(crate) fn trim(&self, row: &mut Value) {
        let Value::Object(fields) = row else { return };
        fields.retain(|name, _| {
            self.fields.as_ref().is_none_or(|wanted| wanted.contains(name))
                && !self.exclude.contains(name)
        });
    }
}

/// `key=value,key,!key`
fn select(named: &mut Named, selection: &str) -> Result<(), Refusal> {
    for part in selection.split(',').map(str::trim).filter(|part| !part.is_empty()) {
        if part.contains(['~']) || part.contains("!=") {
            let text = format!(
                "pulp_label_select: {part:?} is not understood here; key=value, key and !key are"
            );
            return Err(Refusal::filter(text));
        }
        match (part.strip_prefix('!'), part.split_once('=')) {
            (Some(key), _) => named.unlabelled.push(key.to_owned()),
            (None, Some((key, value))) => {
                drop(named.labels.insert(key.to_owned(), value.to_owned()))
            }
            (None, None) => named.labelled.push(part.to_owned()),
        }
    }
    Ok(())
}

/// Labels as they come in a body.
pub(crate) fn labels(value: &Value) -> Result<Labels, Refusal> {
    let refused = || Refusal::field("pulp_labels", "Expected an object of texts.");
    let Value::Object(fields) = value else { return Err(refused()) };
    let label = |(key, value): (&String, &Value)| match value {
        Value::String(text) => Ok((key.clone(), text.clone())),
        Value::Null => Ok((key.clone(), String::new())),
        _ => Err(refused()),
    };
    let labels: Labels = fields.iter().map(label).collect::<Result<_, _>>()?;
    match labels.keys().find(|key| key.is_empty() || key.contains([',', '=', '!', '~', '(', ')'])) {
        Some(key) => Err(Refusal::field("pulp_labels", format!("{key:?} is no name of a label."))),
        None => Ok(labels),
    }
}

#[cfg(test)]
mod tests {
    use axum::http::Request;

    use super::*;

    async fn query(text: &str) -> Result<Query, Refusal> {
        let request = Request::builder().uri(format!("/x/?{text}")).header(HOST, "h:1");
        let (mut parts, ()) = request.body(()).unwrap().into_parts();
        Query::from_request_parts(&mut parts, &()).await
    }

    #[tokio::test]
    async fn a_page_knows_those_around_it() {
        let text = "name__contains=a%2Cb&limit=10&offset=20";
        let mut asked = query(text).await.unwrap();
        assert_eq!(asked.named(None).unwrap().contains.as_deref(), Some("a,b"));
        asked.finish().unwrap();
        let page = asked.page(text, 31, Vec::new());
        assert_eq!(page["next"], "http://h:1/x/?name__contains=a%2Cb&limit=10&offset=30");
        assert_eq!(page["previous"], "http://h:1/x/?name__contains=a%2Cb&limit=10&offset=10");
        assert_eq!(asked.page(text, 30, Vec::new())["next"], Value::Null);
    }

    #[tokio::test]
    async fn what_is_not_known_is_refused() {
        let unknown = query("colour=red").await.unwrap().finish().unwrap_err();
        assert_eq!(unknown.text(), "errors: Invalid Filter: 'colour'");
        for text in ["limit=x", "q=a"] {
            assert!(query(text).await.is_err(), "{text}");
        }
        for text in ["ordering=colour", "pulp_label_select=a~b"] {
            assert!(query(text).await.unwrap().named(None).is_err(), "{text}");
        }
    }

    #[tokio::test]
    async fn rows_are_trimmed() {
        for (text, expected) in [
            ("fields=a,b", json!({"a": 1, "b": 2})),
            ("fields=a&fields=b&exclude_fields=b", json!({"a": 1})),
            ("exclude_fields=a", json!({"b": 2, "c": 3})),
        ] {
            let mut row = json!({"a": 1, "b": 2, "c": 3});
            query(text).await.unwrap().trim(&mut row);
            assert_eq!(row, expected, "{text}");
        }
    }
}
