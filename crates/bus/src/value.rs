//! Values whose JSON a Python peer can read, where Rust's usual JSON would end it.
//!
//! UUIDs (`uuid::Uuid`) and dates (`jiff::civil::Date`) need nothing: their usual form is the right one.

use std::fmt;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A moment. Written with `+00:00` and six decimals, which every Python reads; `Z` and other numbers of
/// decimals end a worker before Python 3.11. Read in all ISO forms; without an offset it is UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DateTime(pub jiff::Timestamp);

impl DateTime {
    /// This moment, by the clock of the machine.
    pub fn now() -> DateTime {
        DateTime(jiff::Timestamp::now())
    }
}

impl fmt::Display for DateTime {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}+00:00", self.0.strftime("%Y-%m-%dT%H:%M:%S%.6f"))
    }
}

impl FromStr for DateTime {
    type Err = jiff::Error;

    fn from_str(text: &str) -> Result<DateTime, jiff::Error> {
        text.parse().map(DateTime).or_else(|error| {
            let civil: jiff::civil::DateTime = text.parse().map_err(|_| error)?;
            Ok(DateTime(civil.to_zoned(jiff::tz::TimeZone::UTC)?.timestamp()))
        })
    }
}

impl Serialize for DateTime {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for DateTime {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<DateTime, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(D::Error::custom)
    }
}

/// A decimal number of any length: a string of digits, `-?\d+(\.\d+)?`, as Python's `Decimal` is written.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Decimal(String);

/// The text is not a plain decimal number.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a decimal number such as -12.50")]
pub struct NotDecimal(String);

impl Decimal {
    /// The digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Decimal {
    type Err = NotDecimal;

    fn from_str(text: &str) -> Result<Decimal, NotDecimal> {
        let digits =
            |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        let unsigned = text.strip_prefix('-').unwrap_or(text);
        let plain = match unsigned.split_once('.') {
            Some((whole, fraction)) => digits(whole) && digits(fraction),
            None => digits(unsigned),
        };
        if plain { Ok(Decimal(text.to_owned())) } else { Err(NotDecimal(text.to_owned())) }
    }
}

impl fmt::Display for Decimal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl Serialize for Decimal {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Decimal {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Decimal, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(D::Error::custom)
    }
}

/// Bytes: standard base64 with padding. Read without padding as well.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Bytes(pub Vec<u8>);

impl Serialize for Bytes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(&self.0))
    }
}

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Bytes, D::Error> {
        let text = String::deserialize(deserializer)?;
        let unpadded = text.trim_end_matches('=');
        base64::engine::general_purpose::STANDARD_NO_PAD
            .decode(unpadded)
            .map(Bytes)
            .map_err(D::Error::custom)
    }
}

/// For `#[serde(with = "tutti_bus::value::float")]` on a float that a Python peer may send as `NaN` or infinite.
/// Such a value is never written: it is not JSON.
pub mod float {
    use serde::de::Error as _;
    use serde::ser::Error as _;
    use serde::{Deserialize, Deserializer, Serializer};

    /// Writes a finite number.
    pub fn serialize<S: Serializer>(number: &f64, serializer: S) -> Result<S::Ok, S::Error> {
        if number.is_finite() {
            serializer.serialize_f64(*number)
        } else {
            Err(S::Error::custom("a number that is not finite cannot be sent"))
        }
    }

    /// Reads a number, or the text of one that is not finite.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Float {
            Number(f64),
            Text(String),
        }
        match Float::deserialize(deserializer)? {
            Float::Number(number) => Ok(number),
            Float::Text(text) => text.parse().map_err(D::Error::custom),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json<T: Serialize>(value: &T) -> String {
        serde_json::to_string(value).unwrap()
    }

    #[test]
    fn a_moment_is_written_with_an_offset_and_six_decimals() {
        let moment: DateTime = "2024-02-29T13:05:07.25Z".parse().unwrap();
        assert_eq!(json(&moment), r#""2024-02-29T13:05:07.250000+00:00""#);
        assert_eq!(
            json(&DateTime("0987-01-01T00:00:00Z".parse().unwrap())),
            r#""0987-01-01T00:00:00.000000+00:00""#
        );
    }

    #[test]
    fn a_moment_is_read_in_every_form() {
        for text in [
            "2024-02-29T13:05:07",
            "2024-02-29T13:05:07Z",
            "2024-02-29T07:35:07.000000-05:30",
            "2024-02-29T13:05:07.000000000+00:00",
        ] {
            let moment: DateTime = text.parse().unwrap();
            assert_eq!(moment.to_string(), "2024-02-29T13:05:07.000000+00:00", "{text}");
        }
        assert!("13:05".parse::<DateTime>().is_err());
    }

    #[test]
    fn decimals_keep_their_digits() {
        assert_eq!(json(&"-12.50".parse::<Decimal>().unwrap()), r#""-12.50""#);
        for text in ["", "-", "1.", ".5", "1E+2", "NaN", "１"] {
            assert!(text.parse::<Decimal>().is_err(), "{text}");
        }
    }

    #[test]
    fn bytes_are_padded() {
        assert_eq!(json(&Bytes(b"\x00\xffhi".to_vec())), r#""AP9oaQ==""#);
        assert_eq!(serde_json::from_str::<Bytes>(r#""AP9oaQ""#).unwrap().0, b"\x00\xffhi");
    }

    #[test]
    fn numbers_that_are_not_finite_are_read_and_not_written() {
        #[derive(Serialize, Deserialize)]
        struct Reading(#[serde(with = "float")] f64);
        assert!(crate::codec::lenient::from_str::<Reading>("NaN").unwrap().0.is_nan());
        assert_eq!(serde_json::from_str::<Reading>("1").unwrap().0, 1.0);
        assert!(serde_json::to_string(&Reading(f64::INFINITY)).is_err());
    }
}
