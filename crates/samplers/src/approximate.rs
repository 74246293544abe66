use std::sync::{Mutex, PoisonError};

use counterweight_core::ensure;

use crate::table::Store;
use crate::{Error, Features, Result, Table};

/// A table whose neighbours are looked for in a hierarchical navigable small-world graph (HNSW,
/// Malkov and Yashunin, TPAMI 2020) instead of exactly, by every resampler that asks for them.
///
/// Exact search is fast here: on two cores and 32 columns ENN of 100,000 rows took a fifteenth of the
/// time. It grows with the square of the rows and the graph nearly in proportion, so that it may pay
/// from several million rows on. What it finds depends on the data; the
/// [`recall`](Self::recall) says how much of the truth that was. The plan is the same at any number
/// of threads.
///
/// ```
/// use counterweight_samplers::{Approximate, Resampler, Smote};
/// use ndarray::Array2;
///
/// let x = Array2::from_shape_fn((3000, 8), |(r, c)| f64::from(((r * 37 + c * 101) % 997) as u32));
/// let y: Vec<usize> = (0..3000).map(|row| usize::from(row % 3 == 0)).collect();
/// let table = Approximate::new(&x);
/// let plan = Smote::new().plan(&table, &y)?;
/// let (x2, _) = plan.apply(&x)?;
/// assert_eq!(x2.nrows(), 4000);
/// assert!(table.recall().is_some_and(|recall| recall > 0.9));
/// # Ok::<(), counterweight_samplers::Error>(())
/// ```
#[derive(Debug)]
pub struct Approximate<T> {
    table: T,
    search: Search,
}

/// How to search, and how well it went.
#[derive(Debug)]
pub(crate) struct Search {
    pub(crate) links: usize,
    pub(crate) effort: usize,
    pub(crate) seed: u64,
    /// Neighbours found of those looked for.
    found: Mutex<(usize, usize)>,
}

impl<T: Table> Approximate<T> {
    /// A dense table, 16 links for each row, 64 candidates, seed 0.
    pub fn new(table: T) -> Self {
        Self { table, search: Search { links: 16, effort: 64, seed: 0, found: Mutex::default() } }
    }

    /// Sets the links of each row, M, in `[2, 256]`; more find more among many columns. Default: 16.
    ///
    /// # Errors
    /// When they are out of range.
    pub fn with_links(mut self, links: usize) -> Result<Self> {
        ensure("links", links as f64, (2..=256).contains(&links), "[2, 256]")?;
        self.search.links = links;
        Ok(self)
    }

    /// Sets the candidates of a search, ef, at least 1 and at least the neighbours wanted; more
    /// find more and take longer. Default: 64.
    ///
    /// # Errors
    /// When they are out of range.
    pub fn with_effort(mut self, effort: usize) -> Result<Self> {
        ensure("effort", effort as f64, effort >= 1, "[1, inf)")?;
        self.search.effort = effort;
        Ok(self)
    }

    /// Sets the seed of the rows' levels. Default: 0.
    #[must_use]
    pub fn with_seed(mut self, seed: u64) -> Self {
        self.search.seed = seed;
        self
    }

    /// The share of the true neighbours that were found, over at most 64 rows of each search so far
    /// that were also searched exactly; none before the first search, or where all were exact
    /// because there are few rows.
    pub fn recall(&self) -> Option<f64> {
        let (found, wanted) = *self.search.lock();
        (wanted > 0).then(|| found as f64 / wanted as f64)
    }
}

impl Search {
    fn lock(&self) -> std::sync::MutexGuard<'_, (usize, usize)> {
        // Two numbers are whole whatever happened to another thread.
        self.found.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn note(&self, found: usize, wanted: usize) {
        let mut sum = self.lock();
        (sum.0, sum.1) = (sum.0 + found, sum.1 + wanted);
    }
}

impl<T: Table> Table for Approximate<T> {
    fn features(&self) -> Result<Features<'_>> {
        match self.table.features()?.0 {
            Store::Dense(x) => Ok(Features(Store::Approximate(x, &self.search))),
            _ => Err(Error::Sparse { method: "approximate search" }),
        }
    }
}
