//! Secrets.

use super::*;
use tutti_model::agent::{ContextSecret, SecretGrant, SecretRemove, SecretTrack, SecretUpdate};

const OURS: &str = "9m4e2mr0ui3e8a215n4g";
const MINE: &str = "8m4e2mr0ui3e8a215n4g";
const THEIRS: &str = "7m4e2mr0ui3e8a215n4g";
/// The id made by the first call.
const FIRST: &str = "040g2081040g2081040g";

fn secret(owner: &str, owned: bool, label: &str, latest: i64, tracked: i64) -> ContextSecret {
    ContextSecret {
        owner: owner.into(),
        owned,
        label: label.into(),
        latest,
        tracked,
        revisions: (1..=latest)
            .map(|revision| (revision, pairs(&[("password", &format!("p{revision}"))])))
            .collect(),
        ..ContextSecret::default()
    }
}

/// One secret of the application, one of the unit, one of somebody else: at revisions 2, 1 and 3.
fn charm(leader: bool) -> Charm {
    let secrets = [
        (OURS.to_owned(), secret("application", true, "ours", 2, 1)),
        (MINE.to_owned(), secret("unit", true, "", 1, 0)),
        (THEIRS.to_owned(), secret("pg", false, "known", 3, 2)),
    ];
    let context = Context { leader, secrets: secrets.into(), ..context() };
    Charm::new(Run::task("web/0", &journal()), context)
}

fn password(text: &str) -> Printed {
    Ok(format!("password: {text}\n"))
}

#[test]
fn reading_tracks() {
    let mut charm = charm(false);
    let table = [
        (format!("secret-get {THEIRS}"), "p2"),
        (format!("secret-get secret:{THEIRS} --peek"), "p3"),
        ("secret-get --label known".into(), "p2"),
        (format!("secret-get {THEIRS} --refresh"), "p3"),
        (format!("secret-get secret://11111111-2222-4333-8444-555555555555/{THEIRS}"), "p3"),
        (format!("secret-get {OURS}"), "p1"),
        (format!("secret-get {MINE}"), "p1"),
    ];
    for (line, text) in table {
        assert_eq!(charm.prints(&line), password(text), "{line}");
    }
    charm.check(&[
        (&format!("secret-get {MINE} password"), "p1\n"),
        (&format!("secret-get {MINE} password#base64"), "cDE=\n"),
        (&format!("secret-get {MINE} --format=json"), "{\"password\":\"p1\"}\n"),
    ]);
    let tracked = charm.tools.finish().changes.secrets_tracked;
    let revision = |revision| SecretTrack { revision: Some(revision), label: None };
    // The unit's own was read for the first time.
    assert_eq!(tracked, [(MINE.into(), revision(1)), (THEIRS.into(), revision(3))].into());
}

#[test]
fn refusals() {
    let mut charm = charm(false);
    let unknown = "6m4e2mr0ui3e8a215n4g";
    let table = [
        (format!("secret-get {unknown}"), format!("secret \"{unknown}\" not found")),
        ("secret-get --label nobody".into(), "secret with label \"nobody\" not found".into()),
        (format!("secret-get {OURS} user"), "the secret has no key \"user\"".into()),
        (format!("secret-info-get {THEIRS}"), format!("secret \"{THEIRS}\" not found")),
        (format!("secret-set {THEIRS} abc=1"), format!("secret \"{THEIRS}\" not found")),
        (format!("secret-remove {THEIRS}"), format!("secret \"{THEIRS}\" not found")),
        ("secret-add abc=1".into(), "this unit is not the leader".into()),
        (format!("secret-set {OURS} abc=1"), "this unit is not the leader".into()),
        (format!("secret-remove {OURS}"), "this unit is not the leader".into()),
        (format!("secret-grant {OURS} -r 7"), "this unit is not the leader".into()),
        (format!("secret-revoke {OURS} -r 7"), "this unit is not the leader".into()),
        (
            format!("secret-grant {MINE} -r 7 --unit x/0"),
            "unit \"x/0\" is not part of relation 7".into(),
        ),
    ];
    for (line, text) in table {
        assert_eq!(charm.refusal(&line), (1, text), "{line}");
    }
    charm.check_refusals(&[
        (
            2,
            &format!("secret-grant {MINE} -r 99"),
            "invalid value \"99\" for option -r: no such relation",
        ),
        (2, &format!("secret-grant {MINE}"), "no relation id specified"),
        (2, &format!("secret-revoke {MINE}"), "no application, unit or relation specified"),
    ]);
    assert!(charm.tools.finish().changes.is_empty());
}

#[test]
fn a_new_secret_can_be_used_at_once() {
    let mut charm = charm(true);
    let line = "secret-add --label new --description D --rotate daily --expire 24h \
                --owner application password=p1";
    assert_eq!(charm.prints(line), Ok(format!("secret:{FIRST}\n")));
    assert_eq!(charm.prints("secret-get --label new"), password("p1"));
    charm.run(&format!("secret-set secret:{FIRST} --label newer --rotate weekly password=p2"));
    assert_eq!(charm.prints(&format!("secret-get {FIRST}")), password("p2"));
    charm.run(&format!("secret-grant {FIRST} -r db:7"));
    assert_eq!(
        charm.json("secret-info-get --label newer"),
        json!({FIRST: {
            "revision": 1,
            "label": "newer",
            "owner": "application",
            "description": "D",
            "rotation": "weekly",
            "expiry": "2026-01-03T03:04:05Z",
        }})
    );
    assert_eq!(charm.json("secret-ids"), json!([MINE, OURS, FIRST]));
    let changes = charm.tools.finish().changes;
    let [new] = &changes.secrets_created[..] else { panic!("{changes:?}") };
    assert_eq!((new.id.as_str(), new.label.as_str(), new.application), (FIRST, "newer", true));
    assert_eq!(new.content, pairs(&[("password", "p2")]));
    let granted =
        SecretGrant { id: FIRST.into(), relation: Some(7), unit: None, application: None };
    assert_eq!(changes.secrets_granted, [granted]);
    assert!(changes.secrets_updated.is_empty() && changes.secrets_tracked.is_empty());
}

#[test]
fn a_new_secret_can_be_dropped_again() {
    let mut charm = charm(true);
    charm.prints("secret-add --owner unit password=p1").unwrap();
    charm.run(&format!("secret-grant {FIRST} -r 7"));
    charm.run(&format!("secret-remove {FIRST} --revision 1"));
    charm.run(&format!("secret-remove {FIRST}"));
    let text = format!("secret \"{FIRST}\" not found");
    assert_eq!(charm.refusal(&format!("secret-get {FIRST}")), (1, text));
    assert!(charm.tools.finish().changes.is_empty());
}

#[test]
fn an_update_is_seen_by_peek_and_refresh() {
    let mut charm = charm(true);
    charm.run(&format!("secret-set {OURS} --owner application password=p9"));
    charm.run(&format!("secret-set {OURS} --description D --expire 2026-05-06T07:08:09"));
    assert_eq!(charm.prints(&format!("secret-get {OURS}")), password("p1"));
    assert_eq!(charm.prints(&format!("secret-get {OURS} --peek")), password("p9"));
    assert_eq!(charm.prints(&format!("secret-get {OURS}")), password("p1"));
    assert_eq!(charm.prints(&format!("secret-get {OURS} --refresh")), password("p9"));
    assert_eq!(charm.prints(&format!("secret-get {OURS}")), password("p9"));
    let info = charm.json(&format!("secret-info-get {OURS}"));
    assert_eq!(
        info[OURS],
        json!({
            "revision": 2,
            "label": "ours",
            "owner": "application",
            "rotation": "never",
            "description": "D",
            "expiry": "2026-05-06T07:08:09Z",
        })
    );
    let changes = charm.tools.finish().changes;
    let expected = SecretUpdate {
        id: OURS.into(),
        description: Some("D".into()),
        expiry: Some("2026-05-06T07:08:09Z".into()),
        content: Some(pairs(&[("password", "p9")])),
        ..SecretUpdate::default()
    };
    assert_eq!(changes.secrets_updated, [expected]);
    assert_eq!(changes.secrets_tracked[OURS].revision, Some(3));
}

#[test]
fn setting_the_same_content_makes_no_revision() {
    let mut charm = charm(true);
    charm.run(&format!("secret-set {OURS} password=p2"));
    assert_eq!(charm.prints(&format!("secret-get {OURS} --refresh")), password("p2"));
    assert_eq!(charm.tools.finish().changes.secrets_tracked[OURS].revision, Some(2));
}

#[test]
fn labels() {
    // A reader's label is its own.
    let mut reader = charm(false);
    assert_eq!(reader.prints(&format!("secret-get {THEIRS} --label mine")), password("p2"));
    assert_eq!(reader.prints("secret-get --label mine"), password("p2"));
    assert_eq!(reader.refusal("secret-get --label known").0, 1);
    assert_eq!(reader.prints(&format!("secret-get {OURS} --label local")), password("p1"));
    assert_eq!(reader.prints("secret-get --label local"), password("p1"));
    assert_eq!(reader.prints("secret-get --label ours"), password("p1"));
    let changes = reader.tools.finish().changes;
    let label = |label: &str| SecretTrack { revision: None, label: Some(label.into()) };
    assert_eq!(
        changes.secrets_tracked,
        [(OURS.into(), label("local")), (THEIRS.into(), label("mine"))].into()
    );

    // An owner's is the secret's.
    let mut owner = charm(true);
    assert_eq!(owner.prints(&format!("secret-get {OURS} --label ours")), password("p1"));
    assert_eq!(owner.prints(&format!("secret-get {OURS} --label other")), password("p1"));
    assert_eq!(owner.prints("secret-get --label other"), password("p1"));
    let taken = (1, "secret with label \"other\" already exists".to_owned());
    assert_eq!(owner.refusal("secret-add --label other abc=1"), taken);
    // A label is unique per owner.
    owner.prints("secret-add --owner unit --label other abc=1").unwrap();
    let changes = owner.tools.finish().changes;
    assert_eq!(changes.secrets_updated[0].label.as_deref(), Some("other"));
    assert!(changes.secrets_tracked.is_empty());
}

#[test]
fn grants_and_removals() {
    let mut charm = charm(true);
    charm.run(&format!("secret-grant {OURS} --relation 7"));
    charm.run(&format!("secret-grant {OURS} --relation 7"));
    charm.run(&format!("secret-grant {MINE} --relation 7 --unit pg/0"));
    charm.run(&format!("secret-revoke {MINE} --app pg"));
    charm.run(&format!("secret-remove {OURS} --revision 1"));
    let changes = charm.tools.finish().changes;
    let granted = SecretGrant { id: OURS.into(), relation: Some(7), unit: None, application: None };
    assert_eq!(changes.secrets_granted, [granted]);
    let revoked =
        SecretGrant { id: MINE.into(), relation: None, unit: None, application: Some("pg".into()) };
    assert_eq!(changes.secrets_revoked, [revoked]);
    assert_eq!(changes.secrets_removed, [SecretRemove { id: OURS.into(), revision: Some(1) }]);
}

#[test]
fn a_removed_secret_is_gone() {
    let mut charm = self::charm(true);
    charm.run(&format!("secret-set {OURS} abc=1"));
    charm.run(&format!("secret-grant {OURS} --relation 7"));
    charm.run(&format!("secret-remove {OURS}"));
    let gone = (1, format!("secret \"{OURS}\" not found"));
    assert_eq!(charm.refusal(&format!("secret-get {OURS}")), gone);
    charm.run(&format!("secret-remove {OURS}"));
    assert_eq!(charm.json("secret-ids"), json!([MINE]));
    let changes = charm.tools.finish().changes;
    assert_eq!(changes.secrets_removed, [SecretRemove { id: OURS.into(), revision: None }]);
    assert!(changes.secrets_updated.is_empty() && changes.secrets_granted.is_empty());
}
