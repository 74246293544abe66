use counterweight_core::{ensure, ensure_length};
use serde::{Deserialize, Serialize};

use crate::counts::ratio;
use crate::{Predictions, Result};

/// Forecast probabilities against what came true, in equal-width bins: an accumulator for a
/// reliability table, the expected calibration error and the parts of the Brier score.
///
/// `ECE = Σ_b (n_b / N) |accuracy_b − confidence_b|` over bins `(b/B, (b+1)/B]` (Guo et al.,
/// ICML 2017; 15 bins there and here). For a classifier the forecast is the predicted
/// class's probability and the event that the prediction is right.
///
/// ```
/// use counterweight_metrics::Calibration;
///
/// let mut bins = Calibration::new(10);
/// for (p, came) in [(0.95, true), (0.95, false), (0.35, false)] {
///     bins.update(p, came)?;
/// }
/// // 2/3 of |.5 − .95| and 1/3 of |0 − .35|
/// assert!((bins.ece().unwrap() - 1.25 / 3.0).abs() < 1e-12);
/// assert!((bins.mce().unwrap() - 0.45).abs() < 1e-12);
/// # Ok::<(), counterweight_metrics::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Calibration {
    bins: Vec<Sums>,
}

#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
struct Sums {
    weight: f64,
    forecast: f64,
    squares: f64,
    /// Σ forecast where the event came.
    forecast_came: f64,
    came: f64,
}

/// One row of a reliability table.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct CalibrationBin {
    /// The weight of its forecasts.
    pub weight: f64,
    /// Their mean.
    pub confidence: f64,
    /// The share of events that came.
    pub accuracy: f64,
}

/// The Brier score of an event taken apart (Murphy 1973, with the two terms of Stephenson et
/// al. 2008 that make it exact for binned forecasts):
/// `score = reliability − resolution + uncertainty + within_bins`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct BrierParts {
    /// Mean of `(forecast − event)²`.
    pub score: f64,
    /// How far forecasts are from the frequencies; 0 is calibrated.
    pub reliability: f64,
    /// How far the bins' frequencies are from the overall one; higher is better.
    pub resolution: f64,
    /// `f (1 − f)` of the overall frequency: what cannot be helped.
    pub uncertainty: f64,
    /// What differing forecasts within one bin add.
    pub within_bins: f64,
}

impl Default for Calibration {
    fn default() -> Self {
        Self::new(15)
    }
}

impl Calibration {
    /// An empty accumulator with `bins` bins (at least 1 is used).
    pub fn new(bins: usize) -> Self {
        Self { bins: vec![Sums::default(); bins.max(1)] }
    }

    /// Bins that hold the same number of forecasts, the equal-mass form of ECE (Nixon et al.
    /// 2019): sorted, then cut into `bins` parts whose sizes differ by at most one. Equal
    /// forecasts may be parted, in the order of the input.
    ///
    /// Not an accumulator: shards of it have other bins and merge bin by bin.
    ///
    /// # Errors
    /// For no bins, arrays of different lengths, or a forecast outside `[0, 1]`.
    pub fn equal_mass(forecasts: &[f64], came: &[bool], bins: usize) -> Result<Self> {
        ensure("bins", bins as f64, bins >= 1, "[1, inf)")?;
        ensure_length("events", came.len(), forecasts.len())?;
        for (row, &forecast) in forecasts.iter().enumerate() {
            check_probability(forecast, row)?;
        }
        let mut order: Vec<usize> = (0..forecasts.len()).collect();
        order.sort_by(|&a, &b| forecasts[a].total_cmp(&forecasts[b]));
        let mut filled = Self::new(bins);
        for (place, &row) in order.iter().enumerate() {
            // The first `n % bins` bins hold one more.
            let (size, larger) = (order.len() / bins, order.len() % bins);
            let bin = if place < larger * (size + 1) {
                place / (size + 1)
            } else {
                larger + (place - larger * (size + 1)) / size
            };
            filled.bins[bin].add(forecasts[row], came[row], 1.0);
        }
        Ok(filled)
    }

    /// Adds a forecast in `[0, 1]` and whether its event came.
    ///
    /// # Errors
    /// For a forecast that is NaN or outside `[0, 1]`.
    pub fn update(&mut self, forecast: f64, came: bool) -> Result<()> {
        check_probability(forecast, 0)?;
        self.add(forecast, came, 1.0);
        Ok(())
    }

    /// Adds a checked forecast.
    pub(crate) fn add(&mut self, forecast: f64, came: bool, weight: f64) {
        let last = self.bins.len() - 1;
        let bin = ((forecast * self.bins.len() as f64).ceil() as usize).saturating_sub(1);
        self.bins[bin.min(last)].add(forecast, came, weight);
    }

    /// Adds another shard's counts.
    ///
    /// # Errors
    /// When the numbers of bins differ.
    pub fn merge(&mut self, other: &Self) -> Result<()> {
        ensure_length("bins", other.bins.len(), self.bins.len())?;
        for (mine, theirs) in self.bins.iter_mut().zip(&other.bins) {
            mine.weight += theirs.weight;
            mine.forecast += theirs.forecast;
            mine.squares += theirs.squares;
            mine.forecast_came += theirs.forecast_came;
            mine.came += theirs.came;
        }
        Ok(())
    }

    fn weight(&self) -> f64 {
        self.bins.iter().map(|b| b.weight).sum()
    }

    /// The expected calibration error, `None` without forecasts.
    pub fn ece(&self) -> Option<f64> {
        ratio(self.bins.iter().map(|b| (b.came - b.forecast).abs()).sum(), self.weight())
    }

    /// The maximum calibration error: the largest gap of any bin.
    pub fn mce(&self) -> Option<f64> {
        self.table().map(|b| (b.accuracy - b.confidence).abs()).max_by(f64::total_cmp)
    }

    /// The reliability table: every bin that is not empty, from low to high forecasts.
    pub fn table(&self) -> impl Iterator<Item = CalibrationBin> {
        self.bins.iter().filter(|b| b.weight > 0.0).map(|b| CalibrationBin {
            weight: b.weight,
            confidence: b.forecast / b.weight,
            accuracy: b.came / b.weight,
        })
    }

    /// The Brier score of the event and its parts; `None` without forecasts.
    pub fn brier(&self) -> Option<BrierParts> {
        let total = self.weight();
        let overall = ratio(self.bins.iter().map(|b| b.came).sum(), total)?;
        let mut parts = BrierParts {
            score: 0.0,
            reliability: 0.0,
            resolution: 0.0,
            uncertainty: overall * (1.0 - overall),
            within_bins: 0.0,
        };
        for b in self.bins.iter().filter(|b| b.weight > 0.0) {
            let (forecast, came) = (b.forecast / b.weight, b.came / b.weight);
            let share = b.weight / total;
            parts.score += (b.squares - 2.0 * b.forecast_came + b.came) / total;
            parts.reliability += share * (forecast - came).powi(2);
            parts.resolution += share * (came - overall).powi(2);
            let variance = b.squares / b.weight - forecast * forecast;
            let covariance = b.forecast_came / b.weight - forecast * came;
            parts.within_bins += share * (variance - 2.0 * covariance);
        }
        Some(parts)
    }
}

impl Sums {
    fn add(&mut self, forecast: f64, came: bool, weight: f64) {
        self.weight += weight;
        self.forecast += weight * forecast;
        self.squares += weight * forecast * forecast;
        if came {
            self.came += weight;
            self.forecast_came += weight * forecast;
        }
    }
}

pub(crate) fn check_probability(value: f64, row: usize) -> Result<()> {
    if (0.0..=1.0).contains(&value) {
        return Ok(());
    }
    Err(crate::Error::Probability { row, value })
}

impl Predictions {
    /// The reliability bins of one class's probability, the event being that it is the class.
    ///
    /// # Errors
    /// For a class outside the predictions.
    pub fn class_calibration(&self, class: usize, bins: usize) -> Result<Calibration> {
        crate::counts::check_ids(class, class, 0, self.probabilities().ncols())?;
        let mut filled = Calibration::new(bins);
        for (row, &truth) in self.truth().iter().enumerate() {
            // Rows sum to 1 within 1e-3, so one value may exceed 1 by as much.
            filled.add(self.probabilities()[[row, class]].min(1.0), truth == class, 1.0);
        }
        Ok(filled)
    }

    /// Class-wise ECE: the mean over the classes of the expected calibration error of their
    /// probabilities (Kull et al., NeurIPS 2019).
    pub fn class_wise_ece(&self, bins: usize) -> Result<f64> {
        let classes = self.probabilities().ncols();
        let mut sum = 0.0;
        for class in 0..classes {
            sum += self.class_calibration(class, bins)?.ece().unwrap_or(0.0);
        }
        Ok(sum / classes as f64)
    }

    /// The reliability of the predicted class's probability in bins of equal mass.
    ///
    /// # Errors
    /// For no bins.
    pub fn equal_mass_calibration(&self, bins: usize) -> Result<Calibration> {
        let rows = self.truth().iter().zip(self.predicted()).enumerate();
        let (confidence, right): (Vec<f64>, Vec<bool>) =
            rows.map(|(row, (t, &p))| (self.probabilities()[[row, p]].min(1.0), *t == p)).unzip();
        Calibration::equal_mass(&confidence, &right, bins)
    }
}
