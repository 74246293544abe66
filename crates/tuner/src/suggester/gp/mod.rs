//! Gaussian-process Bayesian optimisation.

mod acquisition;
mod fit;
mod kernel;
mod lbfgs;
mod model;
mod pending;
mod search;
mod trust;
mod warp;

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use self::acquisition::Acquisition;
use self::fit::Theta;
use self::kernel::Matern;
use self::model::{Model, Scratch};
pub use self::pending::Pending;
use self::search::{Effort, bits, maximise};
use self::trust::TrustRegion;
use super::layout::{Kind, Table};
use super::{Suggester, Task, sobol};
use crate::{Error, Params, Result, TrialRecord};

/// Trials that the model is conditioned on at most.
const MOST_TRIALS: usize = 500;
/// Trials that hyperparameters are fitted to at most.
const MOST_FITTED: usize = 200;

/// Starts of the fit: log `1/ℓ²` and log noise of a smooth function without noise, and of
/// one that varies quickly or is noisy.
const STARTS: [(f64, f64); 2] = [(0.0, -7.0), (2.0, -3.0)];
/// Up to so many trials they are fitted anew every time, then when there are a tenth more.
const EVERY_FITTED: usize = 100;

/// Bayesian optimisation with a Gaussian process (Snoek et al., NeurIPS 2012).
///
/// Parameters are mapped to `[0, 1]` (logarithms first, integers and steps to the middle
/// of their share); categories enter the distance as equal or different, and so does a
/// conditional parameter that is there in one trial and not in the other. The model is an
/// exact GP with a Matérn 5/2 kernel, one length scale per parameter (ARD), a signal and
/// a noise variance, fitted by maximum a posteriori with analytic gradients from two
/// starts. The next point maximises the logarithm of expected improvement over the best
/// posterior mean (Ament et al., NeurIPS 2023), by L-BFGS from several starts over numbers
/// and by local search over the values that the space really has.
///
/// Losses are standardised after Yeo and Johnson's transform, which draws in long tails of
/// bad ones. Trials take two models by turns, so that what one does not see the other may.
/// Of numbers alone they are one of the whole space and one of the best trial's
/// neighbourhood, a box that grows with successes and shrinks with failures (TuRBO;
/// Eriksson et al., NeurIPS 2019): the local model finds its way where the function is
/// rugged or changes its scale; beside running trials it has three of four. With categories both
/// are of the whole space, the second with a Matérn 3/2 kernel: what categories stand for need not
/// be smooth.
///
/// - Running trials count with outcomes imagined from the posterior together, over which the
///   improvement is averaged, so that parallel workers spread out. The next point is then the one
///   that adds most to the expected improvement of all that run and it, q-EI (Ginsbourger et al.
///   2010), as qLogEI does with pending points. [`Pending`] has the constant liar too.
/// - Where the space is finite no point is proposed twice while there are others.
/// - Constraints have models of their own; improvement is weighed with the probability of
///   keeping them (Gardner et al., ICML 2014).
/// - Several objectives are combined anew for every trial by the augmented Chebyshev norm
///   with random weights, ParEGO (Knowles 2006).
/// - Infinite values count as the worst or best finite one; pruned trials are not used.
///
/// The first trials are quasi-random (default 10, as many as Optuna draws at random). The
/// cost of a suggestion is bounded: beyond 500 trials the model sees the best 250 and 250
/// of the others, drawn evenly, and hyperparameters see 200. Beyond 100 trials they are refitted
/// when the study has grown by a tenth; of several objectives, whose weights change, for every
/// trial.
#[derive(Debug)]
pub struct GaussianProcess {
    startup: usize,
    trust_region: bool,
    pending: Pending,
    table: Table,
    fitted: Vec<Fitted>,
}

/// Hyperparameters and what they were fitted to.
#[derive(Debug)]
struct Fitted {
    /// 0 for the objective, then the constraints.
    quantity: usize,
    points: Vec<Arc<[f64]>>,
    values: Vec<f64>,
    theta: Theta,
}

impl Default for GaussianProcess {
    fn default() -> Self {
        Self {
            startup: 10,
            trust_region: true,
            pending: Pending::default(),
            table: Table::default(),
            fitted: Vec::new(),
        }
    }
}

impl GaussianProcess {
    /// 10 quasi-random trials first.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the number of trials before the model is used, at least 2.
    #[must_use]
    pub fn with_startup(mut self, startup: usize) -> Self {
        self.startup = startup;
        self
    }

    /// Sets whether trials stay near the best one by turns. Default true; with categories or
    /// several objectives it is never done.
    #[must_use]
    pub fn with_trust_region(mut self, on: bool) -> Self {
        self.trust_region = on;
        self
    }

    /// Sets how running trials count. Default [`Pending::Joint`].
    #[must_use]
    pub fn with_pending(mut self, pending: Pending) -> Self {
        self.pending = pending;
        self
    }
}

/// The trials that ended with a value, in their order.
struct Told {
    trials: Vec<Arc<TrialRecord>>,
    points: Vec<Arc<[f64]>>,
    losses: Vec<f64>,
}

/// What the model learns from.
struct Data {
    trials: Vec<Arc<TrialRecord>>,
    points: Vec<Arc<[f64]>>,
    /// Larger is better; mean 0 and deviation 1.
    values: Vec<f64>,
}

impl Data {
    /// The first `n` trials, or as many of them as the model takes.
    fn of(told: &Told, n: usize) -> Self {
        let losses = finite(&told.losses[..n]);
        let chosen = subset(&losses, MOST_TRIALS);
        let losses: Vec<f64> = chosen.iter().map(|&i| losses[i]).collect();
        let unskewed = warp::unskewed(&standardised(&losses).0);
        Self {
            trials: chosen.iter().map(|&i| told.trials[i].clone()).collect(),
            points: chosen.iter().map(|&i| told.points[i].clone()).collect(),
            values: standardised(&unskewed.iter().map(|v| -v).collect::<Vec<_>>()).0,
        }
    }

    /// Of the study as it was when it had last grown by a tenth, what hyperparameters are fitted
    /// to; `self` is of all that was told.
    fn settled(&self, told: &Told) -> Self {
        let evenly = |data: &Self| data.select(&spread_out(data.points.len(), MOST_FITTED));
        match refit_at(told.trials.len()) {
            n if n == told.trials.len() => evenly(self),
            n => evenly(&Self::of(told, n)),
        }
    }

    fn select(&self, chosen: &[usize]) -> Self {
        Self {
            trials: chosen.iter().map(|&i| self.trials[i].clone()).collect(),
            points: chosen.iter().map(|&i| self.points[i].clone()).collect(),
            values: standardised(&chosen.iter().map(|&i| self.values[i]).collect::<Vec<_>>()).0,
        }
    }
}

impl Suggester for GaussianProcess {
    fn suggest(&mut self, task: &Task<'_>) -> Result<Option<Params>> {
        if self.startup < 2 {
            let value = self.startup as f64;
            return Err(Error::OutOfRange { name: "startup", value, allowed: "[2, inf)" });
        }
        self.table.update(task);
        let mut rng = ChaCha8Rng::seed_from_u64(task.seed);
        let Some(told) = self.told(task, &mut rng) else {
            return Ok(Some(sobol::point(&self.table, task).unwrap_or_default()));
        };
        Ok(Some(self.promising(task, &told, &mut rng).unwrap_or_default()))
    }
}

impl GaussianProcess {
    /// `None` during the start.
    fn told(&self, task: &Task<'_>, rng: &mut impl Rng) -> Option<Told> {
        let (mut trials, mut points, mut losses) = (Vec::new(), Vec::new(), Vec::new());
        for trial in task.history {
            if let (Some(row), Some(loss)) = (self.table.row(trial), trial.losses(task.directions))
            {
                trials.push(trial.clone());
                points.push(row.clone());
                losses.push(loss);
            }
        }
        if trials.len() < self.startup {
            return None;
        }
        let losses = scalar(&losses, rng);
        Some(Told { trials, points, losses })
    }

    fn promising(&mut self, task: &Task<'_>, told: &Told, rng: &mut impl Rng) -> Option<Params> {
        let data = Data::of(told, told.trials.len());
        let kinds: Vec<Kind> = self.table.columns.iter().map(|c| c.kind).collect();
        let numbers = kinds.iter().all(|k| *k == Kind::Number);
        let running = self.table.running(task);
        // What is beside running trials in the whole space learns little that these do not.
        let busy = numbers && !running.is_empty();
        let second = if busy { !task.number.is_multiple_of(4) } else { task.number % 2 == 1 };
        let kernel = if second && !numbers { Matern::ThreeHalves } else { Matern::FiveHalves };
        let local = self.trust_region
            && task.directions.len() == 1
            && second
            && numbers
            && data.points.len() >= 2 * self.startup;
        let trust = if local { TrustRegion::new(&data, self.startup) } else { None };
        let data = match &trust {
            Some(trust) => data.select(&trust.chosen),
            None => data,
        };
        let settled = trust.is_none().then(|| data.settled(told));
        // What hyperparameters are fitted to.
        let lesson = settled.as_ref().unwrap_or(&data);
        let fit = |gp: &mut Self, quantity: usize, values: &[f64]| match trust {
            Some(_) => fit::fit(&lesson.points, values, &kinds, kernel, &STARTS),
            None => gp.theta(quantity, kernel, &lesson.points, values, &kinds),
        };
        let theta = fit(self, 0, &lesson.values)?;
        let region = match &trust {
            Some(trust) => trust.region(&theta),
            None => vec![(0.0, 1.0); kinds.len()],
        };
        let names: BTreeSet<String> =
            data.trials.iter().flat_map(|t| t.constraints().into_keys()).collect();
        let mut constraints = Vec::new();
        for (i, name) in names.iter().enumerate() {
            let theta = fit(self, i + 1, &kept(&lesson.trials, name).0)?;
            let (values, mean, spread) = kept(&data.trials, name);
            let model = Model::new(&data.points, &values, &kinds, theta)?;
            constraints.push((model, -mean / spread));
        }
        let feasible: Vec<usize> =
            (0..data.trials.len()).filter(|&i| data.trials[i].violation() == 0.0).collect();
        let mut scratch = Scratch::default();
        let (model, outcomes) =
            self.pending.model(theta, &data, &kinds, &feasible, &running, rng)?;
        // The best of the posterior means, which noise does not deceive.
        let mut best = vec![f64::NEG_INFINITY; outcomes];
        let mut ranked: Vec<(f64, usize)> = Vec::new();
        for &i in &feasible {
            model.predict_means(&data.points[i], &mut scratch);
            let means = &scratch.outlook.means;
            for (best, mean) in best.iter_mut().zip(means) {
                *best = best.max(*mean);
            }
            let mean = means.iter().sum::<f64>() / means.len() as f64;
            ranked.push((mean, i));
        }
        for point in &running {
            model.predict_means(point, &mut scratch);
            for (best, mean) in best.iter_mut().zip(&scratch.outlook.means) {
                *best = best.max(*mean);
            }
        }
        ranked.sort_by(|a, b| b.0.total_cmp(&a.0));
        let incumbents: Vec<Vec<f64>> =
            ranked.iter().take(4).map(|(_, i)| self.whole(&data.points[*i], rng)).collect();
        let acquisition = Acquisition {
            model: &model,
            best: (!feasible.is_empty()).then_some(best),
            constraints: constraints.iter().map(|(m, t)| (m, *t)).collect(),
        };
        let n = data.points.len();
        let effort = if n <= 150 {
            Effort { global: 400, local: 40, starts: 5, steps: 30 }
        } else {
            Effort { global: 300, local: 20, starts: 3, steps: 20 }
        };
        // Where all values can be listed none is tried twice.
        let listed = self.table.columns.iter().all(|c| c.levels.is_some() || c.fixed.is_some());
        let told = task.history.iter().filter_map(|t| self.table.row(t)).chain(&running);
        let visited = if listed { told.map(|row| bits(row)).collect() } else { HashSet::new() };
        let table = &self.table;
        let mut point = maximise(&acquisition, table, &incumbents, &region, &visited, effort, rng);
        self.table.settle(&mut point);
        Some(self.table.decode(&point))
    }

    /// A row with coordinates for what is not there.
    fn whole(&self, row: &[f64], rng: &mut impl Rng) -> Vec<f64> {
        let fill = |v: &f64| if v.is_nan() { rng.random() } else { *v };
        row.iter().map(fill).collect()
    }

    /// The hyperparameters for one of the quantities, fitted anew where there is something new to
    /// fit them to. They depend on the trials alone, so that a study that is resumed goes on as it
    /// would have.
    fn theta(
        &mut self,
        quantity: usize,
        kernel: Matern,
        points: &[Arc<[f64]>],
        values: &[f64],
        kinds: &[Kind],
    ) -> Option<Theta> {
        let kind = |f: &Fitted| f.quantity == quantity && f.theta.kernel == kernel;
        // A coordinate that is not there is NaN, which equals nothing: rows are known by their place.
        let rows = |f: &Fitted| {
            f.points.len() == points.len()
                && f.points.iter().zip(points).all(|(a, b)| Arc::ptr_eq(a, b))
        };
        let same = |f: &&Fitted| kind(f) && rows(f) && f.values == values;
        if let Some(fitted) = self.fitted.iter().find(same) {
            return Some(fitted.theta.clone());
        }
        let theta = fit::fit(points, values, kinds, kernel, &STARTS)?;
        self.fitted.retain(|f| !kind(f));
        let (points, values) = (points.to_vec(), values.to_vec());
        self.fitted.push(Fitted { quantity, points, values, theta: theta.clone() });
        Some(theta)
    }
}

/// The number of trials, at most `n`, to which hyperparameters are fitted.
fn refit_at(n: usize) -> usize {
    let mut at = n.min(EVERY_FITTED);
    while at + at.div_ceil(10) <= n {
        at += at.div_ceil(10);
    }
    at
}

/// One loss per trial: its own, or for several objectives the augmented Chebyshev norm of
/// the normalised losses under random weights.
fn scalar(losses: &[Vec<f64>], rng: &mut impl Rng) -> Vec<f64> {
    let objectives = losses.first().map_or(1, Vec::len);
    let column = |k: usize| finite(&losses.iter().map(|l| l[k]).collect::<Vec<_>>());
    if objectives == 1 {
        return column(0);
    }
    // Uniform on the simplex.
    let mut weights: Vec<f64> =
        (0..objectives).map(|_| -(1.0 - rng.random::<f64>()).ln()).collect();
    let sum: f64 = weights.iter().sum();
    weights.iter_mut().for_each(|w| *w /= sum);
    let columns: Vec<Vec<f64>> = (0..objectives)
        .map(|k| {
            let column = column(k);
            let low = column.iter().copied().fold(f64::INFINITY, f64::min);
            let high = column.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let range = if high > low { high - low } else { 1.0 };
            column.iter().map(|v| (v - low) / range).collect()
        })
        .collect();
    (0..losses.len())
        .map(|i| {
            let parts = (0..objectives).map(|k| weights[k] * columns[k][i]);
            parts.clone().fold(f64::NEG_INFINITY, f64::max) + 0.05 * parts.sum::<f64>()
        })
        .collect()
}

/// Infinite values replaced by the largest or smallest finite one.
fn finite(values: &[f64]) -> Vec<f64> {
    let numbers = || values.iter().copied().filter(|v| v.is_finite());
    let (low, high) =
        (numbers().fold(f64::INFINITY, f64::min), numbers().fold(f64::NEG_INFINITY, f64::max));
    if low > high {
        return values.iter().map(|v| v.signum()).collect();
    }
    values.iter().map(|v| v.clamp(low, high)).collect()
}

/// Values with mean 0 and deviation 1, and what the mean and deviation were.
fn standardised(values: &[f64]) -> (Vec<f64>, f64, f64) {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let spread = (values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / n).sqrt();
    let spread = if spread > 0.0 && spread.is_finite() { spread } else { 1.0 };
    (values.iter().map(|v| (v - mean) / spread).collect(), mean, spread)
}

/// By how much each trial keeps a constraint, standardised; one that did not state it
/// keeps it just so.
fn kept(trials: &[Arc<TrialRecord>], name: &str) -> (Vec<f64>, f64, f64) {
    let slack = |t: &Arc<TrialRecord>| -t.constraints().get(name).copied().unwrap_or(0.0);
    standardised(&finite(&trials.iter().map(slack).collect::<Vec<_>>()))
}

/// The better half of `most` and an even choice of the rest, in their order.
fn subset(losses: &[f64], most: usize) -> Vec<usize> {
    let n = losses.len();
    if n <= most {
        return (0..n).collect();
    }
    let mut order: Vec<usize> = (0..n).collect();
    order.sort_by(|&a, &b| losses[a].total_cmp(&losses[b]));
    let (best, rest) = order.split_at(most / 2);
    let mut chosen = best.to_vec();
    let mut rest = rest.to_vec();
    rest.sort_unstable();
    chosen.extend(spread_out(rest.len(), most - best.len()).into_iter().map(|i| rest[i]));
    chosen.sort_unstable();
    chosen
}

/// At most `most` positions of `n`, evenly apart.
fn spread_out(n: usize, most: usize) -> Vec<usize> {
    if n <= most { (0..n).collect() } else { (0..most).map(|i| i * n / most).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{BoxError, Study, Trial};

    fn suggest(gp: &mut GaussianProcess, history: &[Arc<TrialRecord>], number: u64) {
        gp.suggest(&Task::after(history, number)).unwrap().unwrap();
    }

    /// The kernels of the whole space that two suggestions in a row fit.
    fn kernels(objective: fn(&mut Trial) -> std::result::Result<f64, BoxError>) -> Vec<Matern> {
        let study = Study::minimize("turns").suggester(super::super::Random).seed(1);
        study.optimize(25, objective).unwrap();
        let history = study.trials().unwrap();
        let mut gp = GaussianProcess::new();
        for number in [25, 26] {
            suggest(&mut gp, &history, number);
        }
        gp.fitted.iter().map(|f| f.theta.kernel).collect()
    }

    #[test]
    fn two_models_take_turns() {
        let with_category = |trial: &mut Trial| {
            let x = trial.suggest_float("x", -1.0..=1.0)?;
            let kind = trial.suggest_categorical("kind", &["a", "b"])?;
            Ok(x * x + if kind == "a" { 0.0 } else { 0.3 })
        };
        assert_eq!(kernels(with_category), [Matern::ThreeHalves, Matern::FiveHalves]);
        let numbers = |trial: &mut Trial| Ok(trial.suggest_float("x", -1.0..=1.0)?.powi(2));
        assert_eq!(kernels(numbers), [Matern::FiveHalves], "the first is of a neighbourhood");
    }

    #[test]
    fn beside_running_trials_three_of_four_stay_near_the_best() {
        let study = Study::minimize("near").suggester(super::super::Random).seed(1);
        let square = |trial: &mut Trial| {
            trial.suggest_float("x", -1.0..=1.0).map(|x| x * x).map_err(BoxError::from)
        };
        study.optimize(24, square).unwrap();
        // What is fitted to the whole space alone is kept.
        let whole = |history: &[Arc<TrialRecord>]| {
            [24, 25, 26, 27].map(|number| {
                let mut gp = GaussianProcess::new();
                suggest(&mut gp, history, number);
                !gp.fitted.is_empty()
            })
        };
        assert_eq!(whole(&study.trials().unwrap()), [true, false, true, false]);
        let mut running = study.ask().unwrap().unwrap();
        square(&mut running).unwrap();
        assert_eq!(whole(&study.trials().unwrap()), [true, false, false, false]);
        study.tell(running, 1.0).unwrap();
    }

    #[test]
    fn hyperparameters_are_fitted_anew_when_the_study_has_grown_by_a_tenth() {
        let conditional = |trial: &mut Trial| {
            let x = trial.suggest_float("x", -1.0..=1.0)?;
            let kind = trial.suggest_categorical("kind", &["a", "b"])?;
            Ok(x * x + if kind == "a" { trial.suggest_float("y", 0.0..=1.0)? } else { 0.3 })
        };
        let study = Study::minimize("grown").suggester(super::super::Random).seed(1);
        study.optimize(122, conditional).unwrap();
        let history = study.trials().unwrap();
        let mut gp = GaussianProcess::new();
        let mut fits = |trials: usize| {
            suggest(&mut gp, &history[..trials], 200);
            // Fitting would replace it.
            let noise = &mut gp.fitted[0].theta.noise;
            std::mem::replace(noise, 0.5) != 0.5
        };
        assert_eq!(
            [109, 110, 111, 120, 121, 122].map(&mut fits),
            [true, true, false, false, true, false]
        );
        assert_eq!([98, 99, 99].map(fits), [true, true, false], "every time while it is small");
    }
}
