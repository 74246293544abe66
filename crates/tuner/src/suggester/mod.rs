//! One file per search algorithm.

mod gp;
mod grid;
mod random;

use std::fmt::Debug;

pub use gp::GaussianProcess;
pub use grid::Grid;
pub use random::Random;

use crate::{Params, Result, Space};

/// A finished trial as suggesters see it.
#[derive(Debug, Clone, Copy)]
pub struct Observation<'a> {
    /// Its parameters.
    pub params: &'a Params,
    /// Its value, negated when the study minimises: larger is better.
    pub score: f64,
}

/// What a suggester is asked.
#[derive(Debug, Clone, Copy)]
pub struct Task<'a> {
    /// The complete trials by number.
    pub observations: &'a [Observation<'a>],
    /// The study's static space, or else what all complete trials share; `None` before
    /// the first.
    pub space: Option<&'a Space>,
    /// The trial's number.
    pub number: u64,
    /// A seed of the trial's own.
    pub seed: u64,
}

/// Proposes parameters.
pub trait Suggester: Debug + Send {
    /// Values for some or all parameters of the task's space; the rest are drawn at
    /// random when the objective asks for them. `None` when there is nothing left to try.
    ///
    /// # Errors
    /// When the algorithm cannot work on the space.
    fn suggest(&mut self, task: &Task<'_>) -> Result<Option<Params>>;
}
