//! What moving an application to another charm means, and every reason against it.
//!
//! [`plan`] compares two charms and the state of the application. It answers the whole
//! [`RefreshPlan`](crate::api::RefreshPlan): all refusals at once, what changes, and what each unit will do. A refresh goes
//! ahead exactly when `refusals` is empty, and changes nothing exactly when `up_to_date` is set;
//! whatever else was asked for (config, resources, trust) applies even if the charm stays.
//!
//! Local charms only go forward: a revision that is not newer is refused, unless the refresh
//! switches to another charm. Checks that `force` may skip: the limit of relations, what the charm
//! assumes, and `upgrades-from`. `force_base` skips the base, but never the operating system.

mod plan;
mod relations;
mod storage;
#[cfg(test)]
mod tests;
mod units;

pub use plan::{Charmed, Current, Target, plan, refused};
pub use units::UnitState;
