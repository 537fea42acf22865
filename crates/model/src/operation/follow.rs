//! What follows a step without the machine's help.
//!
//! The end of a hook and the beginning of the next would be two transactions with a round trip
//! between them. What comes next follows from the snapshot alone, so the controller can go on
//! itself, as far as the agent need not do anything in between.

use crate::agent::{Follow, Followed, Hook, Snapshot, Step};

use super::{
    Next, accept_leadership, begin_hook, drop_relations, enter_scopes, idle, next_operation,
    resign_leadership,
};

/// The next step that needs nothing of the machine, and how far the unit is with it; none if it is
/// the agent's turn. To be asked again until the unit has begun a hook or is idle.
#[must_use]
pub fn follow(snapshot: &Snapshot, follow: &Follow) -> Option<(Step, Followed)> {
    Some(match next_operation(snapshot, &follow.local) {
        Next::AcceptLeadership => (accept_leadership(snapshot), Followed::Nothing),
        Next::ResignLeadership => (resign_leadership(snapshot), Followed::Nothing),
        Next::EnterScopes(relations) => (enter_scopes(snapshot, &relations), Followed::Nothing),
        Next::DropRelations(relations) => (drop_relations(snapshot, &relations), Followed::Nothing),
        Next::RunHook(hook) if follow.handles(&hook) => {
            (begin_hook(snapshot, &hook), Followed::Begun(hook))
        }
        Next::Idle => (idle(snapshot), Followed::Idle(snapshot.generation)),
        _ => return None,
    })
}

impl Follow {
    fn handles(&self, hook: &Hook) -> bool {
        self.handled.as_ref().is_none_or(|names| names.contains(&hook.name()))
    }
}
