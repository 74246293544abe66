use super::layout::Table;
use super::{Suggester, Task};
use crate::{Params, Result};

/// Quasi-random search: a scrambled Sobol sequence (Sobol 1967; Owen scrambling as by
/// Burley 2020), which covers the space more evenly than [`Random`](super::Random).
///
/// Without a static space the first trial is random, to learn the parameters; those of
/// more than 256 parameters, and those beyond the sequence's 65,536 points, are random.
#[derive(Debug, Default)]
pub struct Sobol {
    table: Table,
}

impl Sobol {
    /// The sequence that the study's seed scrambles.
    pub fn new() -> Self {
        Self::default()
    }
}

impl Suggester for Sobol {
    fn suggest(&mut self, task: &Task<'_>) -> Result<Option<Params>> {
        self.table.update(task);
        Ok(Some(point(&self.table, task).unwrap_or_default()))
    }
}

/// The sequence's point for the trial.
pub(super) fn point(table: &Table, task: &Task<'_>) -> Option<Params> {
    let mut point = unit(table.columns.len(), task.point, task.study_seed)?;
    table.settle(&mut point);
    Some(table.decode(&point))
}

/// The `index`-th point of the unit cube.
pub(super) fn unit(dims: usize, index: u64, seed: u64) -> Option<Vec<f64>> {
    let index = u32::try_from(index).ok().filter(|&i| i < 1 << 16)?;
    if dims == 0 || dims > sobol_burley::NUM_DIMENSIONS as usize {
        return None;
    }
    let seed = (seed ^ (seed >> 32)) as u32;
    Some((0..dims).map(|d| f64::from(sobol_burley::sample(index, d as u32, seed))).collect())
}
