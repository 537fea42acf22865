//! Commands of Juju that do not work here yet, and words that are no command at all.

use crate::failure::Failure;
use crate::personality::Personality;

/// Commands by what they need.
const LATER: &[(&str, &[&str])] = &[
    (
        "clouds other than this machine",
        &[
            "add-cloud",
            "update-cloud",
            "remove-cloud",
            "clouds",
            "list-clouds",
            "show-cloud",
            "add-k8s",
            "update-k8s",
            "remove-k8s",
            "regions",
            "list-regions",
            "default-region",
            "model-default",
            "model-defaults",
            "update-public-clouds",
            "spaces",
            "list-spaces",
            "add-space",
            "remove-space",
            "rename-space",
            "reload-spaces",
            "show-space",
            "move-to-space",
            "subnets",
            "list-subnets",
            "bind",
            "retry-provisioning",
        ],
    ),
    (
        "offers to other models",
        &[
            "offer",
            "consume",
            "offers",
            "list-offers",
            "find-offers",
            "show-offer",
            "remove-offer",
            "remove-saas",
            "suspend-relation",
            "resume-relation",
            "set-firewall-rule",
            "firewall-rules",
            "list-firewall-rules",
        ],
    ),
    (
        "cloud credentials",
        &[
            "add-credential",
            "credentials",
            "list-credentials",
            "show-credential",
            "show-credentials",
            "update-credential",
            "update-credentials",
            "remove-credential",
            "autoload-credentials",
            "default-credential",
            "set-credential",
        ],
    ),
    (
        "SSH keys",
        &[
            "add-ssh-key",
            "add-ssh-keys",
            "remove-ssh-key",
            "remove-ssh-keys",
            "ssh-keys",
            "list-ssh-keys",
            "import-ssh-key",
            "import-ssh-keys",
        ],
    ),
    (
        "more users than one",
        &[
            "add-user",
            "remove-user",
            "disable-user",
            "enable-user",
            "show-user",
            "grant",
            "revoke",
            "grant-cloud",
            "revoke-cloud",
            "login",
            "logout",
            "register",
            "unregister",
            "change-user-password",
        ],
    ),
    ("a charm catalogue", &["find", "info", "download", "diff-bundle", "export-bundle"]),
    (
        "storage pools and detached storage",
        &[
            "attach-storage",
            "detach-storage",
            "remove-storage",
            "import-filesystem",
            "storage-pools",
            "list-storage-pools",
            "create-storage-pool",
            "update-storage-pool",
            "remove-storage-pool",
            "secret-backends",
            "list-secret-backends",
            "add-secret-backend",
            "update-secret-backend",
            "remove-secret-backend",
            "show-secret-backend",
            "model-secret-backend",
        ],
    ),
    (
        "several controllers",
        &[
            "enable-ha",
            "migrate",
            "create-backup",
            "download-backup",
            "upgrade-controller",
            "upgrade-model",
            "sync-agent-binary",
            "controller-config",
            "dump-model",
            "dump-db",
            "dashboard",
            "metrics",
            "debug-hook",
            "debug-hooks",
            "debug-code",
            "enable-command",
            "disable-command",
            "disabled-commands",
            "list-disabled-commands",
            "upgrade-machine",
            "set-meter-status",
            "default-base",
        ],
    ),
];

/// Why a word is not run.
pub(super) fn refusal(personality: Personality, words: &[String]) -> Failure {
    let word = words.first().map(String::as_str).unwrap_or_default();
    let program = personality.name();
    match LATER.iter().find(|(_, commands)| commands.contains(&word)) {
        Some((needs, _)) => Failure::new(format!(
            "'{word}' does not work yet: it needs {needs}, which Tutti does not have so far"
        )),
        None => Failure::usage(format!(
            "{program}: {word:?} is not a {program} command. See \"{program} --help\"."
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn later_is_a_run_error_and_nonsense_a_usage_error() {
        let refuse = |word: &str| refusal(Personality::Juju, &[word.to_owned()]);
        assert_eq!(refuse("offer").code(), 1);
        assert_eq!(refuse("add-ssh-key").code(), 1);
        let nonsense = refuse("foo");
        assert_eq!(nonsense.code(), 2);
        let message = nonsense.message().unwrap();
        assert_eq!(message, "juju: \"foo\" is not a juju command. See \"juju --help\".");
    }
}
