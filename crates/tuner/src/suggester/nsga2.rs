use std::cmp::Ordering;

use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::layout::{Kind, Table};
use super::{Suggester, Task, sobol};
use crate::study::dominates;
use crate::{Error, Params, Result};

/// NSGA-II (Deb et al. 2002) in its steady state (Durillo et al. 2009): the parents of
/// every trial are the best of all told trials by non-dominated front and crowding
/// distance, chosen by binary tournament.
///
/// Numbers are crossed by simulated binary crossover (η = 20) and mutated polynomially
/// (η = 20), each with probability 1/d; categories are taken from either parent and
/// mutated to any value. Infeasible trials come after feasible ones, by what they break.
/// The first `population` trials are quasi-random.
#[derive(Debug)]
pub struct Nsga2 {
    population: usize,
    table: Table,
}

impl Default for Nsga2 {
    fn default() -> Self {
        Self { population: 50, table: Table::default() }
    }
}

impl Nsga2 {
    /// A population of 50.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the population, at least 2.
    #[must_use]
    pub fn with_population(mut self, population: usize) -> Self {
        self.population = population;
        self
    }
}

/// Distribution indices of crossover and mutation.
const ETA: f64 = 20.0;

impl Suggester for Nsga2 {
    fn suggest(&mut self, task: &Task<'_>) -> Result<Option<Params>> {
        if self.population < 2 {
            let value = self.population as f64;
            return Err(Error::OutOfRange { name: "population", value, allowed: "[2, inf)" });
        }
        self.table.update(task);
        let mut points: Vec<(&[f64], f64, Vec<f64>)> = Vec::new();
        for trial in task.history {
            if let (Some(row), Some(losses)) =
                (self.table.row(trial), trial.losses(task.directions))
            {
                points.push((row, trial.violation(), losses));
            }
        }
        if points.len() < self.population {
            return Ok(Some(sobol::point(&self.table, task).unwrap_or_default()));
        }
        let mut rng = ChaCha8Rng::seed_from_u64(task.seed);
        let parents = survivors(&points, self.population);
        // Ranked best first, so the winner of a tournament is the smaller position.
        let mut pick = || {
            let n = parents.len();
            parents[rng.random_range(0..n).min(rng.random_range(0..n))]
        };
        let (mother, father) = (points[pick()].0, points[pick()].0);
        let mut child = self.cross(mother, father, &mut rng);
        self.table.settle(&mut child);
        Ok(Some(self.table.decode(&child)))
    }
}

impl Nsga2 {
    fn cross(&self, mother: &[f64], father: &[f64], rng: &mut impl Rng) -> Vec<f64> {
        let columns = &self.table.columns;
        let rate = 1.0 / columns.len() as f64;
        let crossed = rng.random::<f64>() < 0.9;
        let mut child = Vec::with_capacity(columns.len());
        for (k, column) in columns.iter().enumerate() {
            let (a, b) = (mother[k], father[k]);
            let mut value = match (a.is_nan(), b.is_nan()) {
                (true, true) => rng.random(),
                (true, false) => b,
                (false, true) => a,
                _ if !crossed => a,
                _ if column.kind == Kind::Category || rng.random::<bool>() => {
                    if rng.random() {
                        a
                    } else {
                        b
                    }
                }
                _ => {
                    let u: f64 = rng.random();
                    let spread = match u <= 0.5 {
                        true => (2.0 * u).powf(1.0 / (ETA + 1.0)),
                        false => (0.5 / (1.0 - u)).powf(1.0 / (ETA + 1.0)),
                    };
                    let sign = if rng.random() { 1.0 } else { -1.0 };
                    0.5 * (a + b) + sign * 0.5 * spread * (a - b)
                }
            };
            if rng.random::<f64>() < rate {
                value = if column.kind == Kind::Category {
                    rng.random()
                } else {
                    let u: f64 = rng.random();
                    let step = match u < 0.5 {
                        true => (2.0 * u).powf(1.0 / (ETA + 1.0)) - 1.0,
                        false => 1.0 - (2.0 * (1.0 - u)).powf(1.0 / (ETA + 1.0)),
                    };
                    let width = column.levels.as_ref().map_or(0.0, |l| 1.0 / l.len() as f64);
                    value + if step.abs() < width { width.copysign(step) } else { step }
                };
            }
            child.push(value.clamp(0.0, 1.0));
        }
        child
    }
}

/// The best `n` positions, best first.
fn survivors(points: &[(&[f64], f64, Vec<f64>)], n: usize) -> Vec<usize> {
    let better = |a: usize, b: usize| {
        let (a, b) = (&points[a], &points[b]);
        match a.1.total_cmp(&b.1) {
            Ordering::Equal => dominates(&a.2, &b.2),
            order => order == Ordering::Less,
        }
    };
    let mut left: Vec<usize> = (0..points.len()).collect();
    let mut chosen = Vec::new();
    while !left.is_empty() && chosen.len() < n {
        let (mut front, rest): (Vec<usize>, Vec<usize>) =
            left.iter().partition(|&&i| !left.iter().any(|&j| better(j, i)));
        if front.is_empty() {
            break;
        }
        let crowding = crowding(&front, points);
        let mut order: Vec<usize> = (0..front.len()).collect();
        order.sort_by(|&a, &b| crowding[b].total_cmp(&crowding[a]));
        front = order.into_iter().map(|i| front[i]).collect();
        front.truncate(n - chosen.len());
        chosen.extend(front);
        left = rest;
    }
    chosen
}

/// How far the neighbours of each are along the objectives; infinite at the ends.
fn crowding(front: &[usize], points: &[(&[f64], f64, Vec<f64>)]) -> Vec<f64> {
    let mut crowding = vec![0.0; front.len()];
    for k in 0..points[front[0]].2.len() {
        let loss = |i: usize| points[front[i]].2[k];
        let mut order: Vec<usize> = (0..front.len()).collect();
        order.sort_by(|&a, &b| loss(a).total_cmp(&loss(b)));
        let (first, last) = (order[0], order[order.len() - 1]);
        let range = loss(last) - loss(first);
        crowding[first] = f64::INFINITY;
        crowding[last] = f64::INFINITY;
        if range > 0.0 && range.is_finite() {
            for w in order.windows(3) {
                crowding[w[1]] += (loss(w[2]) - loss(w[0])) / range;
            }
        }
    }
    crowding
}
