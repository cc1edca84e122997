//! The tables, and what each version of them made of the one before.

use apyfal_database::Schema;

pub(super) const SCHEMA: Schema = Schema {
    name: "journal",
    owner: "agent",
    // "Apyf".
    mark: 0x4170_7966,
    migrations: &[
        include_str!("schema/1.sql"),
        include_str!("schema/2.sql"),
        include_str!("schema/3.sql"),
        include_str!("schema/4.sql"),
    ],
};
