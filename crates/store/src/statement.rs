//! Statements are `&'static str` in `$1` form; their address is the key of every cache.

/// Identifies a statement without hashing its text.
pub(crate) type Key = (usize, usize);

/// Stands where a statement for many rows takes them from; see [`Tx::exec_many`](crate::Tx::exec_many).
const ROWS: &str = "{rows}";

pub(crate) fn key(sql: &'static str) -> Key {
    (sql.as_ptr().addr(), sql.len())
}

/// Rewrites `$n` to `?n`. To SQLite `$1` is a *name* and gets its position by order of appearance, so `$2, $1` would be
/// bound the wrong way round, silently. `{rows}` vanishes.
pub(crate) fn for_sqlite(sql: &str) -> String {
    rewrite(sql, "", |number, out| {
        out.push('?');
        out.push_str(number);
    })
}

/// The statement for one row, as PostgreSQL takes it.
pub(crate) fn for_postgres(sql: &str) -> String {
    rewrite(sql, "", |number, out| {
        out.push('$');
        out.push_str(number);
    })
}

/// The statement for many rows, given the type of each parameter: the parameters become lists, and `$n` a column of the
/// rows made of them. That table and its columns have names that are no word, so they are never taken for others.
pub(crate) fn for_postgres_rows<'a>(sql: &str, types: impl Iterator<Item = &'a str>) -> String {
    let (lists, names): (Vec<_>, Vec<_>) =
        (1..).zip(types).map(|(n, kind)| (format!("${n}::{kind}[]"), format!("\"${n}\""))).unzip();
    let (lists, names) = (lists.join(", "), names.join(", "));
    let rows = format!("{} UNNEST({lists}) AS \"$\" ({names})", keyword(sql));
    rewrite(sql, &rows, |number, out| {
        out.push_str("\"$\".\"$");
        out.push_str(number);
        out.push('"');
    })
}

/// Why a statement cannot be run for many rows, if so.
pub(crate) fn unfit_for_rows(sql: &str) -> Option<&'static str> {
    if !["UPDATE", "DELETE", "INSERT", "SELECT"].contains(&first_word(sql)) {
        return Some("only UPDATE, DELETE, INSERT and SELECT run for many rows");
    }
    match sql.matches(ROWS).count() {
        0 => Some("a statement for many rows has {rows} where it takes them from"),
        1 => None,
        _ => Some("{rows} stands in a statement once"),
    }
}

pub(crate) fn has_rows(sql: &str) -> bool {
    sql.contains(ROWS)
}

fn first_word(sql: &str) -> &str {
    sql.split_whitespace().next().unwrap_or_default()
}

/// What joins the rows to the statement.
fn keyword(sql: &str) -> &'static str {
    let (before, _) = sql.split_once(ROWS).unwrap_or((sql, ""));
    match first_word(sql) {
        "DELETE" => "USING",
        _ if takes_from(before) => "CROSS JOIN",
        _ => "FROM",
    }
}

/// Whether there is a `FROM` outside of parentheses.
fn takes_from(sql: &str) -> bool {
    let mut depth = 0_u32;
    sql.split_inclusive(['(', ')', ' ', '\n']).any(|part| {
        let word = part.trim_end_matches(['(', ')', ' ', '\n']);
        let found = depth == 0 && word == "FROM";
        match part.chars().last() {
            Some('(') => depth += 1,
            Some(')') => depth = depth.saturating_sub(1),
            _ => {}
        }
        found
    })
}

/// Puts `rows` for `{rows}` and what `parameter` writes for `$n`. Text, quoted names and comments are left alone.
fn rewrite(sql: &str, rows: &str, parameter: impl Fn(&str, &mut String)) -> String {
    let mut out = String::with_capacity(sql.len() + rows.len());
    let mut rest = sql;
    while let Some(at) = rest.find(['\'', '"', '$', '-', '/', '{']) {
        let (before, from) = rest.split_at(at);
        out.push_str(before);
        if let Some(after) = from.strip_prefix('$') {
            let digits = after.bytes().take_while(u8::is_ascii_digit).count();
            parameter(&after[..digits], &mut out);
            rest = &after[digits..];
            continue;
        }
        if let Some(after) = from.strip_prefix(ROWS) {
            out.push_str(rows);
            rest = after;
            continue;
        }
        let taken = if from.starts_with("--") {
            from.find('\n').unwrap_or(from.len())
        } else if from.starts_with("/*") {
            from.find("*/").map_or(from.len(), |end| end + 2)
        } else if from.starts_with(['\'', '"']) {
            // A doubled quote ends one literal and starts the next: both are skipped.
            from[1..].find(&from[..1]).map_or(from.len(), |end| end + 2)
        } else {
            1
        };
        out.push_str(&from[..taken]);
        rest = &from[taken..];
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::{for_postgres, for_postgres_rows, for_sqlite, unfit_for_rows};

    #[test]
    fn only_parameters_are_rewritten() {
        for (portable, sqlite) in [
            ("SELECT $2, $1", "SELECT ?2, ?1"),
            ("SELECT '$1', $1", "SELECT '$1', ?1"),
            ("SELECT 'it''s $1', $12", "SELECT 'it''s $1', ?12"),
            ("SELECT \"$1\" -- $1 isn't\n, $1", "SELECT \"$1\" -- $1 isn't\n, ?1"),
            ("SELECT 1 - $1 /* $2 ' */ / $2", "SELECT 1 - ?1 /* $2 ' */ / ?2"),
            ("SELECT 'open $1", "SELECT 'open $1"),
            ("", ""),
        ] {
            assert_eq!(for_sqlite(portable), sqlite);
        }
    }

    #[test]
    fn one_text_for_one_row_and_for_many() {
        for (portable, sqlite, many) in [
            (
                "UPDATE t SET a = $2 {rows} WHERE b = $1 RETURNING b",
                "UPDATE t SET a = ?2  WHERE b = ?1 RETURNING b",
                "UPDATE t SET a = \"$\".\"$2\" FROM UNNEST($1::int8[], $2::text[]) AS \"$\" (\"$1\", \"$2\") \
                 WHERE b = \"$\".\"$1\" RETURNING b",
            ),
            (
                "DELETE FROM t {rows} WHERE a = $2 AND b = $1 AND c = '{ $1'",
                "DELETE FROM t  WHERE a = ?2 AND b = ?1 AND c = '{ $1'",
                "DELETE FROM t USING UNNEST($1::int8[], $2::text[]) AS \"$\" (\"$1\", \"$2\") \
                 WHERE a = \"$\".\"$2\" AND b = \"$\".\"$1\" AND c = '{ $1'",
            ),
            (
                "UPDATE t SET a = (SELECT 1 FROM u) {rows} WHERE b = $1 AND c = $2",
                "UPDATE t SET a = (SELECT 1 FROM u)  WHERE b = ?1 AND c = ?2",
                "UPDATE t SET a = (SELECT 1 FROM u) FROM UNNEST($1::int8[], $2::text[]) AS \"$\" (\"$1\", \"$2\") \
                 WHERE b = \"$\".\"$1\" AND c = \"$\".\"$2\"",
            ),
            (
                "SELECT a FROM t {rows} WHERE b = $1",
                "SELECT a FROM t  WHERE b = ?1",
                "SELECT a FROM t CROSS JOIN UNNEST($1::int8[], $2::text[]) AS \"$\" (\"$1\", \"$2\") \
                 WHERE b = \"$\".\"$1\"",
            ),
        ] {
            assert_eq!(for_sqlite(portable), sqlite);
            assert_eq!(for_postgres(portable), portable.replacen("{rows}", "", 1));
            assert_eq!(for_postgres_rows(portable, ["int8", "text"].into_iter()), many);
        }
    }

    #[test]
    fn rows_have_one_place() {
        assert!(unfit_for_rows("UPDATE t SET a = $1 {rows} WHERE b = $2").is_none());
        assert!(unfit_for_rows("\n  DELETE FROM t\n  {rows} WHERE b = $2").is_none());
        for sql in [
            "UPDATE t SET a = $1",
            "DELETE FROM t {rows} {rows}",
            "WITH a AS (SELECT 1) {rows}",
            "",
        ] {
            assert!(unfit_for_rows(sql).is_some(), "{sql}");
        }
    }
}
