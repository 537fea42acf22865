//! Lists: which rows, in which order, which of them. Each list is one fixed statement; a filter that is not given lets
//! everything through.
//!
//! A page is two statements whatever its size: one finds the ids and how many there are in all, one reads the rows.

use std::collections::HashMap;

use tutti_store::{Json, ToValue, Value};

use crate::repository::Labels;

/// A page of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page<T> {
    /// How many rows the list has in all.
    pub count: u64,
    /// Those of this page.
    pub rows: Vec<T>,
}

impl<T> Default for Page<T> {
    fn default() -> Self {
        Self { count: 0, rows: Vec::new() }
    }
}

/// Which part of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Rows at most.
    pub limit: u32,
    /// Rows passed over.
    pub offset: u32,
}

/// In which order; what is equal has the newest first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// Newest first.
    #[default]
    Newest,
    /// Oldest first.
    Oldest,
    /// By name.
    Name,
    /// By name, backwards.
    NameBackwards,
}

impl Order {
    fn as_str(self) -> &'static str {
        match self {
            Self::Newest => "",
            Self::Oldest => "oldest",
            Self::Name => "name",
            Self::NameBackwards => "-name",
        }
    }
}

/// Which of the things that have a name and labels.
#[derive(Clone, Debug, Default)]
pub struct Named {
    /// Of one of these content types.
    pub content_types: Vec<String>,
    /// With one of these ids.
    pub ids: Option<Vec<i64>>,
    /// With this name.
    pub name: Option<String>,
    /// With one of these names.
    pub name_in: Option<Vec<String>>,
    /// With this in its name.
    pub contains: Option<String>,
    /// With this in its name, in any case.
    pub icontains: Option<String>,
    /// With this name, in any case.
    pub iexact: Option<String>,
    /// With a name that begins so.
    pub startswith: Option<String>,
    /// With a name that begins so, in any case.
    pub istartswith: Option<String>,
    /// With these labels.
    pub labels: Labels,
    /// With labels of these names.
    pub labelled: Vec<String>,
    /// Without labels of these names.
    pub unlabelled: Vec<String>,
    /// In which order.
    pub order: Order,
}

/// `WHERE` of a [`Named`]: `$1` to `$12`. The window is `$13` and `$14`; a list's own filters begin at `$15`.
macro_rules! named {
    () => {
        "content_type IN (SELECT value FROM json_each($1)) \
         AND (CAST($2 AS TEXT) IS NULL OR id IN (SELECT CAST(value AS BIGINT) FROM json_each($2))) \
         AND (CAST($3 AS TEXT) IS NULL OR name = $3) \
         AND (CAST($4 AS TEXT) IS NULL OR name IN (SELECT value FROM json_each($4))) \
         AND (CAST($5 AS TEXT) IS NULL OR replace(name, $5, '') <> name) \
         AND (CAST($6 AS TEXT) IS NULL OR lower(name) LIKE $6 ESCAPE '!') \
         AND (CAST($7 AS TEXT) IS NULL OR lower(name) = $7) \
         AND (CAST($8 AS TEXT) IS NULL OR substr(name, 1, length($8)) = $8) \
         AND (CAST($9 AS TEXT) IS NULL OR substr(lower(name), 1, length($9)) = $9) \
         AND NOT EXISTS (SELECT 1 FROM json_each($10) AS wanted WHERE NOT EXISTS (SELECT 1 FROM json_each(labels) AS has \
         WHERE has.key = wanted.key AND has.value = wanted.value)) \
         AND NOT EXISTS (SELECT 1 FROM json_each($11) AS wanted WHERE wanted.value NOT IN (SELECT key FROM json_each(labels))) \
         AND NOT EXISTS (SELECT 1 FROM json_each($12) AS wanted WHERE wanted.value IN (SELECT key FROM json_each(labels)))"
    };
}
pub(crate) use named;

/// `ORDER BY`, `LIMIT` and `OFFSET` behind [`named`], with the parameter that has the order.
macro_rules! windowed {
    ($order:literal) => {
        concat!(
            " ORDER BY CASE WHEN $",
            $order,
            " = 'name' THEN name END, CASE WHEN $",
            $order,
            " = '-name' THEN name END DESC, \
             CASE WHEN $",
            $order,
            " = 'oldest' THEN id END, id DESC LIMIT $13 OFFSET $14"
        )
    };
}
pub(crate) use windowed;

impl Named {
    /// The parameters, with those of a list's own filters and the order behind them.
    pub(crate) fn values(&self, window: Window, own: Vec<Value>) -> Vec<Value> {
        let lower = |text: &Option<String>| text.as_deref().map(str::to_lowercase);
        let mut values = vec![
            Json(&self.content_types).to_value(),
            self.ids.as_ref().map(Json).to_value(),
            self.name.to_value(),
            self.name_in.as_ref().map(Json).to_value(),
            self.contains.as_ref().filter(|text| !text.is_empty()).to_value(),
            self.icontains.as_deref().map(containing).to_value(),
            lower(&self.iexact).to_value(),
            self.startswith.to_value(),
            lower(&self.istartswith).to_value(),
            Json(&self.labels).to_value(),
            Json(&self.labelled).to_value(),
            Json(&self.unlabelled).to_value(),
            window.limit.to_value(),
            window.offset.to_value(),
        ];
        values.extend(own);
        values.push(self.order.as_str().to_value());
        values
    }
}

/// What a text in lower case is `LIKE` that has this in it, with `!` before letters that mean something.
pub(crate) fn containing(text: &str) -> String {
    let mut pattern = String::from("%");
    for letter in text.to_lowercase().chars() {
        if matches!(letter, '%' | '_' | '!') {
            pattern.push('!');
        }
        pattern.push(letter);
    }
    pattern.push('%');
    pattern
}

/// Rows in the order of the ids they were found by.
pub(crate) fn in_order<T>(found: &[(i64, u64)], rows: Vec<T>, id: impl Fn(&T) -> i64) -> Page<T> {
    let mut by_id: HashMap<i64, T> = rows.into_iter().map(|row| (id(&row), row)).collect();
    let count = found.first().map_or(0, |(_, count)| *count);
    Page { count, rows: found.iter().filter_map(|(id, _)| by_id.remove(id)).collect() }
}

/// The ids of a page, as the parameter of the statement that reads the rows.
pub(crate) fn ids(found: &[(i64, u64)]) -> Json<Vec<i64>> {
    Json(found.iter().map(|(id, _)| *id).collect())
}

/// A list's page: `find` answers ids with the count of the whole list, `read` their rows. The count of a list whose
/// page begins behind its end is found by its first row.
pub(crate) fn page<T>(
    tx: &mut tutti_store::Tx<'_>,
    window: Window,
    find: &'static str,
    read: &'static str,
    values: impl Fn(Window) -> Vec<Value>,
    id: impl Fn(&T) -> i64,
) -> Result<Page<T>, crate::Error>
where
    T: tutti_store::FromRow,
{
    let found: Vec<(i64, u64)> = tx.all(find, values(window))?;
    if found.is_empty() && window.offset > 0 {
        let first: Vec<(i64, u64)> = tx.all(find, values(Window { limit: 1, offset: 0 }))?;
        let count = first.first().map_or(0, |(_, count)| *count);
        return Ok(Page { count, rows: Vec::new() });
    }
    let rows = tx.all(read, (ids(&found),))?;
    Ok(in_order(&found, rows, id))
}
