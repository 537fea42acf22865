//! Whatever a charm asks, it is answered.

use proptest::prelude::*;
use tutti_charm::hook_tool::TOOLS;

use super::*;

/// Words that mean something somewhere.
const WORDS: &[&str] = &[
    "-",
    "-r",
    "7",
    "db:7",
    "8",
    "9",
    "--app",
    "--application",
    "pg",
    "pg/0",
    "pg/5",
    "web",
    "web/0",
    "k=v",
    "k=",
    "a.b=1",
    "abc=secret",
    "db",
    "data",
    "data/0",
    "-s",
    "kind",
    "80",
    "80-90/udp",
    "icmp",
    "--endpoints",
    "admin",
    "active",
    "blocked",
    "text",
    "--label",
    "l",
    "--refresh",
    "--peek",
    "--owner",
    "unit",
    "--unit",
    "--relation",
    "--revision",
    "1",
    "040g2081040g2081040g",
    "secret:081040g2081040g20810",
    "9m4e2mr0ui3e8a215n4g",
    "image",
    "--format=json",
    "--include-data",
];

proptest! {
    #[test]
    fn is_answered(
        leader in any::<bool>(),
        lines in proptest::collection::vec(
            (
                proptest::sample::select(TOOLS),
                proptest::collection::vec(proptest::sample::select(WORDS), 0..6),
            ),
            0..40,
        ),
    ) {
        let mut charm = if leader { Charm::leader() } else { Charm::follower() };
        for (tool, words) in lines {
            let line = format!("{tool} {}", words.join(" "));
            let (printed, effect) = charm.call(&line, "");
            if let Err((code, text)) = printed {
                prop_assert!(code == 1 || code == 2, "{line}: {code}");
                prop_assert!(!text.is_empty() && !text.contains('\n'), "{line}: {text}");
                prop_assert_eq!(effect, None, "{}", line);
            }
        }
        let outcome = charm.tools.finish();
        prop_assert!(leader || outcome.changes.relations.iter().all(|bag| !bag.application));
        prop_assert!(leader || outcome.changes.secrets_created.iter().all(|new| !new.application));
        prop_assert!(outcome.changes.open_ports.iter().all(|port| !outcome.changes.close_ports.contains(port)));
        prop_assert_eq!(outcome.results.len(), 0);
    }
}
