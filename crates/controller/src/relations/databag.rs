//! Writing databags.
//!
//! A version grows only when a write really changed something: `relation-changed` is due when the
//! version differs from the one a unit has seen, so writing the same again wakes nobody.

use std::collections::BTreeMap;

use tutti_model::agent::Databag;
use tutti_store::{Json, Tx};

use super::{Member, Relation, scope, sql};
use crate::Error;
use crate::relations::Touched;

/// The most one databag may hold, bytes of its keys and values.
const LARGEST: usize = 4 * 1024 * 1024;

/// Merges settings into a unit's databag; those who read it go to `touched`.
pub(crate) fn write_unit(
    tx: &mut Tx<'_>,
    relation: &Relation,
    member: &Member,
    settings: &Databag,
    touched: &mut Touched,
) -> Result<(), Error> {
    let (mut bag, version) = read(tx, sql::UNIT_BAG, &relation.id, &member.unit)?;
    if !merge(&mut bag, settings, &member.name, relation.number)? {
        return Ok(());
    }
    let in_scope = scope::in_scope(tx, relation, &member.unit)?;
    put_unit(tx, relation, member, in_scope, bag, version + 1)?;
    if in_scope {
        scope::viewers(tx, relation, member, touched)?;
    }
    Ok(())
}

/// Merges settings into an application's databag on behalf of its leader.
pub(crate) fn write_application(
    tx: &mut Tx<'_>,
    relation: &Relation,
    leader: &Member,
    settings: &Databag,
    touched: &mut Touched,
) -> Result<(), Error> {
    let (mut bag, version) = read(tx, sql::APPLICATION_BAG, &relation.id, &leader.application)?;
    let owner = leader.name.split('/').next().unwrap_or_default();
    if !merge(&mut bag, settings, owner, relation.number)? {
        return Ok(());
    }
    let row = (&relation.id, &leader.application, Json(bag), version + 1);
    tx.exec(sql::SET_APPLICATION_BAG, row)?;
    scope::application_viewers(tx, relation, leader, touched)
}

/// Stores a unit's databag.
pub(super) fn put_unit(
    tx: &mut Tx<'_>,
    relation: &Relation,
    member: &Member,
    in_scope: bool,
    bag: Databag,
    version: i64,
) -> Result<(), Error> {
    let (unit, application) = (&member.unit, &member.application);
    let row = (&relation.id, unit, &member.name, application, in_scope, Json(bag), version);
    tx.exec(sql::PUT_UNIT, row)?;
    Ok(())
}

/// A databag and its version; an empty one if there is none yet.
pub(super) fn read(
    tx: &mut Tx<'_>,
    statement: &'static str,
    relation: &str,
    owner: &str,
) -> Result<(Databag, i64), Error> {
    let Some(bag) = tx.maybe::<sql::Bag>(statement, (relation, owner))? else {
        return Ok((BTreeMap::new(), 0));
    };
    Ok((parse(&bag.settings)?, bag.version))
}

/// A databag's JSON as stored.
pub(super) fn parse(settings: &str) -> Result<Databag, Error> {
    serde_json::from_str(settings).map_err(|source| Error::Stored { what: "databag", source })
}

/// Sets values and deletes those set to an empty string; answers whether anything changed.
pub(super) fn merge(
    bag: &mut Databag,
    settings: &Databag,
    owner: &str,
    relation: i64,
) -> Result<bool, Error> {
    let mut changed = false;
    for (key, value) in settings {
        if value.is_empty() {
            changed |= bag.remove(key).is_some();
        } else if key.contains('\0') || value.contains('\0') {
            let text = format!("{key:?} of {owner} in relation {relation} holds a NUL character");
            return Err(Error::Invalid(text));
        } else if bag.get(key) != Some(value) {
            bag.insert(key.clone(), value.clone());
            changed = true;
        }
    }
    let size: usize = bag.iter().map(|(key, value)| key.len() + value.len()).sum();
    if changed && size > LARGEST {
        let text = format!(
            "the databag of {owner} in relation {relation} would hold {size} bytes, more than \
             the {LARGEST} allowed"
        );
        return Err(Error::Invalid(text));
    }
    Ok(changed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bag(pairs: &[(&str, &str)]) -> Databag {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn only_real_changes_count() {
        for (before, write, after, changed) in [
            (&[][..], &[("a", "1")][..], &[("a", "1")][..], true),
            (&[("a", "1")], &[("a", "1")], &[("a", "1")], false),
            (&[("a", "1")], &[("a", "")], &[], true),
            (&[("a", "1")], &[("b", "")], &[("a", "1")], false),
            (&[("a", "1")], &[("a", "2"), ("b", "3")], &[("a", "2"), ("b", "3")], true),
        ] {
            let mut merged = bag(before);
            assert_eq!(merge(&mut merged, &bag(write), "db/0", 1).unwrap(), changed);
            assert_eq!(merged, bag(after));
        }
    }

    #[test]
    fn what_no_column_holds_is_refused() {
        let large = "x".repeat(LARGEST + 1);
        let refused = merge(&mut Databag::new(), &bag(&[("a", &large)]), "db/0", 3).unwrap_err();
        let text = refused.to_string();
        assert!(text.contains("the databag of db/0 in relation 3 would hold"), "{text}");
        assert!(merge(&mut Databag::new(), &bag(&[("a", "b\0")]), "db/0", 3).is_err());
    }
}
