//! Bodies of requests: fields in JSON or in a form, and files that are stored while they come.

use axum::extract::{FromRequest, Multipart, Request};
use axum::http::header::CONTENT_TYPE;
use futures_util::TryStreamExt;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tutti_content::{Artifact, Artifacts};

use super::hrefs::Address;
use super::plugin::Noun;
use super::query::pairs;
use super::refusal::Refusal;
use crate::http::Body;

/// The longest text in a form with files, bytes.
const TEXT_MAX: usize = 1024 * 1024;

/// The fields of a body. In a change, what is not there stays as it is.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Fields(pub(crate) Map<String, Value>);

impl<S: Send + Sync> FromRequest<S> for Fields {
    type Rejection = Refusal;

    async fn from_request(request: Request, state: &S) -> Result<Self, Refusal> {
        if kind(&request).starts_with("application/x-www-form-urlencoded") {
            let bytes = axum::body::to_bytes(request.into_body(), TEXT_MAX).await;
            let bytes = bytes.map_err(|error| Refusal::invalid(error.to_string()))?;
            let pairs = pairs(&String::from_utf8_lossy(&bytes));
            return Ok(Self(pairs.into_iter().map(|(name, value)| (name, value.into())).collect()));
        }
        match Body::<Value>::from_request(request, state).await?.0 {
            Value::Object(fields) => Ok(Self(fields)),
            _ => Err(Refusal::invalid("Expected an object.")),
        }
    }
}

fn kind(request: &Request) -> &str {
    let kind = request.headers().get(CONTENT_TYPE);
    kind.and_then(|kind| kind.to_str().ok()).unwrap_or_default()
}

impl Fields {
    /// Whether a field is there.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// A field, unless it is absent or null.
    pub(crate) fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name).filter(|value| !value.is_null())
    }

    /// A text, unless it is absent or null.
    pub(crate) fn text(&self, name: &str) -> Result<Option<String>, Refusal> {
        match self.get(name) {
            None => Ok(None),
            Some(Value::String(text)) if !text.contains('\0') => Ok(Some(text.clone())),
            Some(_) => Err(Refusal::field(name, "Not a valid string.")),
        }
    }

    /// A text that has to be there.
    pub(crate) fn required(&self, name: &str) -> Result<String, Refusal> {
        match self.text(name)? {
            None => Err(Refusal::field(name, "This field is required.")),
            Some(text) if text.is_empty() => {
                Err(Refusal::field(name, "This field may not be blank."))
            }
            Some(text) => Ok(text),
        }
    }

    /// A yes or no, unless it is absent or null.
    pub(crate) fn flag(&self, name: &str) -> Result<Option<bool>, Refusal> {
        match self.get(name) {
            None => Ok(None),
            Some(Value::Bool(flag)) => Ok(Some(*flag)),
            Some(Value::String(text)) if text.eq_ignore_ascii_case("true") => Ok(Some(true)),
            Some(Value::String(text)) if text.eq_ignore_ascii_case("false") => Ok(Some(false)),
            Some(_) => Err(Refusal::field(name, "Must be a valid boolean.")),
        }
    }

    /// A number that is not negative, unless it is absent or null.
    pub(crate) fn number(&self, name: &str) -> Result<Option<u64>, Refusal> {
        let found = match self.get(name) {
            None => return Ok(None),
            Some(Value::Number(number)) => number.as_u64(),
            Some(Value::String(text)) => text.parse().ok(),
            Some(_) => None,
        };
        found.map(Some).ok_or_else(|| Refusal::field(name, "A valid integer is required."))
    }

    /// What an address is of, unless it is absent or null.
    pub(crate) fn address(&self, name: &str) -> Result<Option<Address>, Refusal> {
        let Some(text) = self.text(name)?.filter(|text| !text.is_empty()) else { return Ok(None) };
        let refused = || Refusal::field(name, "Invalid hyperlink - No URL match.");
        Address::parse(&text).map(Some).ok_or_else(refused)
    }

    /// The id of what an address of this noun and content type is of, unless it is absent or null.
    pub(crate) fn id(
        &self,
        name: &str,
        noun: Noun,
        content_type: &str,
    ) -> Result<Option<i64>, Refusal> {
        match self.address(name)? {
            None => Ok(None),
            Some(Address::Object(found, plugin, id))
                if found == noun && plugin.content_type == content_type =>
            {
                Ok(Some(id))
            }
            Some(_) => {
                let text = format!("Not the address of a {} of {content_type}.", noun.singular());
                Err(Refusal::field(name, text))
            }
        }
    }

    /// What addresses are of; none if the field is absent or null.
    pub(crate) fn addresses(&self, name: &str) -> Result<Option<Vec<Address>>, Refusal> {
        let texts = match self.get(name) {
            None => return Ok(None),
            Some(Value::Array(texts)) => texts,
            Some(_) => return Err(Refusal::field(name, "Expected a list of items.")),
        };
        let address = |text: &Value| {
            let refused = || Refusal::field(name, format!("{text} is no address of anything."));
            text.as_str().and_then(Address::parse).ok_or_else(refused)
        };
        texts.iter().map(address).collect::<Result<_, _>>().map(Some)
    }
}

/// A form with a file, which is stored by the time it is read.
pub(crate) struct Form {
    /// Everything that is no file.
    pub(crate) fields: Fields,
    /// The file and the name it came with.
    pub(crate) file: Option<(Artifact, String)>,
}

impl Form {
    /// Reads a form or JSON; files go to the artifacts. What the form is refused for leaves an artifact that nothing refers to.
    pub(crate) async fn read(artifacts: &Artifacts, request: Request) -> Result<Self, Refusal> {
        if !kind(&request).starts_with("multipart/form-data") {
            let fields = Fields::from_request(request, &()).await?;
            return Ok(Self { fields, file: None });
        }
        let mut parts = multipart(request).await?;
        let mut form = Self { fields: Fields::default(), file: None };
        while let Some(part) = parts.next_field().await.map_err(broken)? {
            let name = part.name().unwrap_or_default().to_owned();
            if let Some(file) = part.file_name().map(str::to_owned) {
                form.file = Some((artifacts.put(part.map_err(std::io::Error::other)).await?, file));
                continue;
            }
            form.fields.0.insert(name, short_text(part).await?.into());
        }
        Ok(form)
    }
}

/// The parts of a form with files.
pub(crate) async fn multipart(request: Request) -> Result<Multipart, Refusal> {
    let refused =
        |error: axum::extract::multipart::MultipartRejection| Refusal::invalid(error.body_text());
    Multipart::from_request(request, &()).await.map_err(refused)
}

/// Why a form could not be read.
pub(crate) fn broken(error: axum::extract::multipart::MultipartError) -> Refusal {
    Refusal::detail(error.status(), error.body_text())
}

/// The text of a part that is no file.
pub(crate) async fn short_text(
    mut part: axum::extract::multipart::Field<'_>,
) -> Result<String, Refusal> {
    let mut bytes = Vec::new();
    while let Some(chunk) = part.chunk().await.map_err(broken)? {
        if bytes.len() + chunk.len() > TEXT_MAX {
            return Err(Refusal::invalid(format!("A field has more than {TEXT_MAX} bytes.")));
        }
        bytes.extend_from_slice(&chunk);
    }
    String::from_utf8(bytes).map_err(|_| Refusal::invalid("A field is not UTF-8."))
}
