//! Patterns in which `*` is any text and `?` any character.

/// Whether a text is like a pattern. It takes the product of both lengths at most, whatever the pattern.
pub(crate) fn is_like(pattern: &str, text: &str) -> bool {
    let (pattern, text): (Vec<char>, Vec<char>) =
        (pattern.chars().collect(), text.chars().collect());
    let (mut at, mut star, mut from) = (0, None, 0);
    let mut i = 0;
    while i < text.len() {
        match pattern.get(at) {
            Some('*') => {
                star = Some(at);
                from = i;
                at += 1;
            }
            Some(wanted) if *wanted == '?' || *wanted == text[i] => {
                at += 1;
                i += 1;
            }
            // What did not fit belongs to the last star: those before it need not take more than they have.
            _ => match star {
                Some(star) => {
                    at = star + 1;
                    from += 1;
                    i = from;
                }
                None => return false,
            },
        }
    }
    pattern[at..].iter().all(|rest| *rest == '*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_are_for_what_they_are_like() {
        for (pattern, text, is) in [
            ("*", "", true),
            ("*", "my.auth", true),
            ("my.*", "my.auth", true),
            ("my.*", "your.auth", false),
            ("*auth", "my.auth", true),
            ("*.a?th*", "my.auth2", true),
            ("a*b*c", "a1b2b3c", true),
            ("a*b*c", "a1b2b3", false),
            ("a*c", "abc", true),
            ("a*d", "abc", false),
            ("auth", "auth2", false),
            ("é?", "éa", true),
        ] {
            assert_eq!(is_like(pattern, text), is, "{pattern} {text}");
        }
    }
}
