//! Values in PostgreSQL's binary form.

use std::error::Error as StdError;

use tokio_postgres::types::{
    FromSql, IsNull, Kind, ToSql, Type, accepts, private::BytesMut, to_sql_checked,
};

use crate::Value;

type Refusal = Box<dyn StdError + Sync + Send>;

/// What is bound to one `$n`.
#[derive(Debug)]
pub(crate) enum Parameter<'a> {
    One(&'a Value),
    Many(&'a [Value]),
}

/// Turns rows into one list for each column.
pub(crate) fn columns_of(rows: Vec<Vec<Value>>, width: usize) -> Vec<Vec<Value>> {
    let mut columns: Vec<Vec<Value>> = (0..width).map(|_| Vec::with_capacity(rows.len())).collect();
    for row in rows {
        for (column, value) in columns.iter_mut().zip(row) {
            column.push(value);
        }
    }
    columns
}

impl ToSql for Parameter<'_> {
    fn to_sql(&self, kind: &Type, out: &mut BytesMut) -> Result<IsNull, Refusal> {
        match self {
            Self::One(value) => value.to_sql(kind, out),
            Self::Many(values) => values.to_sql(kind, out),
        }
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    to_sql_checked!();
}

impl ToSql for Value {
    fn to_sql(&self, kind: &Type, out: &mut BytesMut) -> Result<IsNull, Refusal> {
        if let Kind::Domain(inner) = kind.kind() {
            return self.to_sql(inner, out);
        }
        match (self, kind) {
            (Self::Null, _) => Ok(IsNull::Yes),
            (Self::Integer(n), &Type::INT8) => n.to_sql(kind, out),
            // Only literals make the server expect less than 64 bits, as in `$1 > 5`.
            (Self::Integer(n), &Type::INT4) => i32::try_from(*n)?.to_sql(kind, out),
            (Self::Integer(n), &Type::INT2) => i16::try_from(*n)?.to_sql(kind, out),
            (Self::Integer(n), &Type::FLOAT8) => as_real(*n).to_sql(kind, out),
            (Self::Real(n), &Type::FLOAT8) => n.to_sql(kind, out),
            (Self::Bool(flag), &Type::BOOL) => flag.to_sql(kind, out),
            (Self::Blob(bytes), &Type::BYTEA) => bytes.to_sql(kind, out),
            (Self::Text(text), kind) if <&str as ToSql>::accepts(kind) => text.to_sql(kind, out),
            _ => Err(format!("{} given where {kind} is wanted", self.describe()).into()),
        }
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    to_sql_checked!();
}

#[expect(clippy::cast_precision_loss, reason = "as SQLite does for a column of real affinity")]
fn as_real(n: i64) -> f64 {
    n as f64
}

impl<'a> FromSql<'a> for Value {
    fn from_sql(kind: &Type, raw: &'a [u8]) -> Result<Self, Refusal> {
        Ok(match *kind {
            Type::INT8 => Self::Integer(i64::from_sql(kind, raw)?),
            Type::INT4 => Self::Integer(i32::from_sql(kind, raw)?.into()),
            Type::INT2 => Self::Integer(i16::from_sql(kind, raw)?.into()),
            Type::FLOAT8 => Self::Real(f64::from_sql(kind, raw)?),
            Type::FLOAT4 => Self::Real(f32::from_sql(kind, raw)?.into()),
            Type::BOOL => Self::Bool(bool::from_sql(kind, raw)?),
            Type::BYTEA => Self::Blob(raw.to_vec()),
            _ => Self::Text(String::from_sql(kind, raw)?),
        })
    }

    fn from_sql_null(_: &Type) -> Result<Self, Refusal> {
        Ok(Self::Null)
    }

    accepts!(INT8, INT4, INT2, FLOAT8, FLOAT4, BOOL, BYTEA, TEXT, VARCHAR, BPCHAR, NAME, UNKNOWN);
}
