//! Parameters in, rows out.

use crate::{Error, FromValue, Result, ToValue, Value};

/// The parameters of a statement: a tuple of up to 16 [`ToValue`]s, `()`, or a `Vec<Value>`.
pub trait Params {
    /// The values, the first for `$1`.
    fn into_values(self) -> Vec<Value>;
}

impl Params for Vec<Value> {
    fn into_values(self) -> Vec<Value> {
        self
    }
}

impl Params for () {
    fn into_values(self) -> Vec<Value> {
        Vec::new()
    }
}

/// One row of an answer; its columns are read by position.
#[derive(Clone, Copy)]
pub struct Row<'a>(pub(crate) RowSource<'a>);

#[derive(Clone, Copy)]
pub(crate) enum RowSource<'a> {
    Sqlite(&'a rusqlite::Row<'a>),
    Postgres(&'a tokio_postgres::Row),
}

impl Row<'_> {
    /// The column at `index`, from 0.
    ///
    /// # Errors
    /// [`Error::Column`] if there is no such column or it holds something else.
    pub fn get<T: FromValue>(&self, index: usize) -> Result<T> {
        let value = match self.0 {
            RowSource::Sqlite(row) => crate::sqlite::column(row, index),
            RowSource::Postgres(row) => row.try_get(index).ok(),
        };
        let value = value.ok_or_else(|| Error::Column {
            index,
            expected: std::any::type_name::<T>(),
            found: "absent or of an unknown type".into(),
        })?;
        T::from_value(value).map_err(|error| error.at_column(index))
    }
}

impl std::fmt::Debug for Row<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Row")
    }
}

/// A type read from a whole row: a single value, a tuple of up to 16, or a struct declared by [`row!`](crate::row).
pub trait FromRow: Sized {
    /// # Errors
    /// [`Error::Column`] if a column holds something else.
    fn from_row(row: &Row<'_>) -> Result<Self>;
}

impl<T: FromValue> FromRow for T {
    fn from_row(row: &Row<'_>) -> Result<Self> {
        row.get(0)
    }
}

macro_rules! tuples {
    ($($type:ident $index:tt),+) => {
        impl<$($type: ToValue),+> Params for ($($type,)+) {
            fn into_values(self) -> Vec<Value> {
                vec![$(self.$index.to_value()),+]
            }
        }

        impl<$($type: FromValue),+> FromRow for ($($type,)+) {
            fn from_row(row: &Row<'_>) -> Result<Self> {
                Ok(($(row.get::<$type>($index)?,)+))
            }
        }
    };
}

tuples!(A 0);
tuples!(A 0, B 1);
tuples!(A 0, B 1, C 2);
tuples!(A 0, B 1, C 2, D 3);
tuples!(A 0, B 1, C 2, D 3, E 4);
tuples!(A 0, B 1, C 2, D 3, E 4, F 5);
tuples!(A 0, B 1, C 2, D 3, E 4, F 5, G 6);
tuples!(A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7);
tuples!(A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8);
tuples!(A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8, J 9);
tuples!(A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8, J 9, K 10);
tuples!(A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8, J 9, K 10, L 11);
tuples!(A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8, J 9, K 10, L 11, M 12);
tuples!(A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8, J 9, K 10, L 11, M 12, N 13);
tuples!(A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8, J 9, K 10, L 11, M 12, N 13, O 14);
tuples!(A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7, I 8, J 9, K 10, L 11, M 12, N 13, O 14, P 15);
