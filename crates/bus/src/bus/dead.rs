//! Tools for the events that listeners gave up.

use redis::RedisError;

use super::Bus;
use crate::transport::dead_letters::{self, DeadLetter};
use crate::transport::streams::EntryId;
use crate::{Error, codec::keys};

impl Bus {
    /// The groups (`service-listener`) that have, or once had, dead letters.
    pub async fn dead_letter_groups(&self) -> Result<Vec<String>, Error> {
        let link = &self.0.apis.default_transport().link;
        dead_letters::groups_with_dead(link)
            .await
            .map_err(|source| cannot("list dead letters", source))
    }

    /// At most `count` dead letters of a group, oldest first, after the one with this id.
    pub async fn dead_letters(
        &self,
        group: &str,
        after: Option<&str>,
        count: usize,
    ) -> Result<Vec<DeadLetter>, Error> {
        let after = after.map(entry_id).transpose()?;
        let link = &self.0.apis.default_transport().link;
        dead_letters::list(link, group, after, count)
            .await
            .map_err(|source| cannot("list dead letters", source))
    }

    /// One dead letter.
    pub async fn dead_letter(&self, group: &str, id: &str) -> Result<Option<DeadLetter>, Error> {
        let link = &self.0.apis.default_transport().link;
        dead_letters::show(link, group, id)
            .await
            .map_err(|source| cannot("show a dead letter", source))
    }

    /// Gives an event to the group that gave it up, and to no other. False if there is no such dead letter.
    pub async fn replay_dead_letter(&self, group: &str, id: &str) -> Result<bool, Error> {
        let link = &self.0.apis.default_transport().link;
        dead_letters::replay(link, group, id)
            .await
            .map_err(|source| cannot("replay a dead letter", source))
    }

    /// Forgets a dead letter. False if there is none.
    pub async fn drop_dead_letter(&self, group: &str, id: &str) -> Result<bool, Error> {
        let link = &self.0.apis.default_transport().link;
        dead_letters::discard(link, group, id)
            .await
            .map_err(|source| cannot("drop a dead letter", source))
    }

    /// Acknowledges an event in every group of its stream: for one that ends Python workers again and again.
    /// How many groups held it.
    pub async fn acknowledge_everywhere(
        &self,
        api: &str,
        event: &str,
        native_id: &str,
    ) -> Result<u64, Error> {
        let api = self.api(api);
        let stream = keys::stream(&api.name, event, api.settings.stream_per_event);
        dead_letters::acknowledge_everywhere(&api.events.link, &stream, entry_id(native_id)?)
            .await
            .map_err(|source| cannot("acknowledge an event", source))
    }
}

fn cannot(attempt: &str, source: RedisError) -> Error {
    Error::Transport { attempt: attempt.to_owned(), source }
}

fn entry_id(id: &str) -> Result<EntryId, Error> {
    id.parse().map_err(|_| Error::Invalid(format!("{id} is not the id of an event in a stream")))
}
