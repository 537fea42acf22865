//! Inline commands: a line of words, as a person types it.

/// Splits a line at spaces. Words may be quoted: `"a\n\x41"` with escapes, `'a b'` with `\'` only. Answers `None` if a quote is
/// not closed, or closed in the middle of a word. Source: Redis, `sdssplitargs`.
pub(super) fn split(line: &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut words = Vec::new();
    let mut rest = line;
    loop {
        while let [first, tail @ ..] = rest
            && first.is_ascii_whitespace()
        {
            rest = tail;
        }
        if rest.is_empty() {
            return Some(words);
        }
        let (word, tail) = word(rest)?;
        words.push(word);
        rest = tail;
    }
}

/// The first word and what follows it.
fn word(mut rest: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let mut word = Vec::new();
    loop {
        match rest {
            [] => return Some((word, rest)),
            [space, ..] if space.is_ascii_whitespace() => return Some((word, rest)),
            [quote @ (b'"' | b'\''), tail @ ..] => {
                rest = quoted(*quote, tail, &mut word)?;
                // A closing quote ends the word.
                return match rest {
                    [] => Some((word, rest)),
                    [next, ..] if next.is_ascii_whitespace() => Some((word, rest)),
                    _ => None,
                };
            }
            [byte, tail @ ..] => {
                word.push(*byte);
                rest = tail;
            }
        }
    }
}

fn quoted<'a>(quote: u8, mut rest: &'a [u8], word: &mut Vec<u8>) -> Option<&'a [u8]> {
    loop {
        let (byte, tail) = match rest {
            [end, tail @ ..] if *end == quote => return Some(tail),
            [b'\\', b'\'', tail @ ..] if quote == b'\'' => (b'\'', tail),
            [b'\\', b'x', high, low, tail @ ..]
                if quote == b'"' && high.is_ascii_hexdigit() && low.is_ascii_hexdigit() =>
            {
                (digit(*high) * 16 + digit(*low), tail)
            }
            [b'\\', escaped, tail @ ..] if quote == b'"' => (unescaped(*escaped), tail),
            [byte, tail @ ..] => (*byte, tail),
            [] => return None,
        };
        word.push(byte);
        rest = tail;
    }
}

fn digit(hexadecimal: u8) -> u8 {
    (hexadecimal as char).to_digit(16).map_or(0, |digit| digit as u8)
}

fn unescaped(byte: u8) -> u8 {
    match byte {
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'b' => 8,
        b'a' => 7,
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::split;

    #[test]
    fn words_are_split_as_redis_splits_them() {
        let cases: [(&str, Option<&[&[u8]]>); 8] = [
            ("", Some(&[])),
            ("  GET  a ", Some(&[b"GET", b"a"])),
            (r#"SET a "b c\n\x41\q""#, Some(&[b"SET", b"a", b"b c\nAq"])),
            (r"'it\'s' '\n'", Some(&[b"it's", b"\\n"])),
            (r#"a"b" c"#, Some(&[b"ab", b"c"])),
            (r#""a"b"#, None),
            (r#""a"#, None),
            (r"'a", None),
        ];
        for (line, expected) in cases {
            let words = split(line.as_bytes());
            let words = words.as_ref().map(|words| words.iter().map(Vec::as_slice).collect());
            assert_eq!(words, expected.map(<[_]>::to_vec), "{line}");
        }
    }
}
