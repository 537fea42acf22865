//! Calls and their results: JSON blobs in lists.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::keys::RETURN_PATH_PREFIX;
use super::{DecodeError, Extension, lenient};
use crate::{Failure, FailureKind};

/// A call as it is sent.
#[derive(Clone, Debug)]
pub(crate) struct CallOut<'a> {
    pub(crate) id: &'a str,
    pub(crate) api: &'a str,
    pub(crate) procedure: &'a str,
    /// The list that is to receive the result.
    pub(crate) results: &'a str,
    /// A JSON object.
    pub(crate) arguments: &'a RawValue,
    pub(crate) extension: &'a Extension,
}

impl CallOut<'_> {
    /// The blob for the API's queue.
    pub(crate) fn encode(&self) -> Result<Vec<u8>, serde_json::Error> {
        #[derive(Serialize)]
        struct Blob<'a> {
            kwargs: &'a RawValue,
            metadata: Metadata<'a>,
            #[serde(skip_serializing_if = "Extension::is_empty")]
            tutti: &'a Extension,
        }
        #[derive(Serialize)]
        struct Metadata<'a> {
            api_name: &'a str,
            id: &'a str,
            procedure_name: &'a str,
            return_path: String,
        }
        serde_json::to_vec(&Blob {
            kwargs: self.arguments,
            metadata: Metadata {
                api_name: self.api,
                id: self.id,
                procedure_name: self.procedure,
                return_path: format!("{RETURN_PATH_PREFIX}{}", self.results),
            },
            tutti: self.extension,
        })
    }
}

/// A call as it was received. Whatever is wrong with it is found here, except that nobody can be told of it
/// without an id and a list for the result.
#[derive(Debug)]
pub(crate) struct CallIn {
    pub(crate) id: String,
    /// The list that is to receive the result.
    pub(crate) results: String,
    pub(crate) api: String,
    pub(crate) procedure: String,
    /// A JSON object, or whatever stands in its place.
    pub(crate) arguments: Box<RawValue>,
    pub(crate) extension: Extension,
}

impl CallIn {
    /// Reads a blob from a queue.
    pub(crate) fn decode(blob: &[u8]) -> Result<CallIn, DecodeError> {
        #[derive(Deserialize)]
        struct Blob {
            metadata: Metadata,
            #[serde(default)]
            kwargs: Option<Box<RawValue>>,
            #[serde(default)]
            tutti: Option<Box<RawValue>>,
        }
        #[derive(Deserialize)]
        #[serde(default)]
        #[derive(Default)]
        struct Metadata {
            id: String,
            api_name: String,
            procedure_name: String,
            return_path: String,
        }
        let Blob { metadata, kwargs, tutti } =
            lenient::from_slice(blob).map_err(DecodeError::Json)?;
        let results = metadata
            .return_path
            .strip_prefix(RETURN_PATH_PREFIX)
            .filter(|key| !key.is_empty())
            .ok_or(DecodeError::Missing("return path"))?;
        if metadata.id.is_empty() {
            return Err(DecodeError::Missing("id"));
        }
        Ok(CallIn {
            results: results.to_owned(),
            id: metadata.id,
            api: metadata.api_name,
            procedure: metadata.procedure_name,
            arguments: kwargs.unwrap_or_else(|| RawValue::NULL.to_owned()),
            extension: Extension::read(tutti.as_deref()),
        })
    }
}

/// A result as it is sent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ResultOut<'a> {
    pub(crate) id: &'a str,
    pub(crate) call_id: &'a str,
    pub(crate) outcome: Result<&'a RawValue, &'a Failure>,
}

impl ResultOut<'_> {
    /// The blob for the list of results.
    pub(crate) fn encode(&self) -> Result<Vec<u8>, serde_json::Error> {
        #[derive(Serialize)]
        struct Blob<'a, R: Serialize> {
            kwargs: Outcome<R>,
            metadata: Metadata<'a>,
            #[serde(skip_serializing_if = "Option::is_none")]
            tutti: Option<Extension>,
        }
        #[derive(Serialize)]
        struct Outcome<R> {
            result: R,
        }
        #[derive(Serialize)]
        struct Metadata<'a> {
            error: bool,
            id: &'a str,
            rpc_message_id: &'a str,
            #[serde(skip_serializing_if = "Option::is_none")]
            trace: Option<&'a str>,
        }
        let metadata =
            |error, trace| Metadata { error, id: self.id, rpc_message_id: self.call_id, trace };
        match self.outcome {
            Ok(result) => serde_json::to_vec(&Blob {
                kwargs: Outcome { result },
                metadata: metadata(false, None),
                tutti: None,
            }),
            Err(failure) => serde_json::to_vec(&Blob {
                kwargs: Outcome { result: failure.message.as_str() },
                metadata: metadata(true, failure.trace.as_deref()),
                tutti: Some(Extension { kind: Some(failure.kind), ..Extension::default() }),
            }),
        }
    }
}

/// A result as it was received.
#[derive(Debug)]
pub(crate) struct ResultIn {
    pub(crate) call_id: String,
    pub(crate) outcome: Result<Box<RawValue>, Failure>,
}

impl ResultIn {
    /// Reads a blob from a list of results.
    pub(crate) fn decode(blob: &[u8]) -> Result<ResultIn, DecodeError> {
        #[derive(Deserialize)]
        struct Blob {
            metadata: Metadata,
            #[serde(default)]
            kwargs: Outcome,
            #[serde(default)]
            tutti: Option<Box<RawValue>>,
        }
        #[derive(Deserialize, Default)]
        struct Outcome {
            #[serde(default)]
            result: Option<Box<RawValue>>,
        }
        #[derive(Deserialize)]
        struct Metadata {
            rpc_message_id: String,
            #[serde(default)]
            error: serde_json::Value,
            #[serde(default)]
            trace: Option<Box<RawValue>>,
        }
        let Blob { metadata, kwargs, tutti } =
            lenient::from_slice(blob).map_err(DecodeError::Json)?;
        let result = kwargs.result.unwrap_or_else(|| RawValue::NULL.to_owned());
        let outcome = if is_true(&metadata.error) {
            Err(Failure {
                kind: Extension::read(tutti.as_deref()).kind.unwrap_or(FailureKind::Failed),
                message: text(&result),
                trace: metadata.trace.as_deref().map(text),
            })
        } else {
            Ok(result)
        };
        Ok(ResultIn { call_id: metadata.rpc_message_id, outcome })
    }
}

/// The text of a JSON string, or the JSON of anything else.
fn text(raw: &RawValue) -> String {
    lenient::from_str(raw.get()).unwrap_or_else(|_| raw.get().to_owned())
}

/// Python's idea of truth.
fn is_true(value: &serde_json::Value) -> bool {
    match value {
        serde_json::Value::Null => false,
        serde_json::Value::Bool(value) => *value,
        serde_json::Value::Number(number) => number.as_f64() != Some(0.0),
        serde_json::Value::String(text) => !text.is_empty(),
        serde_json::Value::Array(items) => !items.is_empty(),
        serde_json::Value::Object(members) => !members.is_empty(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_failure_comes_back_as_it_went() {
        let failure = Failure {
            kind: FailureKind::UnknownProcedure,
            message: "no \"x\"".to_owned(),
            trace: Some("a\nb".to_owned()),
        };
        let blob = ResultOut { id: "r", call_id: "c", outcome: Err(&failure) }.encode().unwrap();
        let read = ResultIn::decode(&blob).unwrap();
        assert_eq!(read.call_id, "c");
        assert_eq!(read.outcome.unwrap_err(), failure);
    }

    #[test]
    fn a_missing_result_is_null_and_error_is_tested_for_truth() {
        let read = |blob: serde_json::Value| ResultIn::decode(blob.to_string().as_bytes()).unwrap();
        let nothing = read(json!({"metadata": {"rpc_message_id": "c", "other": 1}}));
        assert_eq!(nothing.outcome.unwrap().get(), "null");
        let failed = read(
            json!({"kwargs": {"result": {"a": 1}}, "metadata": {"rpc_message_id": "c", "error": "yes", "trace": null}}),
        );
        let failure = failed.outcome.unwrap_err();
        assert_eq!((failure.message.as_str(), failure.trace), (r#"{"a":1}"#, None));
    }

    #[test]
    fn a_foreign_value_in_our_place_is_ignored() {
        let call = json!({"metadata": {"id": "1", "api_name": "a", "procedure_name": "p", "return_path": "redis+key://r"},
                          "kwargs": {}, "tutti": [1, 2]});
        let call = CallIn::decode(call.to_string().as_bytes()).unwrap();
        assert!(call.extension.is_empty());
    }
}
