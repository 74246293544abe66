//! Training a few of the weights.

use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::{Int, Tensor, TensorData};
use counterweight_core::{derive, ensure, rng};
use rand::RngExt;
use serde::{Deserialize, Serialize};

use crate::init::tracked;
use crate::transformer::{Block, Dense, Dropout, LowRank, Prefix, Prompt};
use crate::{Result, TextBatch, Transformer, seeded};

/// A dense layer of every block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    /// The attention's queries.
    Query,
    /// The attention's keys.
    Key,
    /// The attention's values.
    Value,
    /// The attention's output.
    Output,
    /// The feed-forward network's first layer.
    Up,
    /// Its second.
    Down,
}

impl Target {
    pub(crate) const ALL: [Self; 6] =
        [Self::Query, Self::Key, Self::Value, Self::Output, Self::Up, Self::Down];

    /// The path of the layer in our modules.
    pub(crate) fn path(self, block: usize) -> String {
        let layer = match self {
            Self::Query => "attention.query",
            Self::Key => "attention.key",
            Self::Value => "attention.value",
            Self::Output => "attention.output",
            Self::Up => "up",
            Self::Down => "down",
        };
        format!("blocks.{block}.{layer}")
    }

    pub(crate) fn of(self, block: &Block) -> &Dense {
        match self {
            Self::Query => &block.attention.query,
            Self::Key => &block.attention.key,
            Self::Value => &block.attention.value,
            Self::Output => &block.attention.output,
            Self::Up => &block.up,
            Self::Down => &block.down,
        }
    }

    pub(crate) fn of_mut(self, block: &mut Block) -> &mut Dense {
        match self {
            Self::Query => &mut block.attention.query,
            Self::Key => &mut block.attention.key,
            Self::Value => &mut block.attention.value,
            Self::Output => &mut block.attention.output,
            Self::Up => &mut block.up,
            Self::Down => &mut block.down,
        }
    }
}

/// LoRA (Hu et al., ICLR 2022): `W x` becomes `W x + α/r · B A dropout(x)`, where `A` and `B`
/// of rank r are trained and `W` is not. `B` begins at 0, so the model begins as it was.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LoraConfig {
    /// The rank r, at least 1. Default: 8.
    pub rank: usize,
    /// The scale α, positive. Default: 16.
    pub alpha: f64,
    /// Dropout of the update's input, in `[0, 1)`. Default: 0.
    pub dropout: f64,
    /// The layers that are adapted, at least one. Default: queries and values.
    pub targets: Vec<Target>,
}

impl Default for LoraConfig {
    fn default() -> Self {
        Self { rank: 8, alpha: 16.0, dropout: 0.0, targets: vec![Target::Query, Target::Value] }
    }
}

impl LoraConfig {
    /// The defaults.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the rank.
    #[must_use]
    pub fn with_rank(mut self, rank: usize) -> Self {
        self.rank = rank;
        self
    }

    /// Sets the scale.
    #[must_use]
    pub fn with_alpha(mut self, alpha: f64) -> Self {
        self.alpha = alpha;
        self
    }

    /// Sets the dropout.
    #[must_use]
    pub fn with_dropout(mut self, dropout: f64) -> Self {
        self.dropout = dropout;
        self
    }

    /// Sets the layers.
    #[must_use]
    pub fn with_targets(mut self, targets: impl Into<Vec<Target>>) -> Self {
        self.targets = targets.into();
        self
    }

    pub(crate) fn check(&self) -> Result<()> {
        ensure("rank", self.rank as f64, self.rank >= 1, "[1, inf)")?;
        let alpha = self.alpha;
        ensure("alpha", alpha, alpha > 0.0 && alpha.is_finite(), "(0, inf)")?;
        ensure("dropout", self.dropout, (0.0..1.0).contains(&self.dropout), "[0, 1)")?;
        Ok(ensure("targets", self.targets.len() as f64, !self.targets.is_empty(), "[1, 6]")?)
    }

    pub(crate) fn scale(&self) -> f64 {
        self.alpha / self.rank as f64
    }
}

/// Which weights of the encoder are not trained.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Freeze {
    /// All are trained.
    #[default]
    None,
    /// None is trained: the encoder gives features, which training by a recipe computes once, keeps in
    /// memory and does without dropout, where no augmenter changes texts or tokens.
    All,
    /// The embeddings are not.
    Embeddings,
    /// The embeddings and so many of the first blocks are not.
    Blocks(usize),
    /// Only biases are trained (BitFit, Ben Zaken et al., ACL 2022).
    AllButBiases,
}

impl Transformer {
    /// Adds low-rank updates, `A` drawn by the seed, and freezes all else. Updates that were
    /// there before are dropped.
    ///
    /// # Errors
    /// When a field is out of range.
    pub fn with_lora(self, config: &LoraConfig, seed: u64) -> Result<Self> {
        config.check()?;
        let mut model = self.frozen(Freeze::All);
        for (i, block) in model.blocks.iter_mut().enumerate() {
            for &target in &config.targets {
                let dense = target.of_mut(block);
                let [inputs, outputs] = dense.dims();
                let device = dense.weight.lazy_device();
                let zeros = |shape| Param::from_tensor(tracked(Tensor::<2>::zeros(shape, &device)));
                let lora = LowRank {
                    a: zeros([inputs, config.rank]),
                    b: zeros([config.rank, outputs]),
                    dropout: Dropout::new(config.dropout),
                    scale: config.scale(),
                };
                let stream = derive(derive(seed, i as u64), target as u64);
                // Kaiming's bound for a linear layer, √(1 / inputs), as a deviation.
                let deviation = (1.0 / (3.0 * inputs as f64)).sqrt();
                let b = lora.b.clone();
                dense.lora = Some(LowRank { b, ..seeded(lora, deviation, stream) });
            }
        }
        Ok(model)
    }

    /// Whether there are low-rank updates.
    pub fn has_lora(&self) -> bool {
        self.blocks.iter().any(|b| Target::ALL.iter().any(|t| t.of(b).lora.is_some()))
    }

    /// Adds the low-rank updates to the weights and drops them: the same function at the
    /// cost of the plain model.
    #[must_use]
    pub fn merge_lora(mut self) -> Self {
        for block in &mut self.blocks {
            for target in Target::ALL {
                let dense = target.of_mut(block);
                if let Some(lora) = dense.lora.take() {
                    let update = lora.a.val().matmul(lora.b.val()) * lora.scale;
                    dense.weight = dense.weight.clone().map(|w| w + update);
                }
            }
        }
        self
    }

    /// Puts trained vectors before every text and freezes all else but low-rank updates (prompt
    /// tuning, Lester et al., EMNLP 2021). They begin as word vectors drawn by the seed; a prompt that was
    /// there before is dropped. Hidden states and pooling stay those of the text's own tokens,
    /// of which the model has room for so many fewer.
    ///
    /// # Errors
    /// When there is no vector, or no room for a text beside them.
    pub fn with_prompt(mut self, tokens: usize, seed: u64) -> Result<Self> {
        self.room("prompt tokens", tokens)?;
        let drawn = self.drawn_words(tokens, seed);
        let words = self.embeddings.word.weight.val();
        let vectors = Param::from_tensor(tracked(words.select(0, drawn).detach()));
        self.prompt = Some(Prompt { vectors });
        Ok(self.frozen(Freeze::All))
    }

    /// Puts trained keys and values before those of every text in every layer and freezes all else
    /// but low-rank updates and a prompt (prefix tuning, Li and Liang, ACL 2021). They begin as the
    /// layers' keys and values of words drawn by the seed (there section 7.4), where PEFT
    /// draws them from `N(0, 1)`; a prefix that was there before is dropped. A text's positions begin
    /// after it, so that the model has room for so many fewer tokens.
    ///
    /// # Errors
    /// When there is no virtual token, or no room for a text beside them.
    pub fn with_prefix(mut self, tokens: usize, seed: u64) -> Result<Self> {
        self.room("prefix tokens", tokens)?;
        let ids = self.drawn_words(tokens, seed).unsqueeze::<2>();
        let weights = Tensor::ones([1, tokens], &ids.device());
        self.blocks.iter_mut().for_each(|block| block.attention.prefix = None);
        let batch = TextBatch { ids, weights, types: None };
        let found = self.clone().without_dropout().keys_and_values(&batch);
        for (block, pair) in self.blocks.iter_mut().zip(found) {
            let [keys, values] = pair.map(|x| Param::from_tensor(tracked(x.detach())));
            block.attention.prefix = Some(Prefix { keys, values });
        }
        Ok(self.frozen(Freeze::All))
    }

    pub(crate) fn room(&self, name: &'static str, tokens: usize) -> Result<()> {
        let positions = self.embeddings.position.weight.shape()[0] - self.embeddings.offset;
        let fits = tokens >= 1 && tokens + 3 <= positions;
        Ok(ensure(name, tokens as f64, fits, "[1, the model's positions - 3]")?)
    }

    fn drawn_words(&self, count: usize, seed: u64) -> Tensor<1, Int> {
        let table = &self.embeddings.word.weight;
        let mut rng = rng(seed);
        let vocabulary = table.shape()[0];
        let drawn: Vec<i32> = (0..count).map(|_| rng.random_range(0..vocabulary) as i32).collect();
        Tensor::from_data(TensorData::from(drawn.as_slice()), &table.val().device())
    }

    /// The number of vectors before every text.
    pub fn prompt_tokens(&self) -> usize {
        self.prompt.as_ref().map_or(0, Prompt::len)
    }

    /// The number of keys and values before every text's.
    pub fn prefix_tokens(&self) -> usize {
        let prefix = self.blocks.first().and_then(|block| block.attention.prefix.as_ref());
        prefix.map_or(0, Prefix::len)
    }

    /// Freezes weights; all others are trained. Low-rank updates, a prompt and a prefix always are,
    /// and nothing else beside them.
    #[must_use]
    pub fn frozen(self, freeze: Freeze) -> Self {
        let few = self.has_lora() || self.prompt.is_some() || self.prefix_tokens() > 0;
        let freeze = if few { Freeze::All } else { freeze };
        self.map(&mut Freezer { freeze, path: Vec::new() })
    }
}

/// The number of a module's weights that are trained, and of all.
pub fn trainable<M: Module>(module: &M) -> (usize, usize) {
    let mut count = Count::default();
    module.visit(&mut count);
    (count.trained, count.all)
}

struct Freezer {
    freeze: Freeze,
    path: Vec<String>,
}

impl Freezer {
    fn trains(&self) -> bool {
        let part = |i: usize| self.path.get(i).map_or("", String::as_str);
        let last = self.path.last().map_or("", String::as_str);
        if self.path.iter().any(|p| ["lora", "prompt", "prefix"].contains(&p.as_str())) {
            return true;
        }
        match self.freeze {
            Freeze::None => true,
            Freeze::All => false,
            Freeze::Embeddings => part(0) != "embeddings",
            Freeze::Blocks(n) => {
                let first = part(0) == "blocks" && part(1).parse().is_ok_and(|i: usize| i < n);
                part(0) != "embeddings" && !first
            }
            Freeze::AllButBiases => last == "bias" || last == "beta",
        }
    }
}

impl ModuleMapper for Freezer {
    fn enter_module(&mut self, name: &str, _container: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.path.pop();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let trains = self.trains() && param.lazy_device().is_autodiff();
        param.set_require_grad(trains)
    }
}

#[derive(Default)]
struct Count {
    trained: usize,
    all: usize,
}

impl burn::module::ModuleVisitor for Count {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let n = param.shape().num_elements();
        self.all += n;
        if param.is_require_grad() {
            self.trained += n;
        }
    }
}
