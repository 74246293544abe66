use counterweight_core::ClassProfile;
use ndarray::Array2;

use crate::ClassCounts;

use super::{Decision, Error, Floor, Metric, Predictions, Result};

/// Steps of log-threshold tried around each class's current offset, for metrics of
/// probabilities.
const MOVES: [f64; 8] = [-0.8, -0.4, -0.2, -0.1, 0.1, 0.2, 0.4, 0.8];
const ROUNDS: usize = 4;
/// Offsets stay within this distance of logit adjustment, so that a class with a handful
/// of development rows cannot run away.
const REACH: f64 = 1.0;

/// A search for the decision that maximises a metric on development data.
pub(super) struct Search<'a> {
    dev: &'a Predictions,
    profile: &'a ClassProfile,
    maximize: Metric,
    floor: Option<Floor>,
    /// Logarithms of the probabilities, which every sweep reads.
    logs: Array2<f64>,
}

/// A candidate's worth: its objective and the constrained metric.
struct Worth {
    objective: f64,
    floor: f64,
}

impl<'a> Search<'a> {
    pub(super) fn new(
        dev: &'a Predictions,
        profile: &'a ClassProfile,
        maximize: Metric,
        floor: Option<Floor>,
    ) -> Result<Self> {
        counterweight_core::ensure_length(
            "a row of probabilities",
            dev.probabilities().ncols(),
            profile.classes(),
        )?;
        let logs = dev.probabilities().mapv(|p| p.max(f64::MIN_POSITIVE).ln());
        Ok(Self { dev, profile, maximize, floor, logs })
    }

    pub(super) fn logit_adjustment(&self) -> Result<Decision> {
        let mut best: Option<(f64, Decision)> = None;
        let mut nearest = f64::NEG_INFINITY;
        for step in 0..=40 {
            let decision = Decision::logit_adjustment(self.profile, f64::from(step) * 0.05)?;
            let worth = self.worth(&decision)?;
            nearest = nearest.max(worth.floor);
            if self.allowed(&worth) && best.as_ref().is_none_or(|(top, _)| worth.objective > *top) {
                best = Some((worth.objective, decision));
            }
        }
        match (best, self.floor) {
            (Some((_, decision)), _) => Ok(decision),
            (None, Some(floor)) => Err(Error::FloorUnreachable {
                metric: floor.metric,
                at_least: floor.at_least,
                best: nearest,
            }),
            (None, None) => Ok(Decision::argmax(self.profile.classes())),
        }
    }

    pub(super) fn thresholds(&self) -> Result<Decision> {
        let start = self.logit_adjustment()?;
        let mut current = start.clone();
        let mut top = self.worth(&current)?.objective;
        for _ in 0..ROUNDS {
            let before = top;
            for class in self.profile.order() {
                for offset in self.candidates(&current, class, start.offsets[class]) {
                    let mut candidate = current.clone();
                    candidate.offsets[class] = offset;
                    let worth = self.worth(&candidate)?;
                    if self.allowed(&worth) && worth.objective > top + 1e-9 {
                        top = worth.objective;
                        current = candidate;
                    }
                }
            }
            if top <= before {
                break;
            }
        }
        Ok(current)
    }

    /// Offsets of a class worth trying, within reach of `centre`.
    fn candidates(&self, current: &Decision, class: usize, centre: f64) -> Vec<f64> {
        let floor = self.floor.map(|f| f.metric);
        if [Some(self.maximize), floor].into_iter().flatten().all(Metric::is_of_labels) {
            self.sweep(current, class, centre).into_iter().collect()
        } else {
            // Probabilities change everywhere with the offset, not at rows only.
            let near = |step: &f64| (current.offsets[class] + step - centre).abs() <= REACH;
            MOVES.iter().filter(|step| near(step)).map(|s| current.offsets[class] + s).collect()
        }
    }

    /// The best allowed offset of a class with the others fixed. A row turns to the class
    /// where the offset passes the lead of the best other class; between two such
    /// offsets nothing changes, so all that matters is tried in one pass.
    fn sweep(&self, current: &Decision, class: usize, centre: f64) -> Option<f64> {
        let mut turns: Vec<(f64, usize, usize)> = Vec::with_capacity(self.dev.len());
        let mut counts = ClassCounts::new(self.profile.classes());
        for (row, &truth) in self.logs.rows().into_iter().zip(self.dev.truth()) {
            let score = |&c: &usize| row[c] + current.offsets[c];
            let others = (0..row.len()).filter(|&c| c != class);
            let rival = others.reduce(|a, b| if score(&b) > score(&a) { b } else { a })?;
            turns.push((score(&rival) - row[class], truth, rival));
            counts.add(truth, rival, 1.0);
        }
        turns.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
        let (low, high) = (centre - REACH, centre + REACH);
        let mut best: Option<(f64, f64)> = None;
        let mut next = 0;
        loop {
            // Everything up to here has turned; the interval ends at the next turn.
            let from = if next == 0 { low } else { turns[next - 1].0.max(low) };
            let to = turns.get(next).map_or(high, |turn| turn.0.min(high));
            if from < to {
                let worth = self.worth_of(|metric| counts.metric(metric, self.profile));
                if self.allowed(&worth) && best.is_none_or(|(top, _)| worth.objective > top) {
                    best = Some((worth.objective, (from + to) / 2.0));
                }
            }
            let Some(&(at, ..)) = turns.get(next) else { break };
            if at >= high {
                break;
            }
            while let Some(&(_, truth, rival)) = turns.get(next).filter(|t| t.0 == at) {
                counts.move_prediction(truth, rival, class);
                next += 1;
            }
        }
        best.map(|(_, offset)| offset)
    }

    fn allowed(&self, worth: &Worth) -> bool {
        self.floor.is_none_or(|f| worth.floor >= f.at_least)
    }

    fn worth(&self, decision: &Decision) -> Result<Worth> {
        let tally = decision.decide(self.dev)?.tally();
        Ok(self.worth_of(|metric| tally.metric(metric, self.profile)))
    }

    fn worth_of(&self, metric: impl Fn(Metric) -> Option<f64>) -> Worth {
        let value = metric(self.maximize).unwrap_or(f64::NEG_INFINITY);
        Worth {
            objective: if self.maximize.higher_is_better() { value } else { -value },
            floor: self.floor.map_or(0.0, |f| metric(f.metric).unwrap_or(f64::NEG_INFINITY)),
        }
    }
}
