//! The links of a page, without the rest of HTML: pages of an index are lists of them.

/// A link.
#[derive(Clone, Debug, Default)]
pub(super) struct Link {
    /// What is between its tags.
    pub(super) text: String,
    attributes: Vec<(String, String)>,
}

impl Link {
    pub(super) fn attribute(&self, name: &str) -> Option<&str> {
        let found = self.attributes.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }
}

/// All links, in order.
pub(super) fn links(page: &str) -> Vec<Link> {
    let mut links = Vec::new();
    let mut rest = page;
    while let Some((_, after)) = rest.split_once('<') {
        rest = after;
        if let Some(comment) = rest.strip_prefix("!--") {
            rest = comment.split_once("-->").map_or("", |(_, after)| after);
            continue;
        }
        let is_link = rest.starts_with(['a', 'A'])
            && rest
                .get(1..)
                .is_some_and(|next| next.starts_with(|c: char| c.is_ascii_whitespace()));
        if !is_link {
            continue;
        }
        let (attributes, after) = attributes(rest.get(1..).unwrap_or_default());
        let (text, after) = after.split_once('<').unwrap_or((after, ""));
        links.push(Link { text: unescaped(text.trim()), attributes });
        // The sign that ends the text may begin the next tag.
        rest = rest.get(rest.len() - after.len() - usize::from(!after.is_empty())..).unwrap_or("");
    }
    links
}

/// What stands in a tag, and what comes after it.
fn attributes(tag: &str) -> (Vec<(String, String)>, &str) {
    let mut attributes = Vec::new();
    let mut rest = tag;
    loop {
        rest = rest.trim_start_matches(|c: char| c.is_ascii_whitespace() || c == '/');
        if rest.is_empty() {
            return (attributes, rest);
        }
        if let Some(after) = rest.strip_prefix('>') {
            return (attributes, after);
        }
        let is_end = |c: char| c.is_ascii_whitespace() || matches!(c, '=' | '>' | '/');
        // A sign that begins no name is part of one, so that the loop goes on.
        let first = rest.chars().next().map_or(0, char::len_utf8);
        let end = rest
            .get(first..)
            .and_then(|more| more.find(is_end))
            .map_or(rest.len(), |at| at + first);
        let (name, after) = rest.split_at(end);
        let after_space = after.trim_start();
        let (value, after) = match after_space.strip_prefix('=') {
            Some(value) => value_of(value.trim_start()),
            None => ("", after),
        };
        attributes.push((name.to_ascii_lowercase(), unescaped(value)));
        rest = after;
    }
}

fn value_of(text: &str) -> (&str, &str) {
    for quote in ['"', '\''] {
        if let Some(inner) = text.strip_prefix(quote) {
            return inner.split_once(quote).unwrap_or((inner, ""));
        }
    }
    let end = text.find(|c: char| c.is_ascii_whitespace() || c == '>').unwrap_or(text.len());
    text.split_at(end)
}

fn unescaped(text: &str) -> String {
    let mut unescaped = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('&') {
        unescaped.push_str(before);
        let entity = after.split_once(';').filter(|(name, _)| name.len() <= 8);
        match entity.and_then(|(name, after)| Some((letter(name)?, after))) {
            Some((letter, after)) => {
                unescaped.push(letter);
                rest = after;
            }
            None => {
                unescaped.push('&');
                rest = after;
            }
        }
    }
    unescaped + rest
}

fn letter(entity: &str) -> Option<char> {
    match entity {
        "amp" => Some('&'),
        "lt" => Some('<'),
        "gt" => Some('>'),
        "quot" => Some('"'),
        "apos" => Some('\''),
        "nbsp" => Some(' '),
        _ => {
            let number = entity.strip_prefix('#')?;
            let number = match number.strip_prefix(['x', 'X']) {
                Some(digits) => u32::from_str_radix(digits, 16).ok()?,
                None => number.parse().ok()?,
            };
            char::from_u32(number)
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn links_are_found() {
        let found = links(
            "<!-- <a href=x>x</a> --><p><abbr>no</abbr><a\n href = 'a&amp;b' x>1 &lt; 2</a><a  HREF=\"#\"/>t<br>\
             <a href=u><a href=v>w",
        );
        let found: Vec<_> =
            found.iter().map(|link| (link.attribute("href"), link.text.as_str())).collect();
        let expected =
            [(Some("a&b"), "1 < 2"), (Some("#"), "t"), (Some("u"), ""), (Some("v"), "w")];
        assert_eq!(found, expected);
    }

    proptest! {
        #[test]
        fn whatever_it_is_it_ends(page in "([<>a &;#='\"/xä!-]|&#x?[0-9]{1,3};|<a ){0,60}") {
            links(&page);
        }
    }
}
