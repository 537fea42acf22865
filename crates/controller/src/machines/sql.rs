//! The table `machine`.

use std::collections::BTreeMap;

use serde_json::Value;
use tutti_model::api::Life;
use tutti_store::{Json, Tx};

use crate::Error;

tutti_store::row! {
    /// One machine.
    #[derive(Clone, Debug)]
    pub(crate) struct Machine {
        /// UUID of its model.
        pub(crate) model: String,
        /// Number in the model, from 0, never reused.
        pub(crate) number: i64,
        /// Life.
        pub(crate) life: Json<Life>,
        /// `ubuntu@24.04`.
        pub(crate) base: String,
        /// Constraints by name.
        pub(crate) constraints: Json<BTreeMap<String, Value>>,
        /// The agent that serves it.
        pub(crate) agent: String,
        /// Added by hand.
        pub(crate) manual: bool,
        /// When it was made.
        pub(crate) created: i64,
    }
}

tutti_store::sql! {
    pub(crate) NEXT_NUMBER = "UPDATE model SET next_machine = next_machine + 1 WHERE id = $1 \
        RETURNING next_machine - 1";
    INSERT = "INSERT INTO machine (model, number, life, base, constraints, agent, manual, created) \
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";
    pub(crate) FIND = "SELECT model, number, life, base, constraints, agent, manual, created \
        FROM machine WHERE model = $1 AND number = $2";
    pub(crate) LIST = "SELECT model, number, life, base, constraints, agent, manual, created \
        FROM machine WHERE model = $1 ORDER BY number";
    pub(crate) UNITS = "SELECT machine, name FROM unit \
        WHERE model = $1 AND machine IS NOT NULL ORDER BY name";
    pub(crate) UNITS_OF = "SELECT id FROM unit WHERE model = $1 AND machine = $2";
    pub(crate) NAMES_OF =
        "SELECT name FROM unit WHERE model = $1 AND machine = $2 ORDER BY name";
    pub(crate) COUNT = "SELECT COUNT(*) FROM machine WHERE model = $1";
    pub(crate) COUNT_UNITS = "SELECT COUNT(*) FROM unit WHERE model = $1 AND machine = $2";
    pub(crate) SET_DYING =
        "UPDATE machine SET life = '\"dying\"' WHERE model = $1 AND number = $2";
    pub(crate) DELETE = "DELETE FROM machine WHERE model = $1 AND number = $2";
}

/// Adds a machine.
pub(crate) fn insert(tx: &mut Tx<'_>, machine: &Machine) -> Result<(), Error> {
    tx.exec(
        INSERT,
        (
            &machine.model,
            machine.number,
            &machine.life,
            &machine.base,
            &machine.constraints,
            &machine.agent,
            machine.manual,
            machine.created,
        ),
    )?;
    Ok(())
}
