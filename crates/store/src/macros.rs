//! Two small `macro_rules!` instead of a derive crate: [`row!`](crate::row) and [`sql!`](crate::sql).

/// Declares structs that are read from a row, field by field in column order.
///
/// ```
/// tutti_store::row! {
///     /// A task as listed.
///     #[derive(Debug, PartialEq)]
///     pub struct Task { pub flow: String, pub number: i64, pub done: bool }
/// }
/// ```
#[macro_export]
macro_rules! row {
    ($(
        $(#[$meta:meta])*
        $vis:vis struct $name:ident {
            $($(#[$field_meta:meta])* $field_vis:vis $field:ident : $type:ty),* $(,)?
        }
    )+) => {$(
        $(#[$meta])*
        $vis struct $name {
            $($(#[$field_meta])* $field_vis $field: $type),*
        }

        impl $crate::FromRow for $name {
            fn from_row(row: &$crate::Row<'_>) -> ::std::result::Result<Self, $crate::Error> {
                let mut columns = 0..;
                Ok(Self {
                    $($field: row.get(columns.next().unwrap_or_default())?),*
                })
            }
        }
    )+};
}

/// Declares statements as constants and lists them all in `STATEMENTS`, so that one test can prepare each on both
/// engines (see [`Store::prepare_all`](crate::Store::prepare_all)).
///
/// ```
/// tutti_store::sql! {
///     /// The oldest waiting job.
///     pub NEXT = "SELECT id FROM job WHERE state = 'waiting' ORDER BY id LIMIT 1";
///     pub DONE = "UPDATE job SET state = 'done' WHERE id = $1";
/// }
/// assert_eq!(STATEMENTS[1], ("DONE", DONE));
/// ```
#[macro_export]
macro_rules! sql {
    ($($(#[$meta:meta])* $vis:vis $name:ident = $sql:expr;)*) => {
        $($(#[$meta])* $vis const $name: &str = $sql;)*

        /// Every statement of this module by name.
        pub(crate) const STATEMENTS: &[(&str, &str)] = &[$((stringify!($name), $name)),*];

        // Counts as a use, where no test of the statements is compiled.
        const _: usize = STATEMENTS.len();
    };
}
