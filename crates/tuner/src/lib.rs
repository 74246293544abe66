//! Hyperparameter search: grid, random and Gaussian-process Bayesian suggesters over
//! define-by-run or static spaces, with studies that survive a kill.
//!
//! ```
//! use counterweight_tuner::{GaussianProcess, Study};
//!
//! let mut study = Study::minimize("loss")
//!     .suggester(GaussianProcess::new().with_startup(5))
//!     .seed(7);
//! study.optimize(20, |trial| {
//!     let x = trial.suggest_float("x", -2.0..=2.0)?;
//!     let kind = trial.suggest_categorical("kind", &["a", "b"])?;
//!     Ok((x - 0.5).powi(2) + if kind == "b" { 1.0 } else { 0.0 })
//! })?;
//! let best = study.best().unwrap();
//! assert!(best.value.unwrap() < 0.05);
//! # Ok::<(), counterweight_tuner::Error>(())
//! ```
//!
//! This crate depends neither on burn nor on the other crates of counterweight.

mod error;
mod params;
mod space;
mod storage;
mod study;
mod suggester;
mod trial;

pub use error::{BoxError, Error, Result};
pub use params::{Params, Value};
pub use space::{Distribution, Space};
pub use storage::{Journal, Memory, Record, Storage};
pub use study::{Direction, Study};
pub use suggester::{GaussianProcess, Grid, Observation, Random, Suggester, Task};
pub use trial::{State, Trial, TrialRecord};
