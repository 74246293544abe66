//! Maximising the acquisition over the values that a space really has.

use std::collections::HashSet;

use rand::{Rng, RngExt};

use super::super::layout::{Column, Kind, Table};
use super::super::normal;
use super::acquisition::Acquisition;
use super::lbfgs::{Limits, minimise};
use super::model::Scratch;

/// Columns with at most this many values are searched value by value.
const MOST_TRIED: usize = 16;

/// How hard to look.
#[derive(Debug, Clone, Copy)]
pub(super) struct Effort {
    /// Points drawn over the whole space.
    pub(super) global: usize,
    /// Points drawn around each incumbent.
    pub(super) local: usize,
    /// Points from which to climb.
    pub(super) starts: usize,
    /// Steps of each climb.
    pub(super) steps: usize,
}

/// The part of the unit cube to look at, by column.
pub(super) type Region = Vec<(f64, f64)>;

/// The best point found, with every coordinate settled on a value.
///
/// Random points and points around the incumbents are ranked; the best of them climb,
/// by L-BFGS over the coordinates that are numbers and by trying the values of the
/// others one column at a time, until neither helps. Visited points promise nothing.
pub(super) fn maximise(
    acquisition: &Acquisition<'_>,
    table: &Table,
    incumbents: &[Vec<f64>],
    region: &Region,
    visited: &HashSet<Vec<u64>>,
    effort: Effort,
    rng: &mut impl Rng,
) -> Vec<f64> {
    let mut search = Search { acquisition, table, region, visited, scratch: Scratch::default() };
    let mut points: Vec<Vec<f64>> = Vec::new();
    for _ in 0..effort.global {
        let mut point: Vec<f64> =
            region.iter().map(|(low, high)| low + (high - low) * rng.random::<f64>()).collect();
        search.snap(&mut point);
        points.push(point);
    }
    let reach = [0.2, 0.05, 0.01, 0.002];
    for incumbent in incumbents {
        points.push(incumbent.clone());
        for i in 0..effort.local {
            let mut point = incumbent.clone();
            search.perturb(&mut point, reach[i % reach.len()], rng);
            search.snap(&mut point);
            points.push(point);
        }
    }
    let mut pool: Vec<(f64, Vec<f64>)> = search.values(&points).into_iter().zip(points).collect();
    pool.sort_by(|a, b| b.0.total_cmp(&a.0));
    let mut starts: Vec<(f64, Vec<f64>)> = Vec::new();
    for (value, point) in pool {
        // Starts that climb the same hill are wasted.
        let near = |other: &Vec<f64>| {
            let far = other.iter().zip(&point).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
            far < 0.02
        };
        if !starts.iter().any(|(_, other)| near(other)) {
            starts.push((value, point));
        }
        if starts.len() >= effort.starts {
            break;
        }
    }
    let mut best: Option<(f64, Vec<f64>)> = None;
    for (value, point) in starts {
        let (value, point) = search.climb(value, point, effort.steps, rng);
        if best.as_ref().is_none_or(|(top, _)| value > *top) {
            best = Some((value, point));
        }
    }
    match best {
        Some((value, point)) if value > f64::NEG_INFINITY => point,
        // All of these were tried: any that was not, if there is one to be found.
        _ => search.unvisited(rng),
    }
}

/// A point as a key.
pub(super) fn bits(point: &[f64]) -> Vec<u64> {
    // All NaN are one.
    point.iter().map(|v| if v.is_nan() { u64::MAX } else { v.to_bits() }).collect()
}

struct Search<'s> {
    acquisition: &'s Acquisition<'s>,
    table: &'s Table,
    region: &'s Region,
    visited: &'s HashSet<Vec<u64>>,
    scratch: Scratch,
}

impl Search<'_> {
    fn columns(&self) -> &[Column] {
        &self.table.columns
    }

    /// Settles all coordinates; those that are not there keep a value.
    fn snap(&self, point: &mut [f64]) {
        for (unit, column) in point.iter_mut().zip(self.columns()) {
            *unit = match (column.fixed, &column.levels) {
                (Some(fixed), _) => fixed,
                (None, Some(_)) => column.snap(*unit),
                (None, None) => unit.clamp(0.0, 1.0),
            };
        }
    }

    fn unvisited(&mut self, rng: &mut impl Rng) -> Vec<f64> {
        let mut point = Vec::new();
        for _ in 0..1000 {
            point = self.columns().iter().map(|_| rng.random()).collect();
            self.snap(&mut point);
            if self.value(&point) > f64::NEG_INFINITY {
                break;
            }
        }
        point
    }

    /// The point without what is not there, unless it was visited.
    fn view(&self, point: &[f64]) -> Option<Vec<f64>> {
        let mut view = point.to_vec();
        self.table.blank(&mut view);
        let new = self.visited.is_empty() || !self.visited.contains(&bits(&view));
        new.then_some(view)
    }

    fn value(&mut self, point: &[f64]) -> f64 {
        let view = self.view(point);
        view.map_or(f64::NEG_INFINITY, |view| self.acquisition.at(&view, None, &mut self.scratch))
    }

    fn values(&mut self, points: &[Vec<f64>]) -> Vec<f64> {
        let views: Vec<Option<Vec<f64>>> = points.iter().map(|point| self.view(point)).collect();
        let new: Vec<Vec<f64>> = views.iter().flatten().cloned().collect();
        let mut values = self.acquisition.at_many(&new, &mut self.scratch).into_iter();
        let value = |view: &Option<Vec<f64>>| view.as_ref().and_then(|_| values.next());
        views.iter().map(value).map(|value| value.unwrap_or(f64::NEG_INFINITY)).collect()
    }

    /// Moves some coordinates a little, categories to any other value.
    fn perturb(&self, point: &mut [f64], reach: f64, rng: &mut impl Rng) {
        let share = (2.0 / point.len() as f64).max(0.3);
        let forced = rng.random_range(0..point.len());
        for (k, column) in self.columns().iter().enumerate() {
            if k != forced && rng.random::<f64>() >= share {
                continue;
            }
            let (low, high) = self.region[k];
            point[k] = if column.kind == Kind::Category {
                if k == forced || rng.random::<f64>() < 0.3 { rng.random() } else { point[k] }
            } else {
                let width = column.levels.as_ref().map_or(0.0, |l| 1.0 / l.len() as f64);
                (point[k] + reach.max(width) * normal(rng)).clamp(low, high)
            };
        }
    }

    fn climb(
        &mut self,
        mut value: f64,
        mut point: Vec<f64>,
        steps: usize,
        rng: &mut impl Rng,
    ) -> (f64, Vec<f64>) {
        let smooth: Vec<usize> = (0..point.len())
            .filter(|&k| {
                let column = &self.columns()[k];
                let few = column.levels.as_ref().is_some_and(|l| l.len() <= MOST_TRIED);
                column.fixed.is_none() && column.kind == Kind::Number && !few
            })
            .collect();
        let listed: Vec<usize> = (0..point.len())
            .filter(|&k| self.columns()[k].fixed.is_none() && self.columns()[k].levels.is_some())
            .collect();
        for _ in 0..4 {
            let before = value;
            if !smooth.is_empty() {
                let mut risen = self.ascend(&point, &smooth, steps);
                self.snap(&mut risen);
                let new = self.value(&risen);
                if new > value {
                    (value, point) = (new, risen);
                }
            }
            let mut moved = false;
            for &k in &listed {
                let tried: Vec<Vec<f64>> = (self.tries(k, point[k], rng).into_iter())
                    .map(|level| {
                        let mut tried = point.clone();
                        tried[k] = level;
                        tried
                    })
                    .collect();
                for (new, tried) in self.values(&tried).into_iter().zip(tried) {
                    if new > value {
                        (value, point, moved) = (new, tried, true);
                    }
                }
            }
            if !moved || value - before < 1e-6 {
                break;
            }
        }
        (value, point)
    }

    /// Values of a column to try instead of one.
    fn tries(&self, k: usize, from: f64, rng: &mut impl Rng) -> Vec<f64> {
        let Some(levels) = &self.columns()[k].levels else { return Vec::new() };
        let (low, high) = self.region[k];
        if levels.len() <= MOST_TRIED {
            let inside = levels.iter().copied().filter(|l| *l != from && (low..=high).contains(l));
            return inside.collect();
        }
        let at = levels.iter().position(|l| *l == from).unwrap_or(0);
        let last = levels.len() - 1;
        if self.columns()[k].kind == Kind::Category {
            return (0..MOST_TRIED).map(|_| levels[rng.random_range(0..=last)]).collect();
        }
        [1, 2, 4, 8]
            .into_iter()
            .flat_map(|d| [at.saturating_sub(d), (at + d).min(last)])
            .map(|i| levels[i])
            .filter(|l| *l != from)
            .collect()
    }

    /// L-BFGS over some coordinates, each in units of its length scale.
    fn ascend(&mut self, point: &[f64], smooth: &[usize], steps: usize) -> Vec<f64> {
        let mut view = point.to_vec();
        self.table.blank(&mut view);
        let smooth: Vec<usize> = smooth.iter().copied().filter(|&k| !view[k].is_nan()).collect();
        if smooth.is_empty() {
            return point.to_vec();
        }
        let weights = &self.acquisition.model.theta.inverse_squares;
        let scale: Vec<f64> = smooth.iter().map(|&k| weights[k].sqrt().clamp(0.05, 50.0)).collect();
        let bound = |of: fn(&(f64, f64)) -> f64| -> Vec<f64> {
            smooth.iter().zip(&scale).map(|(&k, s)| of(&self.region[k]) * s).collect()
        };
        let (low, high) = (bound(|r| r.0), bound(|r| r.1));
        let start: Vec<f64> = smooth.iter().zip(&scale).map(|(&k, s)| point[k] * s).collect();
        let mut full = vec![0.0; view.len()];
        let (acquisition, scratch) = (self.acquisition, &mut self.scratch);
        let mut f = |z: &[f64], g: &mut [f64]| {
            for ((&k, z), s) in smooth.iter().zip(z).zip(&scale) {
                view[k] = z / s;
            }
            let value = acquisition.at(&view, Some(&mut full), scratch);
            for ((&k, g), s) in smooth.iter().zip(g).zip(&scale) {
                *g = -full[k] / s;
            }
            -value
        };
        let limits = Limits { iterations: steps, gradient: 1e-4, decrease: 1e-7 };
        let (z, _) = minimise(&mut f, &start, &low, &high, limits);
        let mut risen = point.to_vec();
        for ((&k, z), s) in smooth.iter().zip(&z).zip(&scale) {
            risen[k] = (z / s).clamp(self.region[k].0, self.region[k].1);
        }
        risen
    }
}
