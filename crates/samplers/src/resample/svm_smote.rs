use std::collections::BTreeMap;

use counterweight_core::ensure;
use rand::RngExt;
use rand_distr::{Beta, Distribution};

use super::macros::resampler;
use super::svm::support;
use super::{
    Growth, Resampler, begun, between, ensure_members, ensure_neighbours, growths, rows_by_class,
    strangers,
};
use crate::neighbours::nearest;
use crate::table::Features;
use crate::{Error, Plan, Result, Strategy, Table};

const METHOD: &str = "SVM-SMOTE";

resampler! {
    /// SVM-SMOTE (Nguyen, Cooper and Kamei 2011): SMOTE from the support vectors of an RBF
    /// machine. Those in danger (at least half of their m nearest neighbours are strangers) go
    /// towards neighbours of their class; safe ones go away from them, up to `out_step`, where
    /// the class expands. Support vectors among strangers only are noise and not used.
    ///
    /// As in imbalanced-learn the machine has C = 1 and γ = 1 / (columns · variance of all
    /// entries), several classes are separated pair by pair, and the share of rows made from
    /// those in danger is drawn from Beta(10, 10). Where one kind is missing the other makes all
    /// the rows (imbalanced-learn makes only its share).
    SvmSmote {
        /// Sets the final counts; every class grows to the largest by default.
        with_strategy(strategy: Strategy = Strategy::Auto),
        /// Sets the neighbours to go towards, at least 1; 5 by default.
        with_k(k: usize = 5),
        /// Sets the neighbours that tell danger, at least 1; 10 by default.
        with_m(m: usize = 10),
        /// Sets how far safe rows go, above 0; 0.5 by default.
        with_out_step(out_step: f64 = 0.5),
        /// Sets C of the machine, above 0; 1 by default.
        with_cost(cost: f64 = 1.0),
        /// Names the support vectors, from a machine of your own; found here by default.
        with_support(support: Vec<usize> = Vec::new()),
        /// Sets the seed; 0 by default.
        with_seed(seed: u64 = 0),
    }
}

/// What a support vector is used for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SupportVectors {
    /// Half or more, but not all, of their neighbours are strangers.
    pub danger: Vec<usize>,
    /// Less than half are.
    pub safe: Vec<usize>,
    /// All are.
    pub noise: Vec<usize>,
}

impl SvmSmote {
    /// The support vectors of a class by what their neighbours are.
    ///
    /// # Errors
    /// As [`plan`](Resampler::plan).
    pub fn support(&self, x: &dyn Table, y: &[usize], class: usize) -> Result<SupportVectors> {
        let x = &x.features()?;
        let rows = rows_by_class(x, y)?;
        self.check(y)?;
        self.support_of(x, y, &rows, class)
    }

    fn check(&self, y: &[usize]) -> Result<()> {
        ensure("k", self.k as f64, self.k >= 1, "[1, inf)")?;
        for (name, value) in [("out_step", self.out_step), ("cost", self.cost)] {
            ensure(name, value, value > 0.0 && value.is_finite(), "(0, inf)")?;
        }
        if let Some(&row) = self.support.iter().find(|row| **row >= y.len()) {
            return Err(Error::PlanRow { row, rows: y.len() });
        }
        ensure_neighbours("m", self.m, y.len(), METHOD)
    }

    fn support_of(
        &self,
        x: &Features<'_>,
        y: &[usize],
        rows: &BTreeMap<usize, Vec<usize>>,
        class: usize,
    ) -> Result<SupportVectors> {
        let Some(members) = rows.get(&class) else { return Ok(SupportVectors::default()) };
        let mut found: Vec<usize> = if self.support.is_empty() {
            let x = x.dense(METHOD)?;
            let mean = x.sum() / x.len() as f64;
            let variance = x.iter().map(|v| (v - mean) * (v - mean)).sum::<f64>() / x.len() as f64;
            // Constant features: every row is alike whatever γ is.
            let gamma = if variance > 0.0 { 1.0 / (x.ncols() as f64 * variance) } else { 1.0 };
            let others = rows.iter().filter(|(other, _)| **other != class);
            others.flat_map(|(_, other)| support(x, members, other, self.cost, gamma)).collect()
        } else {
            self.support.iter().copied().filter(|&row| y[row] == class).collect()
        };
        found.sort_unstable();
        found.dedup();
        let strangers = strangers(x, y, &found, self.m);
        let mut sorted = SupportVectors::default();
        for (row, strangers) in found.into_iter().zip(strangers) {
            let kind = match strangers {
                n if n == self.m => &mut sorted.noise,
                n if 2 * n >= self.m => &mut sorted.danger,
                _ => &mut sorted.safe,
            };
            kind.push(row);
        }
        Ok(sorted)
    }
}

impl Resampler for SvmSmote {
    fn plan(&self, x: &dyn Table, y: &[usize]) -> Result<Plan> {
        let x = &x.features()?;
        let rows = rows_by_class(x, y)?;
        self.check(y)?;
        let growing = growths(&rows, &self.strategy, self.seed, METHOD)?;
        let mut planned = begun(y, &growing);
        for growth in growing {
            let Growth { class, members, wanted, mut rng } = growth;
            ensure_members(class, members.len(), self.k, METHOD)?;
            let SupportVectors { danger, safe, .. } = self.support_of(x, y, &rows, class)?;
            let share: f64 = match (danger.is_empty(), safe.is_empty()) {
                (true, true) => return Err(Error::AllNoise { class }),
                (true, false) => 0.0,
                (false, true) => 1.0,
                // Both parameters are positive.
                _ => Beta::new(10.0, 10.0).map_or(0.5, |beta| beta.sample(&mut rng)),
            };
            let inwards = ((share * (wanted + 1) as f64) as usize).min(wanted);
            for (bases, n, reach) in
                [(&danger, inwards, 1.0), (&safe, wanted - inwards, -self.out_step)]
            {
                let near = nearest(x, bases, members, self.k);
                planned.extend((0..n).map(|_| {
                    let base = rng.random_range(0..bases.len());
                    between(bases[base], &near[base], class, &mut rng, |_| reach)
                }));
            }
        }
        Ok(Plan::new(planned))
    }
}
