//! How a model is named on the command line: `[controller:][user/]model`, or a UUID.

use crate::failure::{Failure, Outcome};

/// A model as somebody named it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ModelName {
    /// The controller, if named.
    pub(crate) controller: Option<String>,
    /// The owner, if named.
    pub(crate) owner: Option<String>,
    /// Short name or UUID.
    pub(crate) model: String,
}

impl ModelName {
    /// Reads one of the forms. `controller:` alone is accepted too, with an empty model, for
    /// `switch`.
    pub(crate) fn parse(text: &str) -> Outcome<Self> {
        let (controller, rest) = match text.split_once(':') {
            Some((controller, rest)) => (Some(controller), rest),
            None => (None, text),
        };
        let (owner, model) = match rest.split_once('/') {
            Some((owner, model)) => (Some(owner), model),
            None => (None, rest),
        };
        let empty = |part: Option<&str>| part == Some("");
        let lone = model.is_empty() && (controller.is_none() || owner.is_some());
        if empty(controller) || empty(owner) || lone || model.contains(['/', ':']) {
            return Err(Failure::new(format!(
                "{text:?} is not a valid model name: \
                 write [controller:][user/]model, or the model's UUID"
            )));
        }
        Ok(Self {
            controller: controller.map(Into::into),
            owner: owner.map(Into::into),
            model: model.into(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_every_form() {
        let uuid = "0190a1b2-0000-7000-8000-000000000001";
        for (text, controller, owner, model) in [
            ("demo", None, None, "demo"),
            ("admin/demo", None, Some("admin"), "demo"),
            ("local:demo", Some("local"), None, "demo"),
            ("local:admin/demo", Some("local"), Some("admin"), "demo"),
            ("local:", Some("local"), None, ""),
            (uuid, None, None, uuid),
        ] {
            let name = ModelName::parse(text).unwrap();
            assert_eq!(name.controller.as_deref(), controller, "{text}");
            assert_eq!(name.owner.as_deref(), owner, "{text}");
            assert_eq!(name.model, model, "{text}");
        }
        for text in ["", ":", "/", ":demo", "/demo", "admin/", "a/b/c", "a:b:c", "a:b/"] {
            assert!(ModelName::parse(text).is_err(), "{text}");
        }
    }
}
