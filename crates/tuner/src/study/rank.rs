//! Which trials are best.

use std::cmp::Ordering;
use std::sync::Arc;

use super::Study;
use crate::{Error, Result, State, TrialRecord};

impl Study {
    /// The best complete trial of a study with one objective, the first of equals.
    /// Feasible trials come first; if there is none, the one that breaks its constraints
    /// least.
    ///
    /// # Errors
    /// [`Error::Objectives`] with several objectives; errors of the storage.
    pub fn best(&self) -> Result<Option<Arc<TrialRecord>>> {
        if self.directions().len() != 1 {
            let found = self.directions().len();
            return Err(Error::Objectives { what: "the best trial", allowed: "1", found });
        }
        let trials = self.trials()?;
        Ok(trials.iter().filter(|t| self.loss(t).is_some()).min_by(|a, b| self.rank(a, b)).cloned())
    }

    /// The Pareto front: complete, feasible trials that no other one betters in every
    /// objective, by number.
    ///
    /// # Errors
    /// Of the storage.
    pub fn front(&self) -> Result<Vec<Arc<TrialRecord>>> {
        let trials = self.trials()?;
        let (front, losses): (Vec<_>, Vec<_>) = trials
            .iter()
            .filter(|t| t.state == State::Complete && t.violation() == 0.0)
            .filter_map(|t| Some((t, t.losses(self.directions())?)))
            .unzip();
        Ok(pareto_front(&losses).into_iter().map(|i| front[i].clone()).collect())
    }

    /// The hypervolume between the front and a reference point that is worse than all of
    /// it, in the units of the objectives.
    ///
    /// # Errors
    /// [`Error::Objectives`] when the reference has another number of values; errors of
    /// the storage.
    pub fn hypervolume(&self, reference: &[f64]) -> Result<f64> {
        let directions = self.directions();
        if reference.len() != directions.len() {
            let found = directions.len();
            return Err(Error::Objectives { what: "the reference", allowed: "as many", found });
        }
        let loss = |values: &[f64]| -> Vec<f64> {
            directions.iter().zip(values).map(|(d, &v)| d.loss(v)).collect()
        };
        let front: Vec<Vec<f64>> = self.front()?.iter().map(|t| loss(&t.values)).collect();
        Ok(hypervolume(&front, &loss(reference)))
    }

    /// The loss of a complete trial with one objective.
    pub(super) fn loss(&self, trial: &TrialRecord) -> Option<f64> {
        trial.losses(self.directions())?.first().copied()
    }

    /// Feasible first, then by loss; among infeasible ones by what they break.
    pub(super) fn rank(&self, a: &TrialRecord, b: &TrialRecord) -> Ordering {
        let loss = |t| self.loss(t).unwrap_or(f64::INFINITY);
        a.violation().total_cmp(&b.violation()).then(loss(a).total_cmp(&loss(b)))
    }
}

/// Whether `a` is nowhere worse than `b` and somewhere better.
pub(crate) fn dominates(a: &[f64], b: &[f64]) -> bool {
    a.iter().zip(b).all(|(a, b)| a <= b) && a.iter().zip(b).any(|(a, b)| a < b)
}

/// Positions of the points that no other one dominates, small being better.
///
/// ```
/// use counterweight_tuner::pareto_front;
///
/// let losses = [vec![1.0, 4.0], vec![2.0, 2.0], vec![3.0, 3.0], vec![4.0, 1.0]];
/// assert_eq!(pareto_front(&losses), [0, 1, 3]);
/// ```
pub fn pareto_front(losses: &[Vec<f64>]) -> Vec<usize> {
    // After sorting, only an earlier point can dominate a later one.
    let mut order: Vec<usize> = (0..losses.len()).collect();
    order.sort_by(|&a, &b| {
        let pairs = losses[a].iter().zip(&losses[b]);
        pairs.map(|(x, y)| x.total_cmp(y)).find(|o| o.is_ne()).unwrap_or(a.cmp(&b))
    });
    let mut front: Vec<usize> = Vec::new();
    for i in order {
        if !front.iter().any(|&f| dominates(&losses[f], &losses[i])) {
            front.push(i);
        }
    }
    front.sort_unstable();
    front
}

/// The volume that points dominate below a reference point, small values being better
/// (Zitzler and Thiele 1998). Exact: by sweep for two objectives, by inclusion and
/// exclusion of limited fronts (WFG; While et al. 2012) for more. Points that do not
/// better the reference everywhere, or have another number of values, add nothing.
///
/// ```
/// use counterweight_tuner::hypervolume;
///
/// let front = [vec![0.0, 1.0], vec![1.0, 0.0]];
/// assert_eq!(hypervolume(&front, &[2.0, 2.0]), 3.0);
/// ```
pub fn hypervolume(losses: &[Vec<f64>], reference: &[f64]) -> f64 {
    if reference.is_empty() {
        return 0.0;
    }
    let inside =
        |p: &&Vec<f64>| p.len() == reference.len() && p.iter().zip(reference).all(|(p, r)| p < r);
    let points: Vec<Vec<f64>> = losses.iter().filter(inside).cloned().collect();
    let front = pareto_front(&points);
    let mut front: Vec<Vec<f64>> = front.into_iter().map(|i| points[i].clone()).collect();
    front.sort_by(|a, b| a[0].total_cmp(&b[0]));
    volume(&front, reference)
}

/// Of a front sorted by its first coordinate.
fn volume(front: &[Vec<f64>], reference: &[f64]) -> f64 {
    if reference.len() == 2 {
        let mut floor = reference[1];
        let strip = |p: &Vec<f64>| {
            let area = (reference[0] - p[0]) * (floor - p[1]).max(0.0);
            floor = floor.min(p[1]);
            area
        };
        return front.iter().map(strip).sum();
    }
    let exclusive = |(i, p): (usize, &Vec<f64>)| {
        let own: f64 = p.iter().zip(reference).map(|(p, r)| r - p).product();
        let limited: Vec<Vec<f64>> = front[i + 1..]
            .iter()
            .map(|q| p.iter().zip(q).map(|(a, b)| a.max(*b)).collect())
            .collect();
        own - hypervolume(&limited, reference)
    };
    front.iter().enumerate().map(exclusive).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_objectives_agree_with_counting_cells() {
        let points =
            [[1.0, 2.0, 3.0], [3.0, 1.0, 2.0], [2.0, 3.0, 1.0], [2.0, 2.0, 2.0], [3.0, 3.0, 3.0]];
        let points: Vec<Vec<f64>> = points.iter().map(|p| p.to_vec()).collect();
        let mut cells = 0;
        for x in 0..4 {
            for y in 0..4 {
                for z in 0..4 {
                    let corner = [f64::from(x), f64::from(y), f64::from(z)];
                    let covers = |p: &Vec<f64>| p.iter().zip(&corner).all(|(p, c)| p <= c);
                    cells += i32::from(points.iter().any(covers));
                }
            }
        }
        assert_eq!(hypervolume(&points, &[4.0; 3]), f64::from(cells));
        assert_eq!(hypervolume(&points, &[4.0; 2]), 0.0);
        assert_eq!(hypervolume(&[vec![]], &[]), 0.0);
    }
}
