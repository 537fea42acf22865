//! What a column can hold, the same on both engines.
//!
//! Declare columns `BIGINT`, `DOUBLE PRECISION`, `TEXT`, `BLOB` or `BOOLEAN` and nothing else: other types change values
//! on the way on one engine or the other. SQLite keeps booleans as 0 and 1; reading as `bool` gives the same on both.

use serde::{Serialize, de::DeserializeOwned};
use uuid::Uuid;

use crate::{Error, Result};

/// A value on its way into or out of the database.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// No value.
    Null,
    /// `BIGINT`.
    Integer(i64),
    /// `DOUBLE PRECISION`; never NaN.
    Real(f64),
    /// `TEXT`; never with a NUL character, which PostgreSQL refuses.
    Text(String),
    /// `BLOB`.
    Blob(Vec<u8>),
    /// `BOOLEAN`.
    Bool(bool),
    /// What no column can hold, and why. A statement given this fails with [`Error::Value`].
    Unfit(String),
}

impl Value {
    pub(crate) fn describe(&self) -> String {
        match self {
            Self::Null => "null".into(),
            Self::Integer(n) => format!("the integer {n}"),
            Self::Real(n) => format!("the number {n}"),
            Self::Text(text) => format!("text of {} bytes", text.len()),
            Self::Blob(bytes) => format!("{} bytes", bytes.len()),
            Self::Bool(flag) => format!("{flag}"),
            Self::Unfit(reason) => reason.clone(),
        }
    }

    /// Refuses [`Value::Unfit`]; called before any statement is sent.
    pub(crate) fn check(values: &[Self]) -> Result<()> {
        match values.iter().find(|value| matches!(value, Self::Unfit(_))) {
            Some(Self::Unfit(reason)) => Err(Error::Value { reason: reason.clone() }),
            _ => Ok(()),
        }
    }
}

/// A type that can be a parameter. Implement it for newtypes by delegating to what they wrap.
pub trait ToValue {
    /// The value to store.
    fn to_value(&self) -> Value;
}

/// A type that can be read from a column. Implement it for newtypes by delegating to what they wrap.
pub trait FromValue: Sized {
    /// # Errors
    /// [`Error::mismatch`] if the value is of another kind or out of range.
    fn from_value(value: Value) -> Result<Self>;
}

impl ToValue for Value {
    fn to_value(&self) -> Value {
        self.clone()
    }
}

impl FromValue for Value {
    fn from_value(value: Value) -> Result<Self> {
        Ok(value)
    }
}

impl<T: ToValue + ?Sized> ToValue for &T {
    fn to_value(&self) -> Value {
        (**self).to_value()
    }
}

impl<T: ToValue> ToValue for Option<T> {
    fn to_value(&self) -> Value {
        self.as_ref().map_or(Value::Null, ToValue::to_value)
    }
}

impl<T: FromValue> FromValue for Option<T> {
    fn from_value(value: Value) -> Result<Self> {
        match value {
            Value::Null => Ok(None),
            value => T::from_value(value).map(Some),
        }
    }
}

macro_rules! integers {
    ($($type:ty),*) => {$(
        impl ToValue for $type {
            fn to_value(&self) -> Value {
                i64::try_from(*self)
                    .map_or_else(|_| Value::Unfit(format!("{self} is beyond 64 signed bits")), Value::Integer)
            }
        }

        impl FromValue for $type {
            fn from_value(value: Value) -> Result<Self> {
                match value {
                    Value::Integer(n) => Self::try_from(n)
                        .map_err(|_| Error::mismatch(stringify!($type), &Value::Integer(n))),
                    other => Err(Error::mismatch(stringify!($type), &other)),
                }
            }
        }
    )*};
}

integers!(i64, i32, u64, u32, u16, u8, usize);

impl ToValue for f64 {
    fn to_value(&self) -> Value {
        if self.is_nan() { Value::Unfit("not a number".into()) } else { Value::Real(*self) }
    }
}

impl FromValue for f64 {
    #[expect(clippy::cast_precision_loss, reason = "SQLite may keep a whole number as an integer")]
    fn from_value(value: Value) -> Result<Self> {
        match value {
            Value::Real(n) => Ok(n),
            Value::Integer(n) => Ok(n as Self),
            other => Err(Error::mismatch("f64", &other)),
        }
    }
}

impl ToValue for bool {
    fn to_value(&self) -> Value {
        Value::Bool(*self)
    }
}

impl FromValue for bool {
    fn from_value(value: Value) -> Result<Self> {
        match value {
            Value::Bool(flag) => Ok(flag),
            Value::Integer(0) => Ok(false),
            Value::Integer(1) => Ok(true),
            other => Err(Error::mismatch("bool", &other)),
        }
    }
}

impl ToValue for str {
    fn to_value(&self) -> Value {
        if self.contains('\0') {
            return Value::Unfit("text with a NUL character".into());
        }
        Value::Text(self.to_owned())
    }
}

impl ToValue for String {
    fn to_value(&self) -> Value {
        self.as_str().to_value()
    }
}

impl FromValue for String {
    fn from_value(value: Value) -> Result<Self> {
        match value {
            Value::Text(text) => Ok(text),
            other => Err(Error::mismatch("text", &other)),
        }
    }
}

impl ToValue for [u8] {
    fn to_value(&self) -> Value {
        Value::Blob(self.to_vec())
    }
}

impl ToValue for Vec<u8> {
    fn to_value(&self) -> Value {
        self.as_slice().to_value()
    }
}

impl FromValue for Vec<u8> {
    fn from_value(value: Value) -> Result<Self> {
        match value {
            Value::Blob(bytes) => Ok(bytes),
            other => Err(Error::mismatch("bytes", &other)),
        }
    }
}

/// Kept as its hyphenated text, so that both engines and every tool show and sort it alike.
impl ToValue for Uuid {
    fn to_value(&self) -> Value {
        Value::Text(self.hyphenated().to_string())
    }
}

impl FromValue for Uuid {
    fn from_value(value: Value) -> Result<Self> {
        match value {
            Value::Text(text) => {
                Self::try_parse(&text).map_err(|_| Error::mismatch("uuid", &Value::Text(text)))
            }
            other => Err(Error::mismatch("uuid", &other)),
        }
    }
}

/// A value kept as JSON in a `TEXT` column (never `JSONB`: SQLite would turn the text `123` into an integer).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Json<T>(pub T);

impl<T: Serialize> ToValue for Json<T> {
    fn to_value(&self) -> Value {
        serde_json::to_string(&self.0)
            .map_or_else(|error| Value::Unfit(format!("not JSON: {error}")), Value::Text)
    }
}

impl<T: DeserializeOwned> FromValue for Json<T> {
    fn from_value(value: Value) -> Result<Self> {
        match value {
            Value::Text(text) => {
                serde_json::from_str(&text).map(Self).map_err(|error| Error::Column {
                    index: 0,
                    expected: std::any::type_name::<T>(),
                    found: format!("JSON that does not fit: {error}"),
                })
            }
            other => Err(Error::mismatch("JSON text", &other)),
        }
    }
}
