//! Tree-structured Parzen estimator.

mod parzen;
mod split;

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use self::parzen::Parzen;
use super::layout::Table;
use super::{Suggester, Task, sobol};
use crate::{Error, Params, Result, State};

/// The tree-structured Parzen estimator (Bergstra et al., NeurIPS 2011), multivariate
/// (Falkner et al., ICML 2018).
///
/// Trials are split into the best `⌈0.1 n⌉`, at most 25, and the others; a mixture of
/// products of truncated normals and smoothed categories is put on each. Of 24 points
/// drawn from the density of the good ones, *l*, the one with the largest `l / g` is
/// tried. Bandwidths, weights (the newest 25 count fully, older ones less) and the broad
/// prior component are those of Optuna's `TPESampler`.
///
/// - Pruned trials rank after complete ones, by how far they came, then by what they
///   reported; infeasible trials after those, by what they break; running ones count as
///   bad, so that parallel workers spread out.
/// - With several objectives the good ones are the first non-dominated fronts, the last
///   of them thinned by hypervolume (Ozaki et al., JAIR 2022).
/// - A parameter that is only there in some trials has the prior's density in the others.
///
/// The first trials are quasi-random (default 10). Cheap at thousands of trials, where the
/// Gaussian process is not.
#[derive(Debug)]
pub struct Tpe {
    startup: usize,
    candidates: usize,
    table: Table,
}

impl Default for Tpe {
    fn default() -> Self {
        Self { startup: 10, candidates: 24, table: Table::default() }
    }
}

impl Tpe {
    /// 10 quasi-random trials first, 24 candidates.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the number of trials before the model is used, at least 2.
    #[must_use]
    pub fn with_startup(mut self, startup: usize) -> Self {
        self.startup = startup;
        self
    }

    /// Sets the number of candidates, at least 1.
    #[must_use]
    pub fn with_candidates(mut self, candidates: usize) -> Self {
        self.candidates = candidates;
        self
    }
}

impl Suggester for Tpe {
    fn suggest(&mut self, task: &Task<'_>) -> Result<Option<Params>> {
        for (name, value, allowed) in
            [("startup", self.startup, 2), ("candidates", self.candidates, 1)]
        {
            if value < allowed {
                let allowed = if allowed == 2 { "[2, inf)" } else { "[1, inf)" };
                return Err(Error::OutOfRange { name, value: value as f64, allowed });
            }
        }
        self.table.update(task);
        let told: Vec<_> = task
            .history
            .iter()
            .filter(|t| matches!(t.state, State::Complete | State::Pruned))
            .filter_map(|t| Some((&**t, &**self.table.row(t)?)))
            .collect();
        if told.len() < self.startup {
            return Ok(Some(sobol::point(&self.table, task).unwrap_or_default()));
        }
        let good = split::good(&told, task.directions, told.len().div_ceil(10).min(25));
        let rows = |want: bool| {
            told.iter().zip(&good).filter(move |(_, good)| **good == want).map(|((_, row), _)| *row)
        };
        let running = self.table.running(task);
        let below: Vec<&[f64]> = rows(true).collect();
        let above: Vec<&[f64]> = rows(false).chain(running.iter().map(|r| &**r)).collect();
        let columns = &self.table.columns;
        let (l, g) = (Parzen::new(&below, columns), Parzen::new(&above, columns));
        let mut rng = ChaCha8Rng::seed_from_u64(task.seed);
        let drawn: Vec<Vec<f64>> = (0..self.candidates)
            .map(|_| {
                let mut point = l.draw(&mut rng);
                self.table.settle(&mut point);
                point
            })
            .collect();
        let (l, g) = (l.log_densities(&drawn), g.log_densities(&drawn));
        let best = (0..drawn.len()).max_by(|&a, &b| (l[a] - g[a]).total_cmp(&(l[b] - g[b])));
        Ok(Some(best.map(|i| self.table.decode(&drawn[i])).unwrap_or_default()))
    }
}
