use jiff::Timestamp;

use crate::{Direction, Distribution, State, TrialRecord};

/// Whose notes an attribute belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scope {
    /// The user's.
    User,
    /// The library's.
    System,
}

/// One change of a storage.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Op {
    /// Begins a study.
    CreateStudy {
        /// Its name, unique in the storage.
        name: String,
        /// One direction per objective.
        directions: Vec<Direction>,
    },
    /// Removes a study.
    DeleteStudy {
        /// Its id.
        study: u64,
    },
    /// Notes something about a study.
    SetStudyAttr {
        /// Its id.
        study: u64,
        /// Whose note.
        scope: Scope,
        /// Name of the note.
        key: String,
        /// The note.
        value: serde_json::Value,
    },
    /// Adds a trial.
    CreateTrial {
        /// The study's id.
        study: u64,
        /// When it begins; `None` for one that waits.
        started: Option<Timestamp>,
        /// A trial to take over, all but id, number and start; without it, one that runs.
        template: Option<Box<TrialRecord>>,
    },
    /// Gives a parameter of a trial its value.
    SetParam {
        /// The trial's id.
        trial: u64,
        /// The parameter.
        name: String,
        /// The value as [`Distribution::to_internal`] gives it.
        internal: f64,
        /// What it was suggested from.
        distribution: Distribution,
    },
    /// Starts, ends or requeues a trial.
    SetState {
        /// The trial's id.
        trial: u64,
        /// Its new state.
        state: State,
        /// Its values, if it has any.
        values: Option<Vec<f64>>,
        /// Now.
        at: Timestamp,
    },
    /// Reports a value at a step.
    Report {
        /// The trial's id.
        trial: u64,
        /// The step.
        step: i64,
        /// The value.
        value: f64,
    },
    /// Notes something about a trial.
    SetTrialAttr {
        /// Its id.
        trial: u64,
        /// Whose note.
        scope: Scope,
        /// Name of the note.
        key: String,
        /// The note.
        value: serde_json::Value,
    },
}
