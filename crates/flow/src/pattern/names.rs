//! What a name means to a task: scopes from the innermost pattern outwards, and in each the nearest producer.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde_json::Value;

use super::{Member, Order, Pattern, shape::Shape, step::Step};
use crate::Work;

/// What stands behind a name.
#[derive(Clone, Debug)]
pub(crate) enum Offer {
    /// A part of the output of a task.
    Task(Part),
    /// A value given when the flow is built.
    Value(Value),
    /// Several, with nothing to choose between them: the names of two.
    Several(String, String),
}

/// A part of the output of a task.
#[derive(Clone, Debug)]
pub(crate) struct Part {
    pub(crate) node: usize,
    /// The name of the task, for messages.
    pub(crate) producer: String,
    /// As a JSON pointer.
    pub(crate) pointer: String,
    pub(crate) shape: Shape,
}

/// What a member of a pattern offers to those that follow.
pub(crate) type Offers = BTreeMap<String, Offer>;

/// The names of one pattern, while its members are looked at.
#[derive(Debug, Default)]
pub(crate) struct Scope {
    /// What the pattern itself offers: values, and what its retry controller provides.
    given: Offers,
    /// What its members offer, with their positions in it.
    members: HashMap<String, Vec<(usize, Offer)>>,
    /// The member that is looked at.
    pub(crate) current: usize,
    /// Which member took what from which, by positions.
    pub(crate) taken: BTreeMap<(usize, usize), String>,
}

impl Scope {
    pub(crate) fn new(given: Offers) -> Self {
        Self { given, ..Self::default() }
    }

    /// Adds what the pattern offers by itself.
    pub(crate) fn give(&mut self, offers: Offers) {
        self.given.extend(offers);
    }

    /// Adds what a member offers to what others do: two of a name are too many.
    pub(crate) fn add(&mut self, member: usize, offers: Offers) {
        for (name, offer) in offers {
            self.members.entry(name).or_default().push((member, offer));
        }
    }

    /// Adds what a member offers in place of what others do: the nearest wins.
    pub(crate) fn replace(&mut self, member: usize, offers: Offers) {
        for (name, offer) in offers {
            self.members.insert(name, vec![(member, offer)]);
        }
    }

    fn look_up(&mut self, name: &str) -> Option<Offer> {
        let current = self.current;
        let known = self.members.get(name).map_or(&[][..], Vec::as_slice);
        let mut others = known.iter().filter(|(member, _)| *member != current);
        match (others.next(), others.next()) {
            (Some((member, offer)), None) => {
                self.taken.entry((*member, current)).or_insert_with(|| name.to_owned());
                Some(offer.clone())
            }
            (Some((_, one)), Some((_, other))) => {
                Some(Offer::Several(one.producer().to_owned(), other.producer().to_owned()))
            }
            (None, _) => self.given.get(name).cloned(),
        }
    }
}

impl Offer {
    pub(crate) fn producer(&self) -> &str {
        match self {
            Self::Task(part) => &part.producer,
            Self::Value(_) => "a given value",
            Self::Several(one, _) => one,
        }
    }

    /// A part of it.
    fn at(self, pointer: &str) -> Option<Self> {
        match self {
            Self::Task(part) => Some(Self::Task(Part {
                pointer: part.pointer + pointer,
                shape: Shape::Any,
                producer: part.producer,
                node: part.node,
            })),
            Self::Value(value) => value.pointer(pointer).cloned().map(Self::Value),
            several @ Self::Several(..) => Some(several),
        }
    }
}

impl Member {
    pub(crate) fn name(&self) -> &str {
        match self {
            Self::Step(step) => &step.label,
            Self::Pattern(pattern) => &pattern.name,
        }
    }

    pub(crate) fn offers(&self) -> Offers {
        match self {
            Self::Step(step) => step.offers(),
            Self::Pattern(pattern) => pattern.offers(),
        }
    }
}

impl Step {
    pub(crate) fn offers(&self) -> Offers {
        let offer = |pointer: String, shape: &Shape| {
            let (node, producer, shape) = (self.node, self.label.clone(), shape.clone());
            Offer::Task(Part { node, producer, pointer, shape })
        };
        match &self.provides {
            Some(name) if matches!(self.task.work, Work::Retry(_)) => {
                Offers::from([(name.clone(), offer("/value".into(), &Shape::Any))])
            }
            Some(name) => Offers::from([(name.clone(), offer(String::new(), &self.gives))]),
            None => (self.gives.members().iter())
                .map(|member| {
                    let pointer = pointer_to(member.name);
                    (member.name.to_owned(), offer(pointer, &member.shape))
                })
                .collect(),
        }
    }
}

impl Pattern {
    /// What it offers to those that follow: the last of a name if its members are in order.
    pub(crate) fn offers(&self) -> Offers {
        let mut offers = Offers::new();
        for member in &self.members {
            match self.order {
                Order::Linear => offers.extend(member.offers()),
                Order::Unordered | Order::Graph => merge(&mut offers, member.offers()),
            }
        }
        for (name, offer) in self.controller.iter().flat_map(|controller| controller.offers()) {
            offers.entry(name).or_insert(offer);
        }
        offers
    }

    /// What it offers to its members and to its controller.
    pub(crate) fn given(&self) -> Offers {
        let values = self.injected.iter();
        values.map(|(name, value)| (name.clone(), Offer::Value(value.clone()))).collect()
    }
}

/// Puts the offers of members together of which none is nearer than another.
fn merge(all: &mut Offers, more: Offers) {
    for (name, offer) in more {
        match all.get_mut(&name) {
            None => {
                all.insert(name, offer);
            }
            Some(known) => {
                *known = Offer::Several(known.producer().to_owned(), offer.producer().to_owned());
            }
        }
    }
}

/// Finds a name, or `name.member`, in scopes from the last to the first.
pub(crate) fn look_up(scopes: &mut [Scope], name: &str) -> Option<Offer> {
    if let Some(offer) = scopes.iter_mut().rev().find_map(|scope| scope.look_up(name)) {
        return Some(offer);
    }
    let (name, path) = name.split_once('.')?;
    let offer = scopes.iter_mut().rev().find_map(|scope| scope.look_up(name))?;
    offer.at(&path.split('.').map(pointer_to).collect::<String>())
}

/// The JSON pointer to a member.
pub(crate) fn pointer_to(member: &str) -> String {
    format!("/{}", member.replace('~', "~0").replace('/', "~1"))
}

/// A known name that is probably meant.
pub(crate) fn meant(scopes: &[Scope], name: &str) -> Option<String> {
    let known: BTreeSet<&str> = scopes
        .iter()
        .flat_map(|scope| scope.given.keys().chain(scope.members.keys()))
        .map(String::as_str)
        .collect();
    closest(known.into_iter(), name)
}

/// The one of several words that is a slip of the pen away.
pub(crate) fn closest<'a>(words: impl Iterator<Item = &'a str>, word: &str) -> Option<String> {
    let distances = words.map(|known| (distance(known, word), known));
    let (distance, known) = distances.min()?;
    (distance <= 1 + word.chars().count() / 4).then(|| known.to_owned())
}

/// How many letters to insert, remove or replace (Levenshtein).
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (above, letter) in one.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = above + 1;
        for (at, known) in other.iter().enumerate() {
            let replaced = diagonal + usize::from(letter != *known);
            diagonal = row[at + 1];
            row[at + 1] = replaced.min(row[at] + 1).min(diagonal + 1);
        }
    }
    row[other.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_are_seen() {
        for (word, known, expected) in [
            ("volume", &["volumes", "server"][..], Some("volumes")),
            ("hotle", &["hotel"], Some("hotel")),
            ("id", &["size"], None),
            ("price", &["flight", "prices"], Some("prices")),
            ("x", &[], None),
        ] {
            assert_eq!(closest(known.iter().copied(), word).as_deref(), expected, "{word}");
        }
    }

    #[test]
    fn parts_are_pointed_at() {
        assert_eq!(pointer_to("a/b~c"), "/a~1b~0c");
    }
}
