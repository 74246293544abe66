use burn::tensor::activation::relu;
use burn::tensor::{Device, Tensor};
use counterweight_core::{Progress, Rng, derive, ensure, rng};
use counterweight_kernels::{gaussian_divergence, gaussian_draw, segment_cross_entropy};
use faer::{Mat, Scale, Side};
use ndarray::{Array2, ArrayView2};
use rand::RngExt;
use serde::{Deserialize, Serialize};

use super::codec::{Codec, Normalisation};
use super::layers::{Adam, Weights, finite, gumbel, layer, normal, numbers, upload};
use super::resume::{Checkpoint, State};
use super::store::Stored;
use super::training::{
    Batches, Schedule, Training, Watch, like_real, of_class, on_one_thread, positive, tell,
};
use super::{Generator, stream};
use crate::macros::config;
use crate::{Error, Result};

config! {
    /// TVAE (Xu et al., NeurIPS 2019): a variational autoencoder (Kingma and Welling, ICLR
    /// 2014) over mode-specific normalisation.
    ///
    /// Unlike the package `ctgan` it is conditional on the class (Sohn et al., NeurIPS 2015),
    /// which encoder and decoder see, and classes are drawn by the logarithm of their frequency,
    /// so that a rare class is learned and can be asked for. The rate falls to 0 over the last tenth
    /// of the epochs, and rows are drawn from the distribution of what the encoder gives for the
    /// real ones (Ghosh et al., ICLR 2020) instead of the standard normal one, which it is not.
    /// Weight decay is decoupled.
    Tvae {
        /// Passes over the rows, at least 1. Default: 300.
        with_epochs(epochs: usize = 300),
        /// Rows of a step, at least 2. Default: 500.
        with_batch(batch: usize = 500),
        /// Numbers of the latent space. Default: 128.
        with_embedding(embedding: usize = 128),
        /// Widths of the encoder's layers, and of the decoder's in reverse. Default: 128, 128.
        with_hidden(hidden: Vec<usize> = vec![128, 128]),
        /// Weight of the reconstruction against the divergence. Default: 2.
        with_loss_factor(loss_factor: f64 = 2.0),
        /// Temperature of drawing modes and categories, which the decoder gives without regard for
        /// one another, in `[0, 1]`: at 1 by its probabilities, which keeps the columns' own
        /// distributions best, at 0 the most probable, as the package `ctgan` does, which keeps more
        /// of how columns go together. Default: 0.7.
        with_temperature(temperature: f64 = 0.7),
        /// Learning rate. Default: 1e-3.
        with_learning_rate(learning_rate: f64 = 1e-3),
        /// Weight decay. Default: 1e-5.
        with_weight_decay(weight_decay: f64 = 1e-5),
        /// As in [`CtGan`](crate::CtGan). Default: 1000.
        with_max_levels(max_levels: usize = 1000),
        /// As in [`CtGan`](crate::CtGan). Default: none.
        with_patience(patience: Option<usize> = None),
        /// Seed. Default: 0.
        with_seed(seed: u64 = 0),
    }
}

config! {
    /// A variational autoencoder (Kingma and Welling, ICLR 2014) for dense vectors,
    /// conditional on the class: columns are only scaled to unit variance.
    ///
    /// Takes no missing values. Trained and drawn from as a [`Tvae`].
    Vae {
        /// Passes over the rows, at least 1. Default: 300.
        with_epochs(epochs: usize = 300),
        /// Rows of a step, at least 2. Default: 256.
        with_batch(batch: usize = 256),
        /// Numbers of the latent space. Default: 32.
        with_embedding(embedding: usize = 32),
        /// Widths of the encoder's layers, and of the decoder's in reverse. Default: 128, 128.
        with_hidden(hidden: Vec<usize> = vec![128, 128]),
        /// Weight of the reconstruction against the divergence. Default: 1.
        with_loss_factor(loss_factor: f64 = 1.0),
        /// Learning rate. Default: 1e-3.
        with_learning_rate(learning_rate: f64 = 1e-3),
        /// As in [`CtGan`](crate::CtGan). Default: none.
        with_patience(patience: Option<usize> = None),
        /// Seed. Default: 0.
        with_seed(seed: u64 = 0),
    }
}

/// What both are.
#[derive(Debug, Clone, PartialEq)]
struct Settings {
    normalisation: Normalisation,
    schedule: Schedule,
    embedding: usize,
    hidden: Vec<usize>,
    loss_factor: f64,
    temperature: f64,
    adam: Adam,
}

impl Settings {
    fn check(&self) -> Result<()> {
        self.schedule.check()?;
        ensure("embedding", self.embedding as f64, self.embedding >= 1, "[1, inf)")?;
        ensure("hidden layers", self.hidden.len() as f64, !self.hidden.is_empty(), "[1, inf)")?;
        for &width in &self.hidden {
            ensure("width", width as f64, width >= 1, "[1, inf)")?;
        }
        let ok = self.adam.decay >= 0.0 && self.adam.decay.is_finite();
        ensure("weight_decay", self.adam.decay, ok, "[0, inf)")?;
        let ok = (0.0..=1.0).contains(&self.temperature);
        ensure("temperature", self.temperature, ok, "[0, 1]")?;
        positive("loss_factor", self.loss_factor)?;
        positive("learning_rate", self.adam.rate)
    }
}

/// Adam's numbers in the package `ctgan`.
const BETAS: [f64; 2] = [0.9, 0.999];

impl Tvae {
    fn settings(&self) -> Settings {
        Settings {
            normalisation: Normalisation::Modes,
            schedule: Schedule {
                epochs: self.epochs,
                batch: self.batch,
                levels: self.max_levels,
                patience: self.patience,
                seed: self.seed,
            },
            embedding: self.embedding,
            hidden: self.hidden.clone(),
            loss_factor: self.loss_factor,
            temperature: self.temperature,
            adam: Adam { rate: self.learning_rate, decay: self.weight_decay, betas: BETAS },
        }
    }

    /// Checks the parameters' ranges.
    ///
    /// # Errors
    /// Naming the parameter, its value and the range.
    pub fn check(&self) -> Result<()> {
        self.settings().check()
    }

    /// Trains on the device. Fewer rows than a batch are drawn again and again.
    ///
    /// # Errors
    /// For parameters out of range, and [`Error::Diverged`](crate::Error::Diverged).
    pub fn fit(
        &self,
        training: Training<'_>,
        device: &Device,
        progress: &dyn Progress,
    ) -> Result<VaeModel> {
        fit(&self.settings(), training, device, progress)
    }
}

impl Vae {
    fn settings(&self) -> Settings {
        Settings {
            normalisation: Normalisation::Standard,
            schedule: Schedule {
                epochs: self.epochs,
                batch: self.batch,
                levels: usize::MAX,
                patience: self.patience,
                seed: self.seed,
            },
            embedding: self.embedding,
            hidden: self.hidden.clone(),
            loss_factor: self.loss_factor,
            temperature: 1.0,
            adam: Adam { rate: self.learning_rate, decay: 0.0, betas: BETAS },
        }
    }

    /// Checks the parameters' ranges.
    ///
    /// # Errors
    /// Naming the parameter, its value and the range.
    pub fn check(&self) -> Result<()> {
        self.settings().check()
    }

    /// Trains on the device.
    ///
    /// # Errors
    /// As [`Tvae::fit`], and for missing values.
    pub fn fit(
        &self,
        training: Training<'_>,
        device: &Device,
        progress: &dyn Progress,
    ) -> Result<VaeModel> {
        crate::table::check(training.x, training.columns, None, false)?;
        fit(&self.settings(), training, device, progress)
    }
}

/// A trained [`Tvae`] or [`Vae`].
#[derive(Debug, Clone)]
pub struct VaeModel {
    head: Head,
    /// The decoder and behind it the deviations of its numbers.
    decoder: Vec<Tensor<2>>,
    device: Device,
}

/// What of a model is not a tensor.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Head {
    codec: Codec,
    embedding: usize,
    hidden: Vec<usize>,
    classes: usize,
    linear: bool,
    temperature: f64,
}

/// The deviations of the numbers begin at this (Xu et al. 2019) and stay in a range.
const DEVIATION: f64 = 0.1;
const DEVIATIONS: [f64; 2] = [0.01, 1.0];

impl Head {
    fn encoder_sizes(&self) -> Vec<[usize; 2]> {
        let widths: Vec<usize> = [self.codec.width() + self.classes]
            .into_iter()
            .chain(self.hidden.iter().copied())
            .chain([2 * self.embedding])
            .collect();
        widths.windows(2).map(|w| [w[0], w[1]]).collect()
    }

    fn decoder_sizes(&self) -> Vec<[usize; 2]> {
        let widths: Vec<usize> = [self.embedding + self.classes]
            .into_iter()
            .chain(self.hidden.iter().rev().copied())
            .chain([self.codec.width()])
            .collect();
        widths.windows(2).map(|w| [w[0], w[1]]).collect()
    }

    /// Dense layers with ReLU between them.
    fn network(&self, used: &[Tensor<2>], mut x: Tensor<2>) -> Tensor<2> {
        let layers = self.hidden.len();
        for at in 0..layers {
            x = relu(layer(used, at, x));
        }
        layer(used, layers, x)
    }

    /// The negative log likelihood of rows, summed.
    fn reconstruction(&self, x: Tensor<2>, out: Tensor<2>, deviation: Tensor<2>) -> Tensor<1> {
        let rows = x.dims()[0];
        let first = self.codec.numbers();
        let mut loss = Tensor::zeros([1], &x.device());
        if first > 0 {
            let range = [0..rows, 0..first];
            let mean = out.clone().slice(range.clone());
            let mean = if self.linear { mean } else { mean.tanh() };
            let error = (x.clone().slice(range) - mean) / deviation.clone();
            loss = loss + error.square().sum() * 0.5 + deviation.log().sum() * rows as f64;
        }
        loss + segment_cross_entropy(out, x, &self.codec.segments()).sum()
    }
}

fn fit(
    settings: &Settings,
    training: Training<'_>,
    device: &Device,
    progress: &dyn Progress,
) -> Result<VaeModel> {
    settings.check()?;
    let batches =
        Batches::new(&training, settings.normalisation, &settings.schedule, false, device);
    on_one_thread(|| train(settings, training, &batches, progress))
}

fn train(
    settings: &Settings,
    training: Training<'_>,
    batches: &Batches,
    progress: &dyn Progress,
) -> Result<VaeModel> {
    let schedule = &settings.schedule;
    let plain = batches.device.clone();
    let mut rng = rng(derive(schedule.seed, stream::TRAIN));
    let head = Head {
        codec: batches.codec.clone(),
        embedding: settings.embedding,
        hidden: settings.hidden.clone(),
        classes: batches.condition_width(),
        linear: settings.normalisation == Normalisation::Standard,
        temperature: settings.temperature,
    };
    let mut encoder = Weights::dense(&head.encoder_sizes(), &mut rng, &plain);
    let mut decoder = Weights::dense(&head.decoder_sizes(), &mut rng, &plain);
    let deviation = decoder.plain().len();
    decoder.push(Tensor::full([1, head.codec.numbers().max(1)], DEVIATION, &plain));

    let batch = schedule.batch;
    let steps = batches.rows().div_ceil(batch);
    let mut watch = Watch::new(&training, schedule);
    let checkpoint = Checkpoint::new(&training, settings);
    let shapes = Stored::shapes(&flat(&encoder, &decoder));
    let state = State { networks: vec![&mut encoder, &mut decoder], rest: vec![] };
    let front = 2 * head.encoder_sizes().len();
    let model = |mut tensors: Vec<Tensor<2>>| {
        let decoder = tensors.split_off(front);
        (Weights::from_tensors(tensors), Weights::from_tensors(decoder))
    };
    let first = checkpoint.begin(state, &mut watch, &mut rng, &plain, &shapes, model)?;
    progress.start("training", schedule.epochs as u64);
    for epoch in first..schedule.epochs {
        let (mut last, mut left) = (0.0, batches.left());
        for i in 0..steps {
            let step = epoch * steps + i;
            let drawn = batches.draw(batch, &mut left, &mut rng);
            let x = Tensor::from_inner(batches.real(drawn.rows));
            let class = Tensor::from_inner(upload(drawn.conditions, head.classes, &plain));
            let (encode, decode) = (encoder.tracked(), decoder.tracked());
            let hidden = head.network(&encode, Tensor::cat(vec![x.clone(), class.clone()], 1));
            let noise = Tensor::from_inner(normal(batch, head.embedding, &mut rng, &plain));
            let z = gaussian_draw(hidden.clone(), noise);
            let out = head.network(&decode, Tensor::cat(vec![z, class], 1));
            let likelihood = head.reconstruction(x, out, decode[deviation].clone());
            let divergence = gaussian_divergence(hidden).sum();
            let loss = (likelihood * settings.loss_factor + divergence) / batch as f64;
            let gradients = loss.backward();
            last = finite(loss, step, "loss")?;
            let adam = settings.adam.falling(step, schedule.epochs * steps);
            encoder.step(encode, &gradients, adam);
            decoder.step(decode, &gradients, adam);
            decoder.map(deviation, |d| d.clamp(DEVIATIONS[0], DEVIATIONS[1]));
        }
        let sample = |rows| {
            let asked = like_real(batches, rows, &mut rng);
            let decoder = with_prior(&head, &encoder, &decoder, batches)?;
            make(&head, &decoder, asked, &mut rng, &plain)
        };
        let both = || (encoder.clone(), decoder.clone());
        let (look, stop) = watch.after(epoch, sample, both)?;
        tell(progress, epoch, last, look);
        if stop {
            break;
        }
        let state = State { networks: vec![&mut encoder, &mut decoder], rest: vec![] };
        let best = |(encoder, decoder): &(Weights, Weights)| flat(encoder, decoder);
        checkpoint.after(epoch + 1, state, &watch, &rng, best)?;
    }
    progress.finish("");
    checkpoint.end()?;
    let (encoder, decoder) = watch.best_or((encoder, decoder));
    for tensor in flat(&encoder, &decoder) {
        finite(tensor.abs().sum(), schedule.epochs * steps, "sum of the weights")?;
    }
    let decoder = with_prior(&head, &encoder, &decoder, batches)?;
    Ok(VaeModel { head, decoder, device: plain })
}

/// The tensors of both, for a file.
fn flat(encoder: &Weights, decoder: &Weights) -> Vec<Tensor<2>> {
    encoder.plain().iter().chain(decoder.plain()).cloned().collect()
}

/// The decoder for rows of its own. The encoder does not give standard normal numbers for the rows
/// of a class: a normal distribution about a mean of each class and with one covariance of all is
/// fitted to what it gives (ex-post density estimation, Ghosh et al., ICLR 2020), and the first
/// layer, which is linear, makes it of standard normal numbers.
fn with_prior(
    head: &Head,
    encoder: &Weights,
    decoder: &Weights,
    batches: &Batches,
) -> Result<Vec<Tensor<2>>> {
    let device = &batches.device;
    let (width, classes) = (head.embedding, head.classes);
    let weights: Vec<f64> =
        batches.by_class().iter().map(|rows| (rows.len() as f64).ln_1p()).collect();
    let total: f64 = weights.iter().sum();
    let mut means = Vec::new();
    let mut covariance = Mat::<f64>::identity(width, width) * Scale(LEAST);
    for (class, (rows, weight)) in batches.by_class().iter().zip(weights).enumerate() {
        let (mean, own) = moments(head, encoder, batches, class, rows)?;
        means.extend(mean.into_iter().map(|v| v as f32));
        covariance += own * Scale(weight / total);
    }
    let factor = covariance.llt(Side::Lower).map_err(|e| Error::External {
        step: "Cholesky factor of the encoder's covariance",
        reason: format!("{e:?}"),
    })?;
    let lower = factor.L();
    let upper = |at: usize| {
        let (row, column) = (at / width, at % width);
        if row <= column { lower[(column, row)] as f32 } else { 0.0 }
    };
    let factor = upload((0..width * width).map(upper).collect(), width, device);
    let means = upload(means, width, device);
    let mut decoder = decoder.plain().to_vec();
    let outputs = decoder[0].dims()[1];
    let of_latent = decoder[0].clone().slice([0..width, 0..outputs]);
    let of_class = decoder[0].clone().slice([width..width + classes, 0..outputs]);
    let of_class = of_class + means.matmul(of_latent.clone());
    decoder[0] = Tensor::cat(vec![factor.matmul(of_latent), of_class], 0);
    Ok(decoder)
}

/// Added to every variance of the latent numbers, so that none is 0.
const LEAST: f64 = 1e-6;

/// Mean and covariance of what the encoder draws for these rows of a class.
fn moments(
    head: &Head,
    encoder: &Weights,
    batches: &Batches,
    class: usize,
    rows: &[i32],
) -> Result<(Vec<f64>, Mat<f64>)> {
    const CHUNK: usize = 4096;
    let (width, classes) = (head.embedding, head.classes);
    let mut sums = vec![0.0; width];
    let mut products = Mat::<f64>::zeros(width, width);
    for rows in rows.chunks(CHUNK) {
        let mut one = vec![0.0; rows.len() * classes];
        one.chunks_exact_mut(classes).for_each(|row| row[class] = 1.0);
        let class = upload(one, classes, &batches.device);
        let input = Tensor::cat(vec![batches.real(rows.to_vec()), class], 1);
        let drawn = numbers(head.network(encoder.plain(), input))?;
        let means = Mat::from_fn(rows.len(), width, |i, j| f64::from(drawn[2 * i * width + j]));
        for drawn in drawn.chunks_exact(2 * width) {
            let (mean, log_variance) = drawn.split_at(width);
            for at in 0..width {
                sums[at] += f64::from(mean[at]);
                products[(at, at)] += f64::from(log_variance[at]).exp();
            }
        }
        products += means.transpose() * &means;
    }
    let n = rows.len() as f64;
    sums.iter_mut().for_each(|sum| *sum /= n);
    let covariance = |i: usize, j: usize| products[(i, j)] / n - sums[i] * sums[j];
    let covariance = Mat::from_fn(width, width, covariance);
    Ok((sums, covariance))
}

/// Rows of the table of these classes, the class included.
fn make(
    head: &Head,
    decoder: &[Tensor<2>],
    classes: Vec<f32>,
    rng: &mut Rng,
    device: &Device,
) -> Result<Array2<f64>> {
    let rows = classes.len() / head.classes;
    let z = normal(rows, head.embedding, rng, device);
    let input = Tensor::cat(vec![z, upload(classes, head.classes, device)], 1);
    let (first, width) = (head.codec.numbers(), head.codec.width());
    // The largest of logits with Gumbel noise is a draw from their softmax.
    let plain = head.network(decoder, input);
    let out = plain.clone() + gumbel(rows, width, rng, device) * head.temperature;
    let out = if first > 0 {
        let mean = plain.slice([0..rows, 0..first]);
        let mean = if head.linear { mean } else { mean.tanh() };
        let deviation = decoder[decoder.len() - 1].clone();
        let value = mean + normal(rows, first, rng, device) * deviation;
        let value = if head.linear { value } else { value.clamp(-1.0, 1.0) };
        Tensor::cat(vec![value, out.slice([0..rows, first..width])], 1)
    } else {
        out
    };
    let made = numbers(out)?;
    let seed = rng.random::<u64>();
    let made = ArrayView2::from_shape((rows, width), &made);
    Ok(made.map(|made| head.codec.decode(made, seed)).unwrap_or_default())
}

impl VaeModel {
    /// Reads a model that [`save`](Generator::save) wrote.
    ///
    /// # Errors
    /// When the file is missing, cut or holds something else.
    pub fn load(path: impl AsRef<std::path::Path>, device: &Device) -> Result<Self> {
        let device = device.clone().without_autodiff();
        let (head, decoder): (Head, Vec<_>) = Stored::read(path.as_ref(), "vae", &device)?;
        let fits = head.codec.classes() == head.classes && (0.0..=1.0).contains(&head.temperature);
        if !head.codec.is_whole() || !fits {
            return Err(Stored::broken(path.as_ref()));
        }
        let mut shapes: Vec<_> =
            head.decoder_sizes().iter().flat_map(|&[i, o]| [[i, o], [1, o]]).collect();
        shapes.push([1, head.codec.numbers().max(1)]);
        Stored::expect(path.as_ref(), &decoder, &shapes)?;
        Ok(Self { head, decoder, device })
    }
}

impl Generator for VaeModel {
    fn sample(&self, class: usize, rows: usize, seed: u64) -> Result<Array2<f64>> {
        let head = &self.head;
        let at = head.codec.class_level(class)?;
        of_class(class, rows, head.codec.columns() - 1, seed, |rows, rng| {
            let mut asked = vec![0.0; rows * head.classes];
            asked.chunks_exact_mut(head.classes).for_each(|row| row[at] = 1.0);
            make(head, &self.decoder, asked, rng, &self.device)
        })
    }

    fn save(&self, path: &std::path::Path) -> Result<()> {
        Stored::write(path, "vae", &self.head, &self.decoder)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Column;

    /// An encoder that gives every row the normal distribution of mean 2 (3 for class 1) and
    /// deviation 2: of standard normal numbers z the decoder is to make what it made of 2 z + 2.
    #[test]
    fn the_decoder_draws_what_the_encoder_gives() {
        let device = Device::flex();
        let x = Array2::from_shape_fn((9, 2), |(row, column)| (row * (column + 2) % 5) as f64);
        let labels = [0, 0, 0, 0, 0, 0, 1, 1, 1];
        let training = Training::new(x.view(), &[Column::Number; 2], &labels).unwrap();
        let schedule = Schedule { epochs: 1, batch: 9, levels: 9, patience: None, seed: 1 };
        let batches = Batches::new(&training, Normalisation::Standard, &schedule, false, &device);
        let head = Head {
            codec: batches.codec.clone(),
            embedding: 3,
            hidden: vec![4],
            classes: 2,
            linear: true,
            temperature: 1.0,
        };
        let mut rng = rng(5);
        let [inputs, hidden] = head.encoder_sizes()[0];
        let mut first = vec![0.0; inputs * hidden];
        // Class 1, the last input, adds 1 to the first hidden number and so to every mean.
        first[(inputs - 1) * hidden] = 1.0;
        let mut second = vec![0.0; hidden * 6];
        second[..3].fill(1.0);
        let bias = [2.0, 2.0, 2.0].into_iter().chain([4f32.ln(); 3]).collect();
        let encoder = Weights::from_tensors(vec![
            upload(first, hidden, &device),
            upload(vec![0.0; hidden], hidden, &device),
            upload(second, 6, &device),
            upload(bias, 6, &device),
        ]);
        let decoder = Weights::dense(&head.decoder_sizes(), &mut rng, &device);
        let own = with_prior(&head, &encoder, &decoder, &batches).unwrap();
        let z = normal(8, 3, &mut rng, &device);
        for class in 0..2 {
            let one = (0..16).map(|at| f32::from(u8::from(at % 2 == class))).collect();
            let one = upload(one, 2, &device);
            let moved = z.clone() * 2.0 + (2.0 + class as f64);
            let made = head.network(&own, Tensor::cat(vec![z.clone(), one.clone()], 1));
            let expected = head.network(decoder.plain(), Tensor::cat(vec![moved, one], 1));
            let gap = (made - expected).abs().max().into_scalar::<f64>();
            assert!(gap < 1e-5, "class {class}: {gap}");
        }
    }
}
