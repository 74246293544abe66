//! Hyperparameter search.

mod direction;
mod distribution;
mod error;
mod importance;
#[cfg(feature = "plot")]
mod plot;
mod pruner;
mod record;
mod space;
mod storage;
mod study;
mod suggester;
mod trial;
mod value;

pub use direction::Direction;
pub use distribution::Distribution;
pub use error::{BoxError, Error, Result};
pub use importance::Importance;
#[cfg(feature = "plot")]
pub use plot::Plot;
pub use pruner::{
    Hyperband, NoPruner, Note, Percentile, PruneTask, Pruner, SuccessiveHalving, Wilcoxon,
};
pub use record::{Attributes, State, StudyRecord, TrialRecord};
pub use space::Space;
#[cfg(feature = "postgres")]
pub use storage::Postgres;
#[cfg(feature = "sqlite")]
pub use storage::Sqlite;
pub use storage::{Journal, Memory, Op, Scope, Storage};
pub use study::{Study, Values, hypervolume, pareto_front};
pub use suggester::{
    Auto, CmaEs, GaussianProcess, Grid, Nsga2, Random, Sobol, Suggester, Task, Tpe,
};
pub use trial::Trial;
pub use value::{Params, Value};
