//! The shape of a type, found without macros: its `Deserialize` is shown a deserializer that only notes what it is asked for.
//! One look tells the members of a struct; one more look each tells theirs.

use std::fmt;

use serde::{
    Deserializer,
    de::{DeserializeOwned, DeserializeSeed, MapAccess, Visitor, value::StrDeserializer},
};
use serde_json::{Value, json};

/// How deep wrappers are opened: newtypes and options, in one another.
const WRAPPERS_MAX: usize = 8;

/// What values of a type look like as JSON, as far as its `Deserialize` lets on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// It takes what comes.
    Any,
    Unit,
    Bool,
    Integer,
    Float,
    Text,
    List,
    Map,
    Enum,
    Option(Box<Shape>),
    Struct(Vec<Member>),
}

/// A member of a struct; of a struct in it, no members are known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Member {
    pub(crate) name: &'static str,
    pub(crate) shape: Shape,
    /// Whether it may be absent.
    pub(crate) optional: bool,
}

impl Shape {
    /// The shape of a type.
    pub(crate) fn of<T: DeserializeOwned>() -> Self {
        let mut shape = look::<T>(None);
        if let Self::Struct(members) = &mut shape {
            // `#[serde(default)]` on the whole struct.
            let all_optional = T::deserialize(json!({})).is_ok();
            for member in members {
                member.shape = look::<T>(Some(member.name));
                member.optional = all_optional || matches!(member.shape, Self::Option(_));
            }
        }
        shape
    }

    /// The shape of a value.
    pub(crate) fn of_value(value: &Value) -> Self {
        match value {
            Value::Null => Self::Unit,
            Value::Bool(_) => Self::Bool,
            Value::Number(number) if number.is_f64() => Self::Float,
            Value::Number(_) => Self::Integer,
            Value::String(_) => Self::Text,
            Value::Array(_) => Self::List,
            Value::Object(_) => Self::Map,
        }
    }

    /// The members, if it is a struct.
    pub(crate) fn members(&self) -> &[Member] {
        match self {
            Self::Struct(members) => members,
            _ => &[],
        }
    }

    /// Whether it may have members that are not known.
    pub(crate) fn is_open(&self) -> bool {
        match self {
            Self::Any | Self::Map | Self::Enum => true,
            Self::Option(inner) => inner.is_open(),
            _ => false,
        }
    }

    /// Whether a value of this shape can be one of the other. In doubt, it can.
    pub(crate) fn fits(&self, into: &Self) -> bool {
        match (self, into) {
            (Self::Any, _) | (_, Self::Any) | (Self::Unit, Self::Option(_)) => true,
            (Self::Option(inner), _) => inner.fits(into),
            (_, Self::Option(inner)) => self.fits(inner),
            (Self::Integer, Self::Float) => true,
            (Self::Enum, Self::Text | Self::Struct(_) | Self::Map) => true,
            (Self::Text | Self::Struct(_) | Self::Map, Self::Enum) => true,
            (Self::Struct(_) | Self::Map, Self::Struct(_) | Self::Map) => true,
            _ => std::mem::discriminant(self) == std::mem::discriminant(into),
        }
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Any => "anything",
            Self::Unit => "nothing",
            Self::Bool => "true or false",
            Self::Integer => "an integer",
            Self::Float => "a number",
            Self::Text => "a text",
            Self::List => "a list",
            Self::Map => "a map",
            Self::Enum => "a variant",
            Self::Option(inner) => return inner.fmt(f),
            Self::Struct(_) => "a struct",
        })
    }
}

fn look<T: DeserializeOwned>(member: Option<&'static str>) -> Shape {
    let mut seen = Seen { shape: None, options: 0 };
    // It always fails: nothing is there to be deserialized.
    T::deserialize(Probe { seen: &mut seen, member, wrappers: 0 }).err();
    let shape = seen.shape.unwrap_or(Shape::Any);
    if seen.options > 0 { Shape::Option(Box::new(shape)) } else { shape }
}

struct Seen {
    shape: Option<Shape>,
    options: usize,
}

/// Notes what is asked for, either at the top or of one member.
struct Probe<'a> {
    seen: &'a mut Seen,
    member: Option<&'static str>,
    wrappers: usize,
}

impl Probe<'_> {
    fn note<T>(self, shape: Shape) -> Result<T, Stop> {
        if self.member.is_none() {
            self.seen.shape = Some(shape);
        }
        Err(Stop)
    }
}

/// The way out of a probed type.
#[derive(Debug, thiserror::Error)]
#[error("only looking")]
struct Stop;

impl serde::de::Error for Stop {
    fn custom<T: fmt::Display>(_: T) -> Self {
        Self
    }
}

macro_rules! note {
    ($($method:ident $shape:ident,)*) => {
        $(fn $method<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Stop> {
            self.note(Shape::$shape)
        })*
    };
}

impl<'de> Deserializer<'de> for Probe<'_> {
    type Error = Stop;

    note! {
        deserialize_any Any, deserialize_ignored_any Any, deserialize_bytes Any, deserialize_byte_buf Any,
        deserialize_unit Unit, deserialize_bool Bool,
        deserialize_i8 Integer, deserialize_i16 Integer, deserialize_i32 Integer, deserialize_i64 Integer,
        deserialize_i128 Integer, deserialize_u8 Integer, deserialize_u16 Integer, deserialize_u32 Integer,
        deserialize_u64 Integer, deserialize_u128 Integer, deserialize_f32 Float, deserialize_f64 Float,
        deserialize_char Text, deserialize_str Text, deserialize_string Text, deserialize_identifier Text,
        deserialize_seq List, deserialize_map Map,
    }

    fn deserialize_option<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, Stop> {
        if self.member.is_none() {
            self.seen.options += 1;
        }
        self.wrappers += 1;
        if self.wrappers > WRAPPERS_MAX { self.note(Shape::Any) } else { visitor.visit_some(self) }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        mut self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Stop> {
        self.wrappers += 1;
        if self.wrappers > WRAPPERS_MAX {
            self.note(Shape::Any)
        } else {
            visitor.visit_newtype_struct(self)
        }
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: V,
    ) -> Result<V::Value, Stop> {
        self.note(Shape::Unit)
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, _: usize, _: V) -> Result<V::Value, Stop> {
        self.note(Shape::List)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: usize,
        _: V,
    ) -> Result<V::Value, Stop> {
        self.note(Shape::List)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        _: V,
    ) -> Result<V::Value, Stop> {
        self.note(Shape::Enum)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Stop> {
        if let Some(member) = self.member {
            return visitor.visit_map(OnlyMember { seen: self.seen, member });
        }
        let member = |name: &&'static str| Member { name, shape: Shape::Any, optional: false };
        self.note(Shape::Struct(fields.iter().map(member).collect()))
    }
}

/// A map of one member, whose value is a probe.
struct OnlyMember<'a> {
    seen: &'a mut Seen,
    member: &'static str,
}

impl<'de> MapAccess<'de> for OnlyMember<'_> {
    type Error = Stop;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Stop> {
        seed.deserialize(StrDeserializer::new(self.member)).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Stop> {
        seed.deserialize(Probe { seen: self.seen, member: None, wrappers: 0 })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use serde::Deserialize;
    use uuid::Uuid;

    use super::*;

    #[test]
    fn shapes_are_seen_without_macros() {
        #[derive(Deserialize)]
        struct Wrapped(#[expect(dead_code, reason = "only its shape is looked at")] Option<Inner>);
        #[derive(Default, Deserialize)]
        #[serde(default)]
        struct Inner {
            number: f32,
            #[serde(rename = "type")]
            kind: Option<Kind>,
            id: Uuid,
            list: (u8, u8),
            rest: HashMap<String, char>,
        }
        #[derive(Deserialize)]
        enum Kind {
            One(#[expect(dead_code, reason = "only its shape is looked at")] u8),
        }
        #[derive(Deserialize)]
        struct Endless(
            #[expect(dead_code, reason = "only its shape is looked at")] Option<Box<Endless>>,
        );
        #[derive(Deserialize)]
        #[expect(dead_code, reason = "only its shape is looked at")]
        struct Mixed {
            told: String,
            not: Option<String>,
        }
        fn of<T: DeserializeOwned>() -> Shape {
            Shape::of::<T>()
        }
        let option = |inner| Shape::Option(Box::new(inner));
        let seen: Vec<_> = of::<Inner>()
            .members()
            .iter()
            .map(|member| (member.name, member.shape.clone(), member.optional))
            .collect();
        assert_eq!(
            seen,
            [
                ("number", Shape::Float, true),
                ("type", option(Shape::Enum), true),
                ("id", Shape::Text, true),
                ("list", Shape::List, true),
                ("rest", Shape::Map, true),
            ]
        );
        assert!(matches!(of::<Wrapped>(), Shape::Option(inner) if inner.members().len() == 5));
        let optional =
            |shape: Shape| shape.members().iter().map(|one| one.optional).collect::<Vec<_>>();
        assert_eq!(optional(of::<Mixed>()), [false, true]);
        for (shape, expected) in [
            (of::<()>(), Shape::Unit),
            (of::<bool>(), Shape::Bool),
            (of::<i128>(), Shape::Integer),
            (of::<Vec<u8>>(), Shape::List),
            (of::<serde_json::Value>(), Shape::Any),
            (of::<Option<String>>(), option(Shape::Text)),
            (of::<Endless>(), option(Shape::Any)),
        ] {
            assert_eq!(shape, expected);
        }
    }

    #[test]
    fn shapes_fit_or_do_not() {
        let option = |inner| Shape::Option(Box::new(inner));
        for (from, into, expected) in [
            (Shape::Text, Shape::Text, true),
            (Shape::Text, Shape::Integer, false),
            (Shape::Any, Shape::Integer, true),
            (Shape::Integer, Shape::Float, true),
            (Shape::Float, Shape::Integer, false),
            (Shape::Text, option(Shape::Text), true),
            (option(Shape::Text), Shape::Text, true),
            (option(Shape::Text), option(Shape::Bool), false),
            (Shape::Unit, option(Shape::Bool), true),
            (Shape::Unit, Shape::Bool, false),
            (Shape::Enum, Shape::Text, true),
            (Shape::Map, Shape::Struct(vec![]), true),
            (Shape::List, Shape::Map, false),
        ] {
            assert_eq!(from.fits(&into), expected, "{from:?} into {into:?}");
        }
    }
}
