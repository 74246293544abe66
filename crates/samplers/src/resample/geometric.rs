use counterweight_core::ensure;
use rand::RngExt;
use serde::{Deserialize, Serialize};

use super::macros::resampler;
use super::{Growth, Resampler, begun, ensure_members, growths, rows_by_class};
use crate::neighbours::nearest;
use crate::plan::Details;
use crate::{Error, Origin, Plan, PlannedRow, Result, Strategy, Table};

const METHOD: &str = "Geometric SMOTE";

/// Which row is on the surface of [`GeometricSmote`]'s ball.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Surface {
    /// One of the k nearest rows of the class.
    Minority,
    /// The nearest row of another class.
    Majority,
    /// The nearer of both.
    #[default]
    Combined,
}

resampler! {
    /// Geometric SMOTE, G-SMOTE (Douzas and Bacao, Information Sciences 2019): each synthetic row
    /// is drawn from the ball around a row of the class whose surface goes through another row.
    ///
    /// The ball may be cut and squeezed: truncation τ in \[−1, 1\] leaves the half towards the
    /// surface row at 1, the ball at 0 and the other half at −1; deformation δ in \[0, 1\] makes
    /// it the segment between both rows at 1. With `Surface::Minority`, τ = 1 and δ = 1 it is
    /// SMOTE.
    GeometricSmote {
        /// Sets the final counts; every class grows to the largest by default.
        with_strategy(strategy: Strategy = Strategy::Auto),
        /// Sets the number of neighbours, at least 1; 5 by default.
        with_k(k: usize = 5),
        /// Sets the truncation; 1 by default.
        with_truncation(truncation: f64 = 1.0),
        /// Sets the deformation; 0 by default.
        with_deformation(deformation: f64 = 0.0),
        /// Sets the row on the surface; combined by default.
        with_surface(surface: Surface = Surface::Combined),
        /// Sets the seed; 0 by default.
        with_seed(seed: u64 = 0),
    }
}

impl Resampler for GeometricSmote {
    fn plan(&self, x: &dyn Table, y: &[usize]) -> Result<Plan> {
        let x = &x.features()?;
        ensure("k", self.k as f64, self.k >= 1, "[1, inf)")?;
        let (cut, squeeze) = (self.truncation, self.deformation);
        ensure("truncation", cut, (-1.0..=1.0).contains(&cut), "[-1, 1]")?;
        ensure("deformation", squeeze, (0.0..=1.0).contains(&squeeze), "[0, 1]")?;
        let rows = rows_by_class(x, y)?;
        x.dense(METHOD)?;
        let growing = growths(&rows, &self.strategy, self.seed, METHOD)?;
        let mut planned = begun(y, &growing);
        for growth in growing {
            let Growth { class, members, wanted, mut rng } = growth;
            let own = match self.surface {
                Surface::Majority => Vec::new(),
                _ => {
                    ensure_members(class, members.len(), self.k, METHOD)?;
                    nearest(x, members, members, self.k)
                }
            };
            let strangers = match self.surface {
                Surface::Minority => Vec::new(),
                _ => {
                    let others: Vec<usize> = (0..y.len()).filter(|&row| y[row] != class).collect();
                    if others.is_empty() {
                        return Err(Error::NoStrangers { method: METHOD, class });
                    }
                    nearest(x, members, &others, 1)
                }
            };
            planned.extend((0..wanted).map(|_| {
                let base = rng.random_range(0..members.len());
                let friend = own.get(base).map(|near| near[rng.random_range(0..near.len())]);
                let stranger = strangers.get(base).map(|near| near[0]);
                let surface = match (friend, stranger) {
                    (Some(a), Some(b)) if a.squared <= b.squared => a.row,
                    (_, Some(b)) => b.row,
                    (Some(a), None) => a.row,
                    (None, None) => members[base],
                };
                let origin = Origin::Ball { centre: members[base], surface, draw: rng.random() };
                PlannedRow { origin, class }
            }));
        }
        let details = Details { ball: (cut, squeeze), ..Details::default() };
        Ok(Plan::new(planned).with_details(details))
    }
}
