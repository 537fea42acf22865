//! What wrong command lines are answered.

use super::{ID, refusal};

/// Exit code, command line, text.
const TABLE: &[(u8, &str, &str)] = &[
    (2, "relation-get -r db", "invalid value \"db\" for option -r: invalid relation id"),
    (2, "relation-get -r ''", "invalid value \"\" for option -r: invalid relation id"),
    (
        2,
        "relation-list --relation db:-1",
        "invalid value \"db:-1\" for option --relation: invalid relation id",
    ),
    (2, "relation-get - pg", "expected unit name, got application name \"pg\""),
    (2, "relation-get - pg/x", "invalid unit or application name \"pg/x\""),
    (2, "relation-get - pg/0 x y", "unrecognized args: [\"x\" \"y\"]"),
    (2, "relation-set x", "expected \"key=value\", got \"x\""),
    (2, "relation-set =x", "expected \"key=value\", got \"=x\""),
    (1, "relation-set --file /gone", "cannot read /gone: there is no such file"),
    (2, "config-get --all k", "cannot use argument --all together with key \"k\""),
    (
        2,
        "config-get --format xml",
        "invalid value \"xml\" for option --format: unknown format \"xml\"",
    ),
    (2, "config-get --nope", "option provided but not defined: --nope"),
    (
        2,
        "goal-state --format smart",
        "invalid value \"smart\" for option --format: unknown format \"smart\"",
    ),
    (2, "resource-get image --format json", "option provided but not defined: --format"),
    (2, "resource-get", "missing required resource name"),
    (2, "unit-get", "no setting specified"),
    (2, "unit-get address", "unknown setting \"address\""),
    (2, "network-get", "no arguments specified"),
    (
        2,
        "network-get db --primary-address --bind-address",
        "--primary-address must be the only flag specified",
    ),
    (2, "juju-log", "no message specified"),
    (2, "juju-log -x", "option provided but not defined: -x"),
    (
        2,
        "status-set unknown",
        "invalid status \"unknown\", expected one of [maintenance blocked waiting active]",
    ),
    (2, "status-set", "invalid args, require <status> [message]"),
    (2, "application-version-set", "no version specified"),
    (2, "open-port", "no port or range specified"),
    (2, "open-port http", "invalid port \"http\""),
    (2, "open-port 0", "invalid port \"0\""),
    (2, "open-port 65536/tcp", "invalid port \"65536\""),
    (2, "open-port +80", "invalid port \"+80\""),
    (2, "open-port 80-/tcp", "invalid port \"\""),
    (
        2,
        "open-port 90-80/tcp",
        "invalid port range \"90-80/tcp\": the first port is above the last",
    ),
    (2, "close-port 80/sctp", "invalid protocol \"sctp\", expected \"tcp\", \"udp\", or \"icmp\""),
    (2, "open-port 80/icmp", "protocol \"icmp\" doesn't support any ports; got \"80\""),
    (2, "open-port 80 81", "unrecognized args: [\"81\"]"),
    (2, "storage-add", "storage add requires a storage directive"),
    (2, "storage-add data=x", "storage requires <name> or <name>=<count>, got \"data=x\""),
    (2, "storage-add data=0", "storage requires <name> or <name>=<count>, got \"data=0\""),
    (2, "storage-get -s data", "invalid storage ID \"data\""),
    (2, "storage-get -s ''", "invalid storage ID \"\""),
    (2, "state-delete", "no key specified"),
    (2, "action-set x", "argument \"x\" must be of the form key...=value"),
    (
        2,
        "action-set a.B=1",
        "key \"B\" must start and end with lowercase alphanumeric, and contain only lowercase \
             alphanumeric, hyphens and periods",
    ),
    (2, "action-set stdout=1", "cannot set reserved action key \"stdout\""),
    (2, "action-set stderr-encoding=1", "cannot set reserved action key \"stderr-encoding\""),
    (2, "action-fail a b", "unrecognized args: [\"b\"]"),
    (2, "action-log", "no message specified"),
    (2, "secret-get", "require either a secret URI or label"),
    (2, "secret-get x", "secret URI \"x\" not valid"),
    (2, "secret-get secret:", "secret URI \"secret:\" not valid"),
    (2, "secret-add", "missing secret value or filename"),
    (2, "secret-add ab=1", "key \"ab\" not valid"),
    (2, "secret-add abc#gzip=1", "key \"abc#gzip\" not valid"),
    (2, "secret-add --rotate never-ever abc=1", "rotate policy \"never-ever\" not valid"),
    (2, "secret-add --expire soon abc=1", "expire time or duration \"soon\" not valid"),
    (2, "secret-add --owner me abc=1", "secret owner \"me\" not valid"),
    (1, "secret-add abc#file=/gone", "cannot read /gone: there is no such file"),
    (2, "secret-add --file - ", "empty secret value not valid"),
    (1, "pod-spec-set --file x", "pod-spec-set is not supported"),
    (1, "k8s-raw-get", "k8s-raw-get is not supported"),
    (2, "no-such-tool", "\"no-such-tool\" is no hook command"),
];

#[test]
fn refusals() {
    let long = "x".repeat(8193);
    for (code, line, message) in TABLE {
        assert_eq!(refusal(line), (*code, (*message).to_owned()), "{line}");
    }
    let (code, message) = refusal(&format!("secret-add abc={long}"));
    assert_eq!(code, 2);
    assert!(message.starts_with("secret content for key \"abc\" too large: 8193 bytes"));
    let both = refusal(&format!("secret-get {ID} --peek --refresh"));
    assert_eq!(both, (2, "specify one of --peek or --refresh but not both".into()));
    assert_eq!(
        refusal(&format!("secret-remove {ID} --revision 0")).1,
        "invalid value \"0\" for option --revision: not a positive number"
    );
}
