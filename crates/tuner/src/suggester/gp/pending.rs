//! What a model takes running trials for.

use std::sync::Arc;

use rand::Rng;

use super::Data;
use super::fit::Theta;
use super::model::Model;
use crate::suggester::layout::Kind;

/// Outcomes imagined for the running trials.
const DRAWS: usize = 16;

/// How [`GaussianProcess`](super::GaussianProcess) counts trials that still run, in studies with
/// several workers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Pending {
    /// 16 outcomes are drawn for all of them together from the posterior, and the improvement is
    /// averaged over these: q-EI (Ginsbourger et al. 2010), as qLogEI with pending points.
    #[default]
    Joint,
    /// Each is taken to have reached the best value so far, of feasible trials where there are any:
    /// the constant liar of Ginsbourger et al. with their lie that did best. A suggestion costs less,
    /// and what running trials may yet show is ignored.
    ConstantLiar,
}

impl Pending {
    /// The model given the running trials too, and the number of outcomes that it holds of them.
    pub(super) fn model(
        self,
        theta: Theta,
        data: &Data,
        kinds: &[Kind],
        feasible: &[usize],
        running: &[Arc<[f64]>],
        rng: &mut impl Rng,
    ) -> Option<(Model, usize)> {
        let (points, values) = (&data.points, &data.values);
        if running.is_empty() {
            return Some((Model::new(points, values, kinds, theta)?, 1));
        }
        match self {
            Self::Joint => {
                let model = Model::new(points, values, kinds, theta)?;
                let (model, outcomes) = model.with_running(points, values, running, DRAWS, rng)?;
                Some((model, outcomes.len()))
            }
            Self::ConstantLiar => {
                let kept = feasible.iter().map(|&i| values[i]).reduce(f64::max);
                let lie = kept.or(values.iter().copied().reduce(f64::max))?;
                let points = [points, running].concat();
                let mut values = values.clone();
                values.resize(points.len(), lie);
                Some((Model::new(&points, &values, kinds, theta)?, 1))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    use super::super::kernel::Matern;
    use super::super::model::Scratch;
    use super::*;

    #[test]
    fn the_liar_reports_the_best_and_the_others_what_may_be() {
        let points: Vec<Arc<[f64]>> = [0.0, 0.4, 1.0].iter().map(|&x| [x].into()).collect();
        let data = Data { trials: Vec::new(), points, values: vec![-1.0, 1.2, -0.2] };
        let theta = || Theta {
            kernel: Matern::FiveHalves,
            inverse_squares: vec![16.0],
            signal: 1.0,
            noise: 1e-6,
        };
        let running: [Arc<[f64]>; 1] = [[0.7].into()];
        let means = |pending: Pending, feasible: &[usize]| {
            let mut rng = ChaCha8Rng::seed_from_u64(1);
            let kinds = [Kind::Number];
            let given = pending.model(theta(), &data, &kinds, feasible, &running, &mut rng);
            let (model, outcomes) = given.unwrap();
            let mut scratch = Scratch::default();
            model.predict_means(&running[0], &mut scratch);
            assert_eq!(scratch.outlook.means.len(), outcomes);
            scratch.outlook.means
        };
        for (feasible, best) in [(&[0, 1, 2][..], 1.2), (&[0, 2], -0.2), (&[], 1.2)] {
            let lie = means(Pending::ConstantLiar, feasible);
            assert!(lie.len() == 1 && (lie[0] - best).abs() < 1e-4, "{lie:?}, not {best}");
        }
        let drawn = means(Pending::Joint, &[0, 1, 2]);
        assert_eq!(drawn.len(), DRAWS);
        let mean = drawn.iter().sum::<f64>() / DRAWS as f64;
        assert!(mean < 1.0 && drawn.iter().any(|v| (v - mean).abs() > 0.1), "{drawn:?}");
    }
}
