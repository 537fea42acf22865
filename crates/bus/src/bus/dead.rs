//! Tools for the events that listeners gave up.

use std::sync::Arc;

use super::{Bus, cannot, entry_id};
use crate::transport::Transport;
use crate::transport::dead_letters::{self, DeadLetter};
use crate::{Error, codec::keys};

impl Bus {
    /// The groups (`service-listener`) that have, or once had, dead letters.
    pub async fn dead_letter_groups(&self) -> Result<Vec<String>, Error> {
        let mut groups = Vec::new();
        for transport in self.0.apis.event_transports() {
            groups.extend(groups_in(&transport).await?);
        }
        groups.sort();
        groups.dedup();
        Ok(groups)
    }

    /// Where the dead letters of a group are.
    async fn dead_letters_of(&self, group: &str) -> Result<Arc<Transport>, Error> {
        let mut transports = self.0.apis.event_transports();
        while transports.len() > 1 {
            let has_group = groups_in(&transports[0]).await?.iter().any(|other| other == group);
            if has_group {
                break;
            }
            transports.remove(0);
        }
        Ok(transports.swap_remove(0))
    }

    /// At most `count` dead letters of a group, oldest first, after the one with this id.
    pub async fn dead_letters(
        &self,
        group: &str,
        after: Option<&str>,
        count: usize,
    ) -> Result<Vec<DeadLetter>, Error> {
        let after = after.map(entry_id).transpose()?;
        let transport = self.dead_letters_of(group).await?;
        dead_letters::list(&transport.link, group, after, count)
            .await
            .map_err(|source| cannot("list dead letters", source))
    }

    /// How many dead letters a group has.
    pub async fn dead_letter_count(&self, group: &str) -> Result<u64, Error> {
        let transport = self.dead_letters_of(group).await?;
        dead_letters::count(&transport.link, group)
            .await
            .map_err(|source| cannot("count dead letters", source))
    }

    /// One dead letter.
    pub async fn dead_letter(&self, group: &str, id: &str) -> Result<Option<DeadLetter>, Error> {
        let id = entry_id(id)?;
        let transport = self.dead_letters_of(group).await?;
        dead_letters::show(&transport.link, group, id)
            .await
            .map_err(|source| cannot("show a dead letter", source))
    }

    /// Gives an event to the group that gave it up, and to no other. False if there is no such dead letter.
    pub async fn replay_dead_letter(&self, group: &str, id: &str) -> Result<bool, Error> {
        let id = entry_id(id)?;
        let transport = self.dead_letters_of(group).await?;
        dead_letters::replay(&transport.link, group, id)
            .await
            .map_err(|source| cannot("replay a dead letter", source))
    }

    /// Forgets a dead letter. False if there is none.
    pub async fn drop_dead_letter(&self, group: &str, id: &str) -> Result<bool, Error> {
        let id = entry_id(id)?;
        let transport = self.dead_letters_of(group).await?;
        dead_letters::discard(&transport.link, group, id)
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

async fn groups_in(transport: &Transport) -> Result<Vec<String>, Error> {
    dead_letters::groups_with_dead(&transport.link)
        .await
        .map_err(|source| cannot("list dead letters", source))
}
