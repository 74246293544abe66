//! One file or folder per search algorithm.

mod auto;
mod cmaes;
mod gp;
mod grid;
mod layout;
mod nsga2;
mod random;
mod sobol;
mod tpe;

use std::fmt::Debug;
use std::sync::Arc;

pub use auto::Auto;
pub use cmaes::CmaEs;
pub use gp::{GaussianProcess, Pending};
pub use grid::Grid;
pub(crate) use layout::Table;
pub use nsga2::Nsga2;
pub use random::Random;
pub use sobol::Sobol;
pub use tpe::Tpe;

use rand::{Rng, RngExt};

use crate::{Direction, Params, Result, Space, TrialRecord};

/// What a suggester is asked.
#[derive(Debug, Clone, Copy)]
pub struct Task<'a> {
    /// One direction per objective.
    pub directions: &'a [Direction],
    /// All trials that may be learnt from, by number: ended, running and waiting ones.
    pub history: &'a [Arc<TrialRecord>],
    /// The study's static space, if it has one.
    pub space: Option<&'a Space>,
    /// Parameters that have one value whatever is suggested.
    pub fixed: &'a Params,
    /// The trial's number.
    pub number: u64,
    /// Its position among the trials whose parameters are suggested.
    pub point: u64,
    /// The study's seed.
    pub study_seed: u64,
    /// A seed of the trial's own.
    pub seed: u64,
}

#[cfg(test)]
impl<'a> Task<'a> {
    /// Of a study that minimises and has no static space.
    fn after(history: &'a [Arc<TrialRecord>], number: u64) -> Self {
        static NOTHING: Params = Params::new();
        Self {
            directions: &[Direction::Minimize],
            history,
            space: None,
            fixed: &NOTHING,
            number,
            point: number,
            study_seed: 1,
            seed: number,
        }
    }
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

/// A standard normal draw (Box and Muller 1958).
fn normal(rng: &mut impl Rng) -> f64 {
    let (u, v): (f64, f64) = (1.0 - rng.random::<f64>(), rng.random());
    (-2.0 * u.ln()).sqrt() * (2.0 * std::f64::consts::PI * v).cos()
}
