use counterweight_core::ClassProfile;

use super::{Decision, Error, Floor, Metric, Predictions, Result};

/// Steps of log-threshold tried around each class's current offset.
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
        Ok(Self { dev, profile, maximize, floor })
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
                let centre = current.offsets[class];
                for step in MOVES {
                    let mut candidate = current.clone();
                    candidate.offsets[class] = centre + step;
                    if (candidate.offsets[class] - start.offsets[class]).abs() > REACH {
                        continue;
                    }
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

    fn allowed(&self, worth: &Worth) -> bool {
        self.floor.is_none_or(|f| worth.floor >= f.at_least)
    }

    fn worth(&self, decision: &Decision) -> Result<Worth> {
        let tally = decision.decide(self.dev)?.tally();
        let value = |metric: Metric| {
            let value = tally.metric(metric, self.profile).unwrap_or(f64::NEG_INFINITY);
            if metric.higher_is_better() { value } else { -value }
        };
        Ok(Worth {
            objective: value(self.maximize),
            floor: self
                .floor
                .map_or(0.0, |f| tally.metric(f.metric, self.profile).unwrap_or(f64::NEG_INFINITY)),
        })
    }
}
