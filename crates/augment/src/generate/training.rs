//! What training a network generator has in common: batches of a class or category, the watch
//! over its samples, progress.

use std::path::Path;
use std::sync::atomic::AtomicBool;

use burn::tensor::{Device, Int, Tensor, TensorData};
use counterweight_core::{Progress, Rng, derive, ensure, pages, rng};
use ndarray::{Array2, ArrayView2, Axis, concatenate};
use rand::RngExt;
use rand::seq::SliceRandom;

use super::codec::{Codec, Normalisation};
use crate::fidelity::column_distance;
use crate::{Column, Error, Result};

/// Rows on which a look at the samples is based.
const LOOK: usize = 1000;
/// Epochs between two looks.
const EVERY: usize = 10;

/// What a generator is trained on.
#[derive(Debug, Clone, Copy)]
pub struct Training<'a> {
    pub(crate) x: ArrayView2<'a, f64>,
    pub(crate) columns: &'a [Column],
    pub(crate) labels: &'a [usize],
    pub(crate) checkpoint: Option<&'a Path>,
    pub(crate) stop: Option<&'a AtomicBool>,
}

impl<'a> Training<'a> {
    /// Rows, what their columns mean and their classes. NaN stands for a missing value.
    ///
    /// # Errors
    /// When there are no rows, lengths differ or a number is infinite.
    pub fn new(x: ArrayView2<'a, f64>, columns: &'a [Column], labels: &'a [usize]) -> Result<Self> {
        crate::table::check(x, columns, Some(labels), true)?;
        Ok(Self { x, columns, labels, checkpoint: None, stop: None })
    }

    /// Keeps the training of a network in this file, every ten epochs and when it is stopped, and
    /// goes on from there, to the same model, where the file is there. It is removed at the end. A
    /// file of other data or settings is an error.
    #[must_use]
    pub fn with_checkpoint(mut self, path: &'a Path) -> Self {
        self.checkpoint = Some(path);
        self
    }

    /// Stops with [`Error::Interrupted`] after the epoch in which the flag is set.
    #[must_use]
    pub fn with_stop_flag(mut self, stop: &'a AtomicBool) -> Self {
        self.stop = Some(stop);
        self
    }

    /// The rows with the class as a last column.
    pub(crate) fn with_class(&self) -> (Array2<f64>, Vec<Column>) {
        let class: Vec<f64> = self.labels.iter().map(|&l| l as f64).collect();
        let class = ndarray::Array1::from_vec(class).insert_axis(Axis(1));
        // Both have a row per label.
        let x = concatenate(Axis(1), &[self.x, class.view()]).unwrap_or_default();
        (x, self.columns.iter().copied().chain([Column::Category]).collect())
    }
}

/// The part of a configuration that networks share.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Schedule {
    pub(crate) epochs: usize,
    pub(crate) batch: usize,
    pub(crate) levels: usize,
    pub(crate) patience: Option<usize>,
    pub(crate) seed: u64,
}

impl Schedule {
    pub(crate) fn check(&self) -> Result<()> {
        ensure("epochs", self.epochs as f64, self.epochs >= 1, "[1, inf)")?;
        ensure("batch", self.batch as f64, self.batch >= 2, "[2, inf)")?;
        ensure("max_levels", self.levels as f64, self.levels >= 2, "[2, inf)")?;
        if let Some(patience) = self.patience {
            ensure("patience", patience as f64, patience >= 1, "[1, inf)")?;
        }
        Ok(())
    }
}

/// Runs a training on one thread of the CPU: its operations are so small that waking a second thread
/// takes as long as the second thread saves, and several trainings can run side by side.
pub(crate) fn on_one_thread<T: Send>(train: impl FnOnce() -> Result<T> + Send) -> Result<T> {
    pages::keep_freed();
    match rayon::ThreadPoolBuilder::new().num_threads(1).build() {
        Ok(pool) => pool.install(train),
        Err(_) => train(),
    }
}

/// Encoded rows on the device, and where each category stands.
#[derive(Debug)]
pub(crate) struct Batches {
    pub(crate) codec: Codec,
    pub(crate) device: Device,
    pub(crate) encoded: Tensor<2>,
    conditions: Vec<Condition>,
    condition_width: usize,
}

#[derive(Debug)]
struct Condition {
    /// Among the inputs of a row.
    input: usize,
    /// Among the conditions.
    at: usize,
    /// Cumulative weights of the levels: by the logarithm of the frequency, and by it.
    by_log: Vec<f64>,
    by_count: Vec<f64>,
    rows: Vec<Vec<i32>>,
}

/// Running sums.
fn cumulative(weights: impl Iterator<Item = f64>) -> Vec<f64> {
    weights
        .scan(0.0, |sum, weight| {
            *sum += weight;
            Some(*sum)
        })
        .collect()
}

/// An index with probability in proportion to its weight.
fn pick(cumulative: &[f64], rng: &mut Rng) -> usize {
    let total = cumulative.last().copied().unwrap_or(0.0);
    let at = rng.random::<f64>() * total;
    cumulative.partition_point(|sum| *sum <= at).min(cumulative.len() - 1)
}

/// The rows of each condition's levels that an epoch has not drawn yet, in an order of chance.
#[derive(Debug)]
pub(crate) struct Left(Vec<Vec<Vec<i32>>>);

/// Conditions of a batch, drawn on the host: for every row one level of one column.
#[derive(Debug)]
pub(crate) struct Drawn {
    /// `[batch, conditions]` one-hot.
    pub(crate) conditions: Vec<f32>,
    /// `[batch, inputs]` one-hot.
    pub(crate) inputs: Vec<f32>,
    /// A real row that meets the condition.
    pub(crate) rows: Vec<i32>,
}

impl Batches {
    /// Encodes the rows. With `every`, all categorical columns are conditions (CTGAN), else
    /// the class alone.
    pub(crate) fn new(
        training: &Training<'_>,
        normalisation: Normalisation,
        schedule: &Schedule,
        every: bool,
        device: &Device,
    ) -> Self {
        let (x, columns) = training.with_class();
        let seed = schedule.seed;
        let codec = Codec::fit(x.view(), &columns, normalisation, schedule.levels, derive(seed, 1));
        let encoded = codec.encode(x.view(), derive(seed, 2));
        let blocks = codec.categories();
        let first = if every { 0 } else { blocks.len() - 1 };
        let mut conditions = Vec::new();
        let mut condition_width = 0;
        for &(input, levels) in &blocks[first..] {
            let mut rows = vec![Vec::new(); levels.len()];
            for (row, inputs) in encoded.rows().into_iter().enumerate() {
                let hot = |level: &usize| inputs[input + level] == 1.0;
                if let Some(level) = (0..levels.len()).find(hot) {
                    rows[level].push(row as i32);
                }
            }
            conditions.push(Condition {
                input,
                at: condition_width,
                by_log: cumulative(levels.iter().map(|l| (l.count as f64).ln_1p())),
                by_count: cumulative(levels.iter().map(|l| l.count as f64)),
                rows,
            });
            condition_width += levels.len();
        }
        let device = device.clone().without_autodiff();
        let shape = [encoded.nrows(), encoded.ncols()];
        let data = TensorData::new(encoded.into_raw_vec_and_offset().0, shape);
        let encoded = Tensor::from_data(data, &device);
        Self { codec, device, encoded, conditions, condition_width }
    }

    pub(crate) fn condition_width(&self) -> usize {
        self.condition_width
    }

    pub(crate) fn rows(&self) -> usize {
        self.encoded.dims()[0]
    }

    /// For an epoch's draws.
    pub(crate) fn left(&self) -> Left {
        Left(self.conditions.iter().map(|c| vec![Vec::new(); c.rows.len()]).collect())
    }

    /// Training by sampling (Xu et al. 2019): a column, and one of its levels by the logarithm
    /// of its frequency, so that the rare ones are seen. The rows of a level are drawn without
    /// replacement until none is left.
    pub(crate) fn draw(&self, batch: usize, left: &mut Left, rng: &mut Rng) -> Drawn {
        self.draw_by(batch, left, rng, |condition| &condition.by_log)
    }

    /// Levels by their frequency.
    fn draw_by<'s>(
        &'s self,
        batch: usize,
        left: &mut Left,
        rng: &mut Rng,
        weights: impl Fn(&'s Condition) -> &'s [f64],
    ) -> Drawn {
        let inputs = self.codec.width();
        let mut drawn = Drawn {
            conditions: vec![0.0; batch * self.condition_width],
            inputs: vec![0.0; batch * inputs],
            rows: Vec::with_capacity(batch),
        };
        for row in 0..batch {
            let column = rng.random_range(0..self.conditions.len());
            let condition = &self.conditions[column];
            let level = pick(weights(condition), rng);
            drawn.conditions[row * self.condition_width + condition.at + level] = 1.0;
            drawn.inputs[row * inputs + condition.input + level] = 1.0;
            let left = &mut left.0[column][level];
            if left.is_empty() {
                left.extend(&condition.rows[level]);
                left.shuffle(rng);
            }
            drawn.rows.extend(left.pop());
        }
        drawn
    }

    /// The rows of each class, in the order of the conditions.
    pub(crate) fn by_class(&self) -> &[Vec<i32>] {
        self.conditions.last().map_or(&[], |c| &c.rows)
    }

    /// Where the class begins among the conditions: it is the last.
    pub(crate) fn class_start(&self) -> usize {
        self.conditions.last().map_or(0, |c| c.at)
    }

    /// Encoded real rows.
    pub(crate) fn real(&self, rows: Vec<i32>) -> Tensor<2> {
        let n = rows.len();
        let rows = Tensor::<1, Int>::from_data(TensorData::new(rows, [n]), &self.device);
        self.encoded.clone().select(0, rows)
    }
}

/// Watches how near samples are to the training rows, keeps the best weights `S` and says when
/// to stop; without a patience it does nothing.
#[derive(Debug)]
pub(crate) struct Watch<'a, S> {
    training: Training<'a>,
    epochs: usize,
    patience: Option<usize>,
    nearest: f64,
    since: usize,
    best: Option<S>,
}

impl<'a, S> Watch<'a, S> {
    pub(crate) fn new(training: &Training<'a>, schedule: &Schedule) -> Self {
        Self {
            training: *training,
            epochs: schedule.epochs,
            patience: schedule.patience,
            nearest: f64::INFINITY,
            since: 0,
            best: None,
        }
    }

    /// Looks at as many samples as `sample` is asked for, drawn like the training rows, where an
    /// epoch is due. Gives their distance and whether to stop.
    pub(crate) fn after(
        &mut self,
        epoch: usize,
        sample: impl FnOnce(usize) -> Result<Array2<f64>>,
        weights: impl FnOnce() -> S,
    ) -> Result<(Option<f64>, bool)> {
        let due = (epoch + 1).is_multiple_of(EVERY) || epoch + 1 == self.epochs;
        let Some(patience) = self.patience.filter(|_| due) else {
            return Ok((None, false));
        };
        let Training { x, columns, .. } = self.training;
        let samples = sample(x.nrows().min(LOOK))?;
        let distance = |at: usize| column_distance(x.column(at), samples.column(at), columns[at]);
        let mean = (0..columns.len()).map(distance).sum::<f64>() / columns.len() as f64;
        if mean < self.nearest {
            (self.nearest, self.since, self.best) = (mean, 0, Some(weights()));
        } else {
            self.since += 1;
        }
        Ok((Some(mean), self.since >= patience))
    }

    /// The best distance, looks since and weights, for a file.
    pub(crate) fn place(&self) -> (f64, usize, Option<&S>) {
        (self.nearest, self.since, self.best.as_ref())
    }

    /// Takes back what [`place`](Self::place) gave.
    pub(crate) fn put(&mut self, nearest: f64, since: usize, best: Option<S>) {
        (self.nearest, self.since, self.best) = (nearest, since, best);
    }

    /// The best weights, or the last.
    pub(crate) fn best_or(self, last: S) -> S {
        self.best.unwrap_or(last)
    }
}

/// Draws conditions by frequency, as the real rows have them, for a look.
pub(crate) fn like_real(batches: &Batches, rows: usize, rng: &mut Rng) -> Vec<f32> {
    batches.draw_by(rows, &mut batches.left(), rng, |condition| &condition.by_count).conditions
}

/// Draws rows of a class from a network, `draw(rows, generator)` giving them with their own class
/// behind. Those whose own class is another are drawn again, and after `TRIES` times as many they
/// are taken as they are.
pub(crate) fn of_class(
    class: usize,
    rows: usize,
    columns: usize,
    seed: u64,
    draw: impl Fn(usize, &mut Rng) -> Result<Array2<f64>>,
) -> Result<Array2<f64>> {
    const TRIES: usize = 10;
    const CHUNK: usize = 4096;
    let mut rng = rng(seed);
    let mut out = Array2::zeros((rows, columns));
    let mut others: Vec<f64> = Vec::new();
    let (mut kept, mut drawn) = (0, 0);
    while kept < rows && drawn < TRIES * rows {
        let n = rows.min(CHUNK);
        drawn += n;
        for row in draw(n, &mut rng)?.rows() {
            let own = row.iter().take(columns);
            if row.get(columns) != Some(&(class as f64)) {
                others.extend(own);
            } else if kept < rows {
                out.row_mut(kept).iter_mut().zip(own).for_each(|(to, from)| *to = *from);
                kept += 1;
            }
        }
    }
    let left = others.chunks_exact(columns.max(1));
    for (mut to, from) in out.rows_mut().into_iter().skip(kept).zip(left) {
        to.iter_mut().zip(from).for_each(|(to, from)| *to = *from);
    }
    Ok(out)
}

/// Tells the progress after an epoch.
pub(crate) fn tell(progress: &dyn Progress, epoch: usize, loss: f64, look: Option<f64>) {
    let look = look.map_or(String::new(), |d| format!(" distance {d:.3}"));
    progress.update(epoch as u64 + 1, &format!("loss {loss:.3}{look}"));
}

/// A number of a configuration that must be positive and finite.
pub(crate) fn positive(name: &'static str, value: f64) -> Result<()> {
    ensure(name, value, value > 0.0 && value.is_finite(), "(0, inf)").map_err(Error::from)
}
