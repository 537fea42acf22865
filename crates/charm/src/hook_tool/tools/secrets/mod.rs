//! Secrets.

mod content;
mod expiry;

use super::super::parse::CommandLine;
use super::super::{Call, Format, SecretDraft, SecretReading, ToolError};
use super::{Answer, Flag, RELATION, Tool, switch, text};

const ROTATIONS: [&str; 7] =
    ["never", "hourly", "daily", "weekly", "monthly", "quarterly", "yearly"];

const LABEL: Flag = text(&["label"], "", "A label used to identify the secret in hooks");
const UNIT: Flag = text(&["unit"], "", "Only this unit of the related application");

const DRAFT: &[Flag] = &[
    LABEL,
    text(&["description"], "", "The secret description"),
    text(&["expire"], "", "Either a duration or time when the secret should expire"),
    text(&["rotate"], "", "The secret rotation policy"),
    text(&["owner"], "application", "The owner of the secret, either the application or unit"),
    text(&["file"], "", "A YAML file containing secret key values"),
];

const CONTENT: &str = "Each value is given as key=value, as key#base64=value, or as key#file=path. A key \
                       has at least three lower-case letters, digits or single hyphens.";

pub(super) const TABLE: &[Tool] = &[
    Tool {
        name: "secret-add",
        arguments: "[key[#base64|#file]=value...]",
        purpose: "Add a new secret.",
        details: CONTENT,
        flags: DRAFT,
        answer: Answer::Nothing,
        build: secret_add,
    },
    set("secret-set"),
    set("secret-update"),
    Tool {
        name: "secret-get",
        arguments: "<ID> [key[#base64]]",
        purpose: "Get the content of a secret.",
        details: "The first read makes this unit track the latest revision; later reads answer the tracked \
                  one unless --peek or --refresh is given. With an ID, --label also sets a label by which \
                  the secret can be read later.",
        flags: &[
            LABEL,
            switch(&["peek"], "Get the latest revision just this time"),
            switch(
                &["refresh"],
                "Get the latest revision and also get this same revision for subsequent calls",
            ),
        ],
        answer: Answer::Yaml,
        build: secret_get,
    },
    Tool {
        name: "secret-info-get",
        arguments: "<ID>",
        purpose: "Get a secret's metadata info.",
        details: "Only for secrets that this unit or its application owns.",
        flags: &[LABEL],
        answer: Answer::Yaml,
        build: secret_info_get,
    },
    Tool {
        name: "secret-ids",
        arguments: "",
        purpose: "Print secret IDs.",
        details: "Only of secrets that this unit or its application owns.",
        flags: &[],
        answer: Answer::Smart,
        build: |_, _| Ok(Call::SecretIds),
    },
    Tool {
        name: "secret-remove",
        arguments: "<ID>",
        purpose: "Remove an existing secret.",
        details: "",
        flags: &[text(&["revision"], "", "Remove the specified revision only")],
        answer: Answer::Nothing,
        build: secret_remove,
    },
    Tool {
        name: "secret-grant",
        arguments: "<ID>",
        purpose: "Grant access to a secret.",
        details: "All units of the related application may read it, as long as the relation exists.",
        flags: &[RELATION, UNIT],
        answer: Answer::Nothing,
        build: secret_grant,
    },
    Tool {
        name: "secret-revoke",
        arguments: "<ID>",
        purpose: "Revoke access to a secret.",
        details: "",
        flags: &[text(&["app", "application"], "", "Only this application"), RELATION, UNIT],
        answer: Answer::Nothing,
        build: secret_revoke,
    },
];

/// `secret-update` is what Juju 3.0 called it.
const fn set(name: &'static str) -> Tool {
    Tool {
        name,
        arguments: "<ID> [key[#base64|#file]=value...]",
        purpose: "Update an existing secret.",
        details: CONTENT,
        flags: DRAFT,
        answer: Answer::Nothing,
        build: secret_set,
    }
}

fn secret_add(line: &mut CommandLine<'_>, _: Format) -> Result<Call, ToolError> {
    let application = owner_is_application(line)?;
    let draft = draft(line)?;
    if draft.content.is_none() {
        return Err(ToolError::argument("missing secret value or filename"));
    }
    Ok(Call::SecretAdd { application, draft })
}

fn secret_set(line: &mut CommandLine<'_>, _: Format) -> Result<Call, ToolError> {
    let id = required_id(line)?;
    // Charms always name an owner; a secret never changes hands.
    owner_is_application(line)?;
    Ok(Call::SecretSet { id, draft: draft(line)? })
}

fn owner_is_application(line: &CommandLine<'_>) -> Result<bool, ToolError> {
    match line.nonempty("owner").as_deref() {
        None | Some("application") => Ok(true),
        Some("unit") => Ok(false),
        Some(owner) => Err(ToolError::argument(format!("secret owner {owner:?} not valid"))),
    }
}

fn draft(line: &mut CommandLine<'_>) -> Result<SecretDraft, ToolError> {
    let rotation = line.nonempty("rotate");
    if let Some(policy) = rotation.as_deref().filter(|policy| !ROTATIONS.contains(policy)) {
        return Err(ToolError::argument(format!("rotate policy {policy:?} not valid")));
    }
    let expiry = line.nonempty("expire").map(|given| expiry::parse(&given)).transpose()?;
    Ok(SecretDraft {
        label: line.text("label"),
        description: line.text("description"),
        rotation,
        expiry,
        content: content::read(line)?,
    })
}

fn secret_get(line: &mut CommandLine<'_>, _: Format) -> Result<Call, ToolError> {
    let id = line.next().filter(|id| !id.is_empty()).map(|given| bare_id(&given)).transpose()?;
    let label = line.nonempty("label");
    if id.is_none() && label.is_none() {
        return Err(ToolError::argument("require either a secret URI or label"));
    }
    let reading = match (line.on("peek"), line.on("refresh")) {
        (false, false) => SecretReading::Tracked,
        (true, false) => SecretReading::Peek,
        (false, true) => SecretReading::Refresh,
        (true, true) => {
            return Err(ToolError::argument("specify one of --peek or --refresh but not both"));
        }
    };
    let key = line.next().filter(|key| !key.is_empty());
    let (key, base64) = match key {
        Some(key) => match key.strip_suffix("#base64") {
            Some(name) => (Some(name.to_owned()), true),
            None => (Some(key), false),
        },
        None => (None, false),
    };
    Ok(Call::SecretGet { id, label, key, base64, reading })
}

fn secret_info_get(line: &mut CommandLine<'_>, _: Format) -> Result<Call, ToolError> {
    let id = line.next().filter(|id| !id.is_empty()).map(|given| bare_id(&given)).transpose()?;
    let label = line.nonempty("label");
    match (&id, &label) {
        (None, None) => Err(ToolError::argument("require either a secret URI or label")),
        (Some(_), Some(_)) => {
            Err(ToolError::argument("specify either a secret URI or label but not both"))
        }
        _ => Ok(Call::SecretInfoGet { id, label }),
    }
}

fn secret_remove(line: &mut CommandLine<'_>, _: Format) -> Result<Call, ToolError> {
    let id = required_id(line)?;
    let revision = match line.nonempty("revision") {
        None => None,
        Some(given) => {
            let number = given.parse().ok().filter(|number| *number > 0);
            Some(number.ok_or_else(|| {
                ToolError::argument(format!(
                    "invalid value {given:?} for option --revision: not a positive number"
                ))
            })?)
        }
    };
    Ok(Call::SecretRemove { id, revision })
}

fn secret_grant(line: &mut CommandLine<'_>, _: Format) -> Result<Call, ToolError> {
    let id = required_id(line)?;
    Ok(Call::SecretGrant { id, relation: line.relation()?, unit: unit(line)? })
}

fn secret_revoke(line: &mut CommandLine<'_>, _: Format) -> Result<Call, ToolError> {
    let id = required_id(line)?;
    let application = line.nonempty("app");
    let unit = unit(line)?;
    if application.is_some() && unit.is_some() {
        return Err(ToolError::argument("specify only one of application or unit"));
    }
    Ok(Call::SecretRevoke { id, relation: line.relation()?, application, unit })
}

fn unit(line: &CommandLine<'_>) -> Result<Option<String>, ToolError> {
    match line.nonempty("unit") {
        Some(unit) if crate::name::split_unit(&unit).is_none() => {
            Err(ToolError::argument(format!("unit {unit:?} not valid")))
        }
        unit => Ok(unit),
    }
}

fn required_id(line: &mut CommandLine<'_>) -> Result<String, ToolError> {
    bare_id(&line.required("missing secret URI")?)
}

/// Takes `ID`, `secret:ID`, `secret://MODEL/ID` and, without its scheme, `MODEL/ID`.
fn bare_id(given: &str) -> Result<String, ToolError> {
    let rest = given.strip_prefix("secret:").unwrap_or(given);
    let rest = rest.strip_prefix("//").unwrap_or(rest);
    let (model, id) = rest.rsplit_once('/').unwrap_or(("", rest));
    let hexadecimal = |byte: u8| byte.is_ascii_hexdigit() || byte == b'-';
    let model_fits = model.is_empty() || (model.len() == 36 && model.bytes().all(hexadecimal));
    let id_fits =
        id.len() == 20 && id.bytes().all(|byte| byte.is_ascii_digit() || byte.is_ascii_lowercase());
    if model_fits && id_fits {
        Ok(id.to_owned())
    } else {
        Err(ToolError::argument(format!("secret URI {given:?} not valid")))
    }
}
