//! Closed sets of words as columns: `alive`, `iaas`, … without JSON's quotes, so that SQL can
//! compare them.

use serde::{Serialize, de::DeserializeOwned};
use tutti_store::{Error, FromValue, ToValue, Value};

/// An enum without fields, kept as the word serde gives it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Word<T>(pub(crate) T);

impl<T: Serialize> ToValue for Word<T> {
    fn to_value(&self) -> Value {
        match serde_json::to_value(&self.0) {
            Ok(serde_json::Value::String(word)) => Value::Text(word),
            _ => Value::Unfit(format!("{} is no word", std::any::type_name::<T>())),
        }
    }
}

impl<T: DeserializeOwned> FromValue for Word<T> {
    fn from_value(value: Value) -> Result<Self, Error> {
        let expected = std::any::type_name::<T>();
        let Value::Text(word) = value else { return Err(Error::mismatch(expected, &value)) };
        serde_json::from_value(serde_json::Value::String(word.clone()))
            .map(Self)
            .map_err(|_| Error::Column { index: 0, expected, found: format!("the word `{word}`") })
    }
}

#[cfg(test)]
mod tests {
    use super::Word;
    use tutti_model::api::Life;
    use tutti_store::{FromValue, ToValue, Value};

    #[test]
    fn words_come_back() {
        let value = Word(Life::Dying).to_value();
        assert_eq!(value, Value::Text("dying".into()));
        assert_eq!(Word::<Life>::from_value(value).unwrap(), Word(Life::Dying));
        assert!(Word::<Life>::from_value(Value::Text("undead".into())).is_err());
    }
}
