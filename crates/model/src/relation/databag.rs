//! Who may touch which databag of a relation.

/// A databag as seen by one unit of the relation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bag {
    /// The unit's own.
    OwnUnit,
    /// Another unit's, of the other application or a peer.
    RemoteUnit,
    /// The own application's.
    OwnApplication,
    /// The other application's.
    RemoteApplication,
}

impl Bag {
    /// Which databag a name (`app/0` or `app`) means to a unit.
    #[must_use]
    pub fn of(unit: &str, name: &str) -> Self {
        let application = unit.rsplit_once('/').map_or(unit, |(application, _)| application);
        match name {
            _ if name == unit => Self::OwnUnit,
            _ if name == application => Self::OwnApplication,
            _ if name.contains('/') => Self::RemoteUnit,
            _ => Self::RemoteApplication,
        }
    }

    /// Whether a unit may read it. The own application's databag is for the leader, and over a
    /// peer relation for every unit.
    #[must_use]
    pub fn readable(self, leader: bool, peer: bool) -> bool {
        match self {
            Self::OwnUnit | Self::RemoteUnit | Self::RemoteApplication => true,
            Self::OwnApplication => leader || peer,
        }
    }

    /// Whether a unit may write it.
    #[must_use]
    pub fn writable(self, leader: bool) -> bool {
        match self {
            Self::OwnUnit => true,
            Self::OwnApplication => leader,
            Self::RemoteUnit | Self::RemoteApplication => false,
        }
    }
}
