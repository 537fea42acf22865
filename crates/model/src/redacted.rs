//! Secret values for `Debug`: what is logged by accident must not tell them.

use std::collections::BTreeMap;
use std::fmt;

/// Shows which keys there are, and no value.
pub(crate) struct Keys<'c>(pub(crate) &'c BTreeMap<String, String>);

impl fmt::Debug for Keys<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_set().entries(self.0.keys()).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::fmt::Debug;

    use crate::agent::{ContextSecret, SecretCreate, SecretUpdate};
    use crate::api::{SecretAdd, SecretChange, SecretContent};

    #[test]
    fn debug_never_shows_a_secret_value() {
        let content = BTreeMap::from([("user".to_owned(), "hunter2".to_owned())]);
        let new = SecretCreate { content: content.clone(), ..SecretCreate::default() };
        let update = SecretUpdate { content: Some(content.clone()), ..SecretUpdate::default() };
        let revisions = BTreeMap::from([(1, content.clone())]);
        let known = ContextSecret { revisions, ..ContextSecret::default() };
        let add = SecretAdd { content: content.clone(), ..SecretAdd::default() };
        let change = SecretChange { content: Some(content.clone()), ..SecretChange::default() };
        let shown: [&dyn Debug; 6] =
            [&new, &update, &known, &add, &change, &SecretContent { data: content }];
        for one in shown {
            let text = format!("{one:?}");
            assert!(text.contains("user") && !text.contains("hunter2"), "{text}");
        }
    }
}
