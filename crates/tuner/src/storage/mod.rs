//! Where studies are kept.

mod journal;
mod json;
mod memory;
mod op;
mod python;
mod replay;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
mod sql;
pub(crate) mod worker;

use std::fmt::Debug;
use std::sync::Arc;

pub use journal::Journal;
pub(crate) use json::value as choice_from_json;
pub use memory::Memory;
pub use op::{Op, Scope};
#[cfg(feature = "postgres")]
pub use sql::Postgres;
#[cfg(feature = "sqlite")]
pub use sql::Sqlite;

use crate::{Result, StudyRecord, TrialRecord};

/// Where studies are kept.
///
/// A storage is the fold of its operations: [`commit`](Self::commit) adds some, the other
/// two methods read the result. Several studies, processes and machines may share one.
pub trait Storage: Debug + Send + Sync {
    /// All studies.
    ///
    /// # Errors
    /// When they cannot be read.
    fn studies(&self) -> Result<Vec<StudyRecord>>;

    /// All trials of a study by number, those of other processes too.
    ///
    /// # Errors
    /// When they cannot be read.
    fn trials(&self, study: u64) -> Result<Vec<Arc<TrialRecord>>>;

    /// Does some operations, durably and all or none.
    ///
    /// Gives the id of what the last [`Op::CreateStudy`] or [`Op::CreateTrial`] made, or
    /// of the waiting trial that an [`Op::SetState`] to running has claimed; `None`
    /// where there is no such operation, or another process had claimed it before.
    ///
    /// # Errors
    /// When an operation is refused (an ended trial, a redefined parameter, a name twice)
    /// or cannot be written; the storage is then as it was.
    fn commit(&self, ops: &[Op]) -> Result<Option<u64>>;

    /// Whether it outlives the process, so that trials can be lost and found.
    fn is_lasting(&self) -> bool {
        true
    }
}

impl Storage for Box<dyn Storage> {
    fn studies(&self) -> Result<Vec<StudyRecord>> {
        (**self).studies()
    }

    fn trials(&self, study: u64) -> Result<Vec<Arc<TrialRecord>>> {
        (**self).trials(study)
    }

    fn commit(&self, ops: &[Op]) -> Result<Option<u64>> {
        (**self).commit(ops)
    }

    fn is_lasting(&self) -> bool {
        (**self).is_lasting()
    }
}
