//! Hyperparameter search: Gaussian-process Bayesian optimisation with a trust region, TPE,
//! CMA-ES, NSGA-II, Sobol, grid and random suggesters over define-by-run or static spaces;
//! pruners; and studies that survive a kill, are shared by many processes, and are
//! Optuna's as well.
//!
//! ```
//! use counterweight_tuner::Study;
//!
//! let study = Study::minimize("loss").seed(7);
//! study.optimize(30, |trial| {
//!     let x = trial.suggest_float("x", -2.0..=2.0)?;
//!     let kind = trial.suggest_categorical("kind", &["a", "b"])?;
//!     Ok((x - 0.5).powi(2) + if kind == "b" { 1.0 } else { 0.0 })
//! })?;
//! let best = study.best()?.unwrap();
//! assert!(best.value().unwrap() < 0.01);
//! # Ok::<(), counterweight_tuner::Error>(())
//! ```
//!
//! | place | one pattern | members |
//! |---|---|---|
//! | what to try | [`Suggester`] | [`Auto`] (default), [`GaussianProcess`], [`Tpe`], [`CmaEs`], [`Nsga2`], [`Sobol`], [`Grid`], [`Random`] |
//! | when to give up | [`Pruner`] | [`Percentile`] (median), [`SuccessiveHalving`] (ASHA), [`Hyperband`] (with [`Tpe`]: BOHB), [`Wilcoxon`] |
//! | where it is kept | [`Storage`] | [`Memory`], [`Journal`], `Sqlite` (feature `sqlite`, default), `Postgres` (feature `postgres`) |
//!
//! A journal or database is Optuna's own format: its workers join the study, and its
//! dashboard shows it. This crate depends neither on burn nor on the other crates of
//! counterweight.

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
    Auto, CmaEs, GaussianProcess, Grid, Nsga2, Pending, Random, Sobol, Suggester, Task, Tpe,
};
pub use trial::Trial;
pub use value::{Params, Value};
