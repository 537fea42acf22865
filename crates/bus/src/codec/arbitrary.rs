//! Whatever arrives is read or refused, and what is JSON already is not changed.

use proptest::prelude::*;
use serde_json::Value;

use super::*;

/// Bytes that look enough like JSON, Python's included, to get somewhere.
fn almost_json() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        Just("{".to_owned()),
        Just("}".to_owned()),
        Just("[".to_owned()),
        Just("]".to_owned()),
        Just(":".to_owned()),
        Just(",".to_owned()),
        Just("\"".to_owned()),
        Just("NaN".to_owned()),
        Just("-Infinity".to_owned()),
        Just("\"metadata\"".to_owned()),
        Just("\"kwargs\"".to_owned()),
        Just("\"tutti\"".to_owned()),
        Just("\"return_path\": \"redis+key://x\"".to_owned()),
        Just("\\ud800".to_owned()),
        Just("\\".to_owned()),
        "-?[0-9]{1,400}",
        any::<String>(),
    ];
    let text = prop::collection::vec(piece, 0..20).prop_map(|pieces| pieces.concat().into_bytes());
    prop_oneof![text, prop::collection::vec(any::<u8>(), 0..200)]
}

fn json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::btree_map(any::<String>(), inner, 0..5)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn anything_is_read_or_refused(bytes in almost_json(), other in almost_json()) {
        drop(CallIn::decode(&bytes));
        drop(ResultIn::decode(&bytes));
        let fields = [(&b"api_name"[..], &b"a"[..]), (b"event_name", b"x"), (b":p", &bytes), (&other, &bytes), (b"", &other)];
        drop(EventIn::decode("1-1", fields.into_iter()));
    }

    #[test]
    fn what_is_repaired_is_json(bytes in almost_json()) {
        if let Ok(raw) = lenient::from_slice::<Box<serde_json::value::RawValue>>(&bytes) {
            let again: Result<Value, _> = lenient::from_str(raw.get());
            prop_assert!(again.is_ok());
        }
    }

    #[test]
    fn json_is_read_as_it_is(value in json()) {
        let text = value.to_string();
        prop_assert_eq!(&lenient::repair(&text), &text);
        prop_assert_eq!(lenient::from_str::<Value>(&text).unwrap(), value);
    }
}
