//! Applications: what a deployment may ask for, and what comes of it.
//!
//! [`check_deploy`] answers the whole [`DeployPlan`] or every reason against it at once. The parts
//! are useful alone:
//!
//! - `constraints`: `mem=1G` and its relatives; `placement`: `--to`; `storage`: `pool,count,size`;
//! - `numbers`: how units and machines are numbered, and which units go first.

mod constraints;
mod deploy;
mod numbers;
mod placement;
mod storage;
#[cfg(test)]
mod tests;

pub use constraints::{constraints_text, merged_constraints, parse_constraints, size_mib};
pub use deploy::{DEFAULT_BASE, DeployPlan, Deployment, check_deploy};
pub use numbers::{first_unit_number, units_to_remove};
pub use placement::Placement;
pub use storage::{Directive, StorageChoice, check_storage};
