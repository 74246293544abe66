use burn::tensor::{Device, Tensor};
use counterweight_core::{Progress, Rng, derive, ensure, rng};
use counterweight_kernels::{gumbel_softmax, segment_cross_entropy};
use ndarray::{Array2, ArrayView2};
use rand::RngExt;
use rand::seq::SliceRandom;
use serde::{Deserialize, Serialize};

use super::codec::{Codec, Normalisation};
use super::critic::{criticise, gradient_penalty};
use super::layers::{
    Adam, Weights, batch_norm, dropout_mask, finite, fixed_norm, gumbel, layer, normal, numbers,
    upload,
};
use super::resume::{Checkpoint, State};
use super::store::Stored;
use super::training::{
    Batches, Drawn, Schedule, Training, Watch, like_real, of_class, on_one_thread, positive, tell,
};
use super::{Generator, stream};
use crate::Result;
use crate::macros::config;

config! {
    /// CTGAN (Xu et al., NeurIPS 2019): numbers by mode-specific normalisation, a condition of
    /// one category, training by sampling, a Wasserstein critic with gradient penalty
    /// (Gulrajani et al., NeurIPS 2017) that sees `pac` rows at once (Lin et al., NeurIPS 2018).
    ///
    /// The class is one of the conditions, so that rows of a class can be asked for. The
    /// critic's gradient penalty needs the derivative of an input gradient. A critic of dense
    /// layers with LeakyReLU is linear in pieces, so that its input gradient is the product
    /// `W₁ S₁ W₂ S₂ w₃` of weights and slopes; that product is an expression of the weights and
    /// differentiated as such, which is exact.
    ///
    /// What is kept is the moving average of the generator's weights (Yazıcı et al., ICLR 2019): the
    /// last weights swing about it. With it Adam takes a larger step than in the package `ctgan` and
    /// no momentum, as Gulrajani et al. do. Weight decay is decoupled
    /// (AdamW); the other defaults are the package's.
    CtGan {
        /// Passes over the rows, at least 1. Default: 300.
        with_epochs(epochs: usize = 300),
        /// Rows of a step, at least 2. Default: 500.
        with_batch(batch: usize = 500),
        /// Rows that the critic sees at once; they divide the batch. Default: 10.
        with_pac(pac: usize = 10),
        /// Numbers of noise. Default: 128.
        with_embedding(embedding: usize = 128),
        /// Widths of the generator's layers. Default: 256, 256.
        with_generator(generator: Vec<usize> = vec![256, 256]),
        /// Widths of the critic's layers. Default: 256, 256.
        with_critic(critic: Vec<usize> = vec![256, 256]),
        /// Critic's steps for one of the generator. Default: 1.
        with_critic_steps(critic_steps: usize = 1),
        /// Dropout of the critic, in `[0, 1)`. Default: 0.5.
        with_dropout(dropout: f64 = 0.5),
        /// Weight of the gradient penalty, ≥ 0. Default: 10.
        with_penalty(penalty: f64 = 10.0),
        /// Learning rate. Default: 7e-4.
        with_learning_rate(learning_rate: f64 = 7e-4),
        /// Weight decay of the generator. Default: 1e-6.
        with_weight_decay(weight_decay: f64 = 1e-6),
        /// Categories of a column that have an input of their own; rarer ones share one and are
        /// drawn by frequency. Default: 1000.
        with_max_levels(max_levels: usize = 1000),
        /// Looks (one in ten epochs) without nearer samples before training ends; the best
        /// weights are kept. Default: none, all epochs and the last weights.
        with_patience(patience: Option<usize> = None),
        /// Seed. Default: 0.
        with_seed(seed: u64 = 0),
    }
}

config! {
    /// A Wasserstein GAN with gradient penalty (Gulrajani et al., NeurIPS 2017) for dense
    /// vectors, conditional on the class: columns are only scaled to unit variance.
    ///
    /// Takes no missing values. See [`CtGan`] for the penalty and the average.
    Gan {
        /// Passes over the rows, at least 1. Default: 300.
        with_epochs(epochs: usize = 300),
        /// Rows of a step, at least 2. Default: 256.
        with_batch(batch: usize = 256),
        /// Numbers of noise. Default: 32.
        with_embedding(embedding: usize = 32),
        /// Widths of the generator's layers. Default: 128, 128.
        with_generator(generator: Vec<usize> = vec![128, 128]),
        /// Widths of the critic's layers. Default: 128, 128.
        with_critic(critic: Vec<usize> = vec![128, 128]),
        /// Critic's steps for one of the generator. Default: 5.
        with_critic_steps(critic_steps: usize = 5),
        /// Weight of the gradient penalty, ≥ 0. Default: 1.
        with_penalty(penalty: f64 = 1.0),
        /// Learning rate. Default: 5e-4.
        with_learning_rate(learning_rate: f64 = 5e-4),
        /// As in [`CtGan`]. Default: none.
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
    pac: usize,
    embedding: usize,
    generator: Vec<usize>,
    critic: Vec<usize>,
    critic_steps: usize,
    dropout: f64,
    penalty: f64,
    adam: Adam,
}

impl Settings {
    fn check(&self) -> Result<()> {
        self.schedule.check()?;
        let (batch, pac) = (self.schedule.batch, self.pac);
        ensure("pac", pac as f64, pac >= 1 && batch.is_multiple_of(pac), "divisors of the batch")?;
        ensure("embedding", self.embedding as f64, self.embedding >= 1, "[1, inf)")?;
        for &width in self.generator.iter().chain(&self.critic) {
            ensure("width", width as f64, width >= 1, "[1, inf)")?;
        }
        ensure("critic layers", self.critic.len() as f64, !self.critic.is_empty(), "[1, inf)")?;
        ensure("critic_steps", self.critic_steps as f64, self.critic_steps >= 1, "[1, inf)")?;
        ensure("dropout", self.dropout, (0.0..1.0).contains(&self.dropout), "[0, 1)")?;
        let ok = self.penalty >= 0.0 && self.penalty.is_finite();
        ensure("penalty", self.penalty, ok, "[0, inf)")?;
        let ok = self.adam.decay >= 0.0 && self.adam.decay.is_finite();
        ensure("weight_decay", self.adam.decay, ok, "[0, inf)")?;
        positive("learning_rate", self.adam.rate)
    }
}

impl CtGan {
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
            pac: self.pac,
            embedding: self.embedding,
            generator: self.generator.clone(),
            critic: self.critic.clone(),
            critic_steps: self.critic_steps,
            dropout: self.dropout,
            penalty: self.penalty,
            adam: Adam { rate: self.learning_rate, decay: self.weight_decay, betas: [0.0, 0.9] },
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
    ) -> Result<GanModel> {
        fit(&self.settings(), training, device, progress)
    }
}

impl Gan {
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
            pac: 1,
            embedding: self.embedding,
            generator: self.generator.clone(),
            critic: self.critic.clone(),
            critic_steps: self.critic_steps,
            dropout: 0.0,
            penalty: self.penalty,
            adam: Adam { rate: self.learning_rate, decay: 0.0, betas: [0.5, 0.9] },
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
    /// As [`CtGan::fit`], and for missing values.
    pub fn fit(
        &self,
        training: Training<'_>,
        device: &Device,
        progress: &dyn Progress,
    ) -> Result<GanModel> {
        crate::table::check(training.x, training.columns, None, false)?;
        fit(&self.settings(), training, device, progress)
    }
}

/// A trained [`CtGan`] or [`Gan`].
#[derive(Debug, Clone)]
pub struct GanModel {
    head: Head,
    /// The generator's weights and its running moments behind them, averages of both.
    tensors: Vec<Tensor<2>>,
    device: Device,
}

/// What of a model is not a tensor.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Head {
    codec: Codec,
    embedding: usize,
    hidden: Vec<usize>,
    /// Conditions in front of the class's, and all of them.
    class_at: usize,
    conditions: usize,
    linear: bool,
}

/// Temperature of the Gumbel softmax (Xu et al. 2019).
const TEMPERATURE: f64 = 0.2;

impl Head {
    /// The generator's layers: each sees the input and the outputs of all before.
    fn sizes(&self) -> Vec<[usize; 2]> {
        let mut width = self.embedding + self.conditions;
        let mut sizes = Vec::new();
        for &hidden in &self.hidden {
            sizes.push([width, hidden]);
            width += hidden;
        }
        sizes.push([width, self.codec.width()]);
        sizes
    }

    /// The generator before its activations; `norm` is followed by ReLU.
    fn logits(
        &self,
        used: &[Tensor<2>],
        input: Tensor<2>,
        mut norm: impl FnMut(usize, Tensor<2>, [Tensor<2>; 2]) -> Tensor<2>,
    ) -> Tensor<2> {
        let after = 2 * (self.hidden.len() + 1);
        let mut x = input;
        for at in 0..self.hidden.len() {
            let gammas = [used[after + 2 * at].clone(), used[after + 2 * at + 1].clone()];
            let h = norm(at, layer(used, at, x.clone()), gammas);
            x = Tensor::cat(vec![h, x], 1);
        }
        layer(used, self.hidden.len(), x)
    }

    /// Numbers by tanh (or as they are), one-hot segments by Gumbel softmax (Jang et al., ICLR 2017).
    fn activate(&self, logits: Tensor<2>, noise: Tensor<2>) -> Tensor<2> {
        gumbel_softmax(logits, noise, &self.codec.segments(), TEMPERATURE, self.linear)
    }
}

fn fit(
    settings: &Settings,
    training: Training<'_>,
    device: &Device,
    progress: &dyn Progress,
) -> Result<GanModel> {
    settings.check()?;
    let every = settings.normalisation == Normalisation::Modes;
    let batches =
        Batches::new(&training, settings.normalisation, &settings.schedule, every, device);
    on_one_thread(|| train(settings, training, &batches, progress))
}

fn train(
    settings: &Settings,
    training: Training<'_>,
    batches: &Batches,
    progress: &dyn Progress,
) -> Result<GanModel> {
    let schedule = &settings.schedule;
    let plain = batches.device.clone();
    let tracked = plain.clone().autodiff();
    let mut rng = rng(derive(schedule.seed, stream::TRAIN));
    let class_at = batches.class_start();
    let head = Head {
        codec: batches.codec.clone(),
        embedding: settings.embedding,
        hidden: settings.generator.clone(),
        class_at,
        conditions: batches.condition_width(),
        linear: settings.normalisation == Normalisation::Standard,
    };
    let mut generator = Weights::dense(&head.sizes(), &mut rng, &plain);
    let mut running = Vec::new();
    for &width in &settings.generator {
        let (one, zero) = (Tensor::ones([1, width], &plain), Tensor::zeros([1, width], &plain));
        generator.push(one.clone());
        generator.push(zero.clone());
        running.push([zero, one]);
    }
    let row = head.codec.width() + batches.condition_width();
    let mut width = row * settings.pac;
    let mut sizes = Vec::new();
    for &hidden in settings.critic.iter().chain([&1]) {
        sizes.push([width, hidden]);
        width = hidden;
    }
    let mut critic = Weights::dense(&sizes, &mut rng, &plain);

    let batch = schedule.batch;
    let steps = (batches.rows() / batch).max(1);
    let groups = batch / settings.pac;
    let packed = |x: Tensor<2>| x.reshape([groups, row * settings.pac]);
    let noise_width = head.codec.width();
    let input = |drawn: &Drawn, rng: &mut Rng, device: &Device| {
        let z = normal(batch, settings.embedding, rng, device);
        let asked = upload(drawn.conditions.clone(), batches.condition_width(), device);
        (Tensor::cat(vec![z, asked.clone()], 1), asked)
    };
    let mut watch = Watch::new(&training, schedule);
    let mut average = flat(&generator, &running);
    let checkpoint = Checkpoint::new(&training, settings);
    let shapes = Stored::shapes(&average);
    let state = State {
        networks: vec![&mut generator, &mut critic],
        rest: running.iter_mut().flatten().chain(&mut average).collect(),
    };
    let whole = |tensors| tensors;
    let first = checkpoint.begin(state, &mut watch, &mut rng, &plain, &shapes, whole)?;
    progress.start("training", schedule.epochs as u64);
    for epoch in first..schedule.epochs {
        let (mut last, mut left) = (0.0, batches.left());
        for i in 0..steps {
            let step = epoch * steps + i;
            for _ in 0..settings.critic_steps {
                // The generator is a constant here.
                let drawn = batches.draw(batch, &mut left, &mut rng);
                let (x, asked) = input(&drawn, &mut rng, &plain);
                let logits = head.logits(generator.plain(), x, |at, x, [gamma, beta]| {
                    batch_norm(x, gamma, beta, &mut running[at])
                });
                let noise = gumbel(batch, noise_width, &mut rng, &plain);
                let fake = Tensor::cat(vec![head.activate(logits, noise), asked], 1);
                let (order, asked) = shuffled(&drawn, batches, &mut rng);
                let real = Tensor::cat(vec![batches.real(order), asked], 1);
                let alpha = (0..groups).map(|_| rng.random::<f32>()).collect();
                let alpha = upload(alpha, 1, &plain);
                let (fake, real) = (packed(fake), packed(real));
                let between = real.clone() * alpha.clone() + fake.clone() * (1.0 - alpha);

                let used = critic.tracked();
                let mut mask = |rows, width| {
                    (settings.dropout > 0.0)
                        .then(|| dropout_mask(rows, width, settings.dropout, &mut rng, &plain))
                        .map(Tensor::from_inner)
                };
                let both = Tensor::from_inner(Tensor::cat(vec![fake, real], 0));
                let (values, _) = criticise(&used, both, &mut mask);
                let [fake, real] = [0, groups].map(|at| values.clone().narrow(0, at, groups));
                let between = Tensor::from_inner(between);
                let (_, slopes) = criticise(&critic.constant(), between, &mut mask);
                let loss =
                    fake.mean() - real.mean() + gradient_penalty(&used, slopes) * settings.penalty;
                let gradients = loss.backward();
                critic.step(used, &gradients, settings.adam);
            }
            let drawn = batches.draw(batch, &mut left, &mut rng);
            let (x, asked) = input(&drawn, &mut rng, &plain);
            let used = generator.tracked();
            let logits = head.logits(&used, Tensor::from_inner(x), |at, x, [gamma, beta]| {
                batch_norm(x, gamma, beta, &mut running[at])
            });
            let noise = Tensor::from_inner(gumbel(batch, noise_width, &mut rng, &plain));
            let fake = head.activate(logits.clone(), noise);
            let fake = packed(Tensor::cat(vec![fake, Tensor::from_inner(asked)], 1));
            let (value, _) = criticise(&critic.constant(), fake, |rows, width| {
                (settings.dropout > 0.0)
                    .then(|| dropout_mask(rows, width, settings.dropout, &mut rng, &plain))
                    .map(Tensor::from_inner)
            });
            let asked = upload(drawn.inputs, noise_width, &tracked);
            let missed = segment_cross_entropy(logits, asked, &head.codec.segments()).mean();
            let loss = missed - value.mean();
            let gradients = loss.backward();
            last = finite(loss, step, "loss")?;
            generator.step(used, &gradients, settings.adam);
            let share = share_of(step);
            for (old, new) in average.iter_mut().zip(flat(&generator, &running)) {
                *old = old.clone() * (1.0 - share) + new * share;
            }
        }
        let sample = |rows| {
            let asked = like_real(batches, rows, &mut rng);
            make(&head, &average, asked, &mut rng, &plain)
        };
        let (look, stop) = watch.after(epoch, sample, || average.clone())?;
        tell(progress, epoch, last, look);
        if stop {
            break;
        }
        let state = State {
            networks: vec![&mut generator, &mut critic],
            rest: running.iter_mut().flatten().chain(&mut average).collect(),
        };
        checkpoint.after(epoch + 1, state, &watch, &rng, Vec::clone)?;
    }
    progress.finish("");
    checkpoint.end()?;
    let tensors = watch.best_or(average);
    for tensor in &tensors {
        let sum = tensor.clone().abs().sum();
        finite(sum, schedule.epochs * steps, "sum of the generator's weights")?;
    }
    Ok(GanModel { head, tensors, device: plain })
}

/// What the weights of a step, counted from 0, are of their moving average: more at first, where
/// they come from far away.
fn share_of(step: usize) -> f64 {
    const SHARE: f64 = 0.01;
    const SLOW: f64 = 10.0;
    ((SLOW - 1.0) / (SLOW + step as f64)).max(SHARE)
}

/// A generator's weights and its running moments behind them.
fn flat(weights: &Weights, running: &[[Tensor<2>; 2]]) -> Vec<Tensor<2>> {
    weights.plain().iter().chain(running.iter().flatten()).cloned().collect()
}

/// The conditions of a batch in another order, with real rows that meet them.
fn shuffled(drawn: &Drawn, batches: &Batches, rng: &mut Rng) -> (Vec<i32>, Tensor<2>) {
    let width = batches.condition_width();
    let mut order: Vec<usize> = (0..drawn.rows.len()).collect();
    order.shuffle(rng);
    let rows = order.iter().map(|&i| drawn.rows[i]).collect();
    let asked: Vec<f32> = order
        .iter()
        .flat_map(|&i| &drawn.conditions[i * width..(i + 1) * width])
        .copied()
        .collect();
    (rows, upload(asked, width, &batches.device))
}

/// Rows of the table under these conditions, the class included.
fn make(
    head: &Head,
    tensors: &[Tensor<2>],
    asked: Vec<f32>,
    rng: &mut Rng,
    device: &Device,
) -> Result<Array2<f64>> {
    let rows = asked.len() / head.conditions;
    let z = normal(rows, head.embedding, rng, device);
    let x = Tensor::cat(vec![z, upload(asked, head.conditions, device)], 1);
    let (weights, running) = tensors.split_at(tensors.len() - 2 * head.hidden.len());
    let running = running.as_chunks().0;
    let logits =
        head.logits(weights, x, |at, x, [gamma, beta]| fixed_norm(x, gamma, beta, &running[at]));
    let width = head.codec.width();
    let noise = gumbel(rows, width, rng, device);
    let made = numbers(head.activate(logits, noise))?;
    let seed = rng.random::<u64>();
    let made = ArrayView2::from_shape((rows, width), &made);
    Ok(made.map(|made| head.codec.decode(made, seed)).unwrap_or_default())
}

impl GanModel {
    /// Reads a model that [`save`](Generator::save) wrote.
    ///
    /// # Errors
    /// When the file is missing, cut or holds something else.
    pub fn load(path: impl AsRef<std::path::Path>, device: &Device) -> Result<Self> {
        let device = device.clone().without_autodiff();
        let (head, tensors): (Head, Vec<_>) = Stored::read(path.as_ref(), "gan", &device)?;
        let conditions = head.class_at + head.codec.classes();
        if !head.codec.is_whole() || conditions != head.conditions {
            return Err(Stored::broken(path.as_ref()));
        }
        let layers: Vec<_> = head.sizes().iter().flat_map(|&[i, o]| [[i, o], [1, o]]).collect();
        let norms: Vec<_> = head.hidden.iter().flat_map(|&h| [[1, h]; 2]).collect();
        let shapes = [layers, norms.clone(), norms].concat();
        Stored::expect(path.as_ref(), &tensors, &shapes)?;
        Ok(Self { head, tensors, device })
    }
}

impl Generator for GanModel {
    fn sample(&self, class: usize, rows: usize, seed: u64) -> Result<Array2<f64>> {
        let head = &self.head;
        let at = head.class_at + head.codec.class_level(class)?;
        of_class(class, rows, head.codec.columns() - 1, seed, |rows, rng| {
            let mut asked = vec![0.0; rows * head.conditions];
            asked.chunks_exact_mut(head.conditions).for_each(|row| row[at] = 1.0);
            make(head, &self.tensors, asked, rng, &self.device)
        })
    }

    fn save(&self, path: &std::path::Path) -> Result<()> {
        Stored::write(path, "gan", &self.head, &self.tensors)
    }
}
