//! Statements are `&'static str` in `$1` form; their address is the key of every cache.

/// Identifies a statement without hashing its text.
pub(crate) type Key = (usize, usize);

pub(crate) fn key(sql: &'static str) -> Key {
    (sql.as_ptr().addr(), sql.len())
}

/// Rewrites `$n` to `?n`. To SQLite `$1` is a *name* and gets its position by order of appearance, so `$2, $1` would be
/// bound the wrong way round, silently. Text, quoted names and comments are left alone.
pub(crate) fn for_sqlite(sql: &str) -> String {
    let mut out = String::with_capacity(sql.len());
    let mut rest = sql;
    while let Some(at) = rest.find(['\'', '"', '$', '-', '/']) {
        let (before, from) = rest.split_at(at);
        out.push_str(before);
        if let Some(number) = from.strip_prefix('$') {
            out.push('?');
            rest = number;
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
    use super::for_sqlite;

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
}
