//! A ledger as a whole, whichever database it is in: moving, saving, restoring and proving it.

mod archive;
pub(crate) mod content;
mod copy;
mod place;
mod side;
pub(crate) mod tables;
mod target;
mod words;

pub use archive::{ARCHIVE_FORMAT, backup, restore};
pub use copy::{Moved, MovedTable, export_audit, migrate, verify_audit};
pub use place::LedgerPlace;
