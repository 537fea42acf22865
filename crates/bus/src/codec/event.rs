//! Events: the fields of a stream's entry. Metadata has plain names, parameters a leading colon and JSON values.

use std::borrow::Cow;
use std::fmt;

use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use super::{DecodeError, Extension, lenient};

/// An event as it is sent.
#[derive(Debug)]
pub(crate) struct EventOut<'a> {
    pub(crate) id: &'a str,
    pub(crate) api: &'a str,
    pub(crate) name: &'a str,
    pub(crate) version: u32,
    /// A JSON object.
    pub(crate) parameters: &'a RawValue,
    pub(crate) extension: &'a Extension,
}

impl EventOut<'_> {
    /// Gives every field and its value, in order, to `field`. Values go as they stand: a number keeps its digits.
    pub(crate) fn encode(
        &self,
        mut field: impl FnMut(&[u8], &[u8]),
    ) -> Result<(), serde_json::Error> {
        let Members(parameters) = serde_json::from_str(self.parameters.get())?;
        field(b"id", self.id.as_bytes());
        field(b"api_name", self.api.as_bytes());
        field(b"event_name", self.name.as_bytes());
        field(b"version", self.version.to_string().as_bytes());
        let mut key = Vec::from(*b":");
        for (name, value) in parameters {
            key.truncate(1);
            key.extend_from_slice(name.as_bytes());
            field(&key, value.get().as_bytes());
        }
        if !self.extension.is_empty() {
            field(b"", &serde_json::to_vec(self.extension)?);
        }
        Ok(())
    }
}

/// The members of a JSON object, in order, their values unread.
struct Members<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = Members<'de>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an object with the parameters of an event")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members<'de>, A::Error> {
                #[derive(Deserialize)]
                struct Name<'a>(#[serde(borrow)] Cow<'a, str>);
                let mut members = Vec::new();
                while let Some((Name(name), value)) = map.next_entry()? {
                    members.push((name, value));
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Reader)
    }
}

/// An event as it was received.
#[derive(Debug)]
pub(crate) struct EventIn {
    pub(crate) id: String,
    pub(crate) api: String,
    pub(crate) name: String,
    pub(crate) version: u32,
    /// A JSON object.
    pub(crate) parameters: Box<RawValue>,
    pub(crate) extension: Extension,
}

impl EventIn {
    /// Reads the fields of an entry. `None` for an entry that only makes a stream exist. An event without an
    /// id takes that of its entry.
    pub(crate) fn decode<'a>(
        native_id: &str,
        fields: impl Iterator<Item = (&'a [u8], &'a [u8])>,
    ) -> Result<Option<EventIn>, DecodeError> {
        let (mut id, mut api, mut name, mut version) = (None, None, None, 1);
        let mut parameters = Vec::from(*b"{");
        let mut extension = Extension::default();
        let mut is_noop = true;
        for (key, value) in fields {
            is_noop &= key.is_empty();
            match key {
                [b':', parameter @ ..] => {
                    append_parameter(&mut parameters, parameter, value)?;
                }
                b"id" => id = text(value),
                b"api_name" => api = text(value),
                b"event_name" => name = text(value),
                b"version" => version = text(value).and_then(|text| text.parse().ok()).unwrap_or(1),
                b"" => {
                    let raw: Option<Box<RawValue>> = serde_json::from_slice(value).ok();
                    extension = Extension::read(raw.as_deref());
                }
                _ => {}
            }
        }
        if is_noop {
            return Ok(None);
        }
        parameters.push(b'}');
        Ok(Some(EventIn {
            id: id.unwrap_or_else(|| native_id.to_owned()),
            api: api.ok_or(DecodeError::Missing("api_name"))?,
            name: name.ok_or(DecodeError::Missing("event_name"))?,
            version,
            parameters: serde_json::from_slice(&parameters).map_err(DecodeError::Json)?,
            extension,
        }))
    }

    /// The API and name of an entry, to see whether anyone wants it before it is read.
    pub(crate) fn peek<'a>(
        fields: impl Iterator<Item = (&'a [u8], &'a [u8])>,
    ) -> (Option<&'a [u8]>, Option<&'a [u8]>) {
        let (mut api, mut name) = (None, None);
        for (key, value) in fields {
            match key {
                b"api_name" => api = Some(value),
                b"event_name" => name = Some(value),
                _ => {}
            }
        }
        (api, name)
    }
}

/// Appends `"name":value` to an object. Every value is read alone, so that none can reach into the next.
fn append_parameter(object: &mut Vec<u8>, name: &[u8], value: &[u8]) -> Result<(), DecodeError> {
    let name = String::from_utf8_lossy(name);
    let value: Box<RawValue> = lenient::from_slice(value)
        .map_err(|source| DecodeError::Parameter { name: name.to_string(), source })?;
    if object.len() > 1 {
        object.push(b',');
    }
    serde_json::to_writer(&mut *object, &name).map_err(DecodeError::Json)?;
    object.push(b':');
    object.extend_from_slice(value.get().as_bytes());
    Ok(())
}

/// The text of a metadata field; an empty one counts as missing.
fn text(value: &[u8]) -> Option<String> {
    (!value.is_empty()).then(|| String::from_utf8_lossy(value).into_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn decode(fields: &[(&str, &str)]) -> Result<Option<EventIn>, DecodeError> {
        EventIn::decode("5-1", fields.iter().map(|(key, value)| (key.as_bytes(), value.as_bytes())))
    }

    #[test]
    fn an_event_comes_back_as_it_went() {
        let text = r#"{"username": "ann", "\u00e9": null, "big": 118059162071741130342400000000000000001}"#;
        let parameters: Box<RawValue> = serde_json::from_str(text).unwrap();
        let extension = Extension { sender: Some("s/p".to_owned()), ..Extension::default() };
        let out = EventOut {
            id: "1",
            api: "a.b",
            name: "x",
            version: 3,
            parameters: &parameters,
            extension: &extension,
        };
        let mut fields = Vec::new();
        out.encode(|key, value| fields.push((key.to_vec(), value.to_vec()))).unwrap();
        let event =
            EventIn::decode("5-1", fields.iter().map(|(k, v)| (k.as_slice(), v.as_slice())));
        let event = event.unwrap().unwrap();
        assert_eq!(
            (event.id.as_str(), event.api.as_str(), event.name.as_str(), event.version),
            ("1", "a.b", "x", 3)
        );
        assert!(event.parameters.get().contains(":118059162071741130342400000000000000001"));
        let read: Value = serde_json::from_str(event.parameters.get()).unwrap();
        assert_eq!(read, serde_json::from_str::<Value>(text).unwrap());
        assert_eq!(event.extension, extension);
    }

    #[test]
    fn an_entry_with_only_empty_names_is_no_event() {
        assert!(decode(&[("", "")]).unwrap().is_none());
    }

    #[test]
    fn a_value_cannot_reach_into_the_next_parameter() {
        let error =
            decode(&[("api_name", "a"), ("event_name", "x"), (":a", "1,\"b\":2")]).unwrap_err();
        assert!(matches!(error, DecodeError::Parameter { name, .. } if name == "a"));
    }

    #[test]
    fn what_is_missing_or_strange_is_borne_as_far_as_it_can_be() {
        let event = decode(&[
            ("api_name", "a"),
            ("event_name", "x"),
            ("version", "one"),
            ("other", "1"),
            (":f", "NaN"),
        ]);
        let event = event.unwrap().unwrap();
        assert_eq!((event.id.as_str(), event.version), ("5-1", 1));
        assert_eq!(event.parameters.get(), r#"{"f":"NaN"}"#);
        assert!(decode(&[("event_name", "x")]).is_err());
        assert!(decode(&[("api_name", "a"), ("event_name", "")]).is_err());
    }
}
