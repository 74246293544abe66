//! Recipes on a checkpoint: CLINC150 with a long tail, or with few texts of each intent, or the
//! reviews, whose classes are product classes.
//!
//! `cargo bench --bench recipes -- MODEL_DIR [--out DIR] [--seeds 3] [--first 0] [--epochs 4]
//! [--batch 32] [--rate 1e-4] [--head 30] [--length 64] [--reviews | --few K --intents N]
//! [RECIPE ...]` prints for each recipe and seed what the model comes to, as trained and with a
//! decision by dev, and writes `OUT/SEED/split.csv`, which `benches/peers/recipes_torch.py` and
//! `benches/peers/recipes_tfidf.py` read; `--few` is beside `benches/peers/setfit_few.py`.

#[path = "../examples/shared/clinc.rs"]
mod clinc;
#[path = "../examples/shared/split.rs"]
mod split;

use std::path::PathBuf;
use std::time::Instant;

use clap::Parser;
use counterweight::encoder::Freeze;
use counterweight::prelude::*;
use counterweight::{Error, Result};
use split::write_split;

#[derive(Parser)]
struct Args {
    /// The checkpoint
    model: Option<PathBuf>,
    /// All of cross_entropy, logit_adjusted, focal, class_aware, lora, lora_adjusted, setfit,
    /// frozen where none is named
    recipes: Vec<String>,
    #[arg(long, default_value = "target/recipes")]
    out: PathBuf,
    #[arg(long, default_value_t = 3)]
    seeds: u64,
    /// The first seed, to go on with a run that was cut short
    #[arg(long, default_value_t = 0)]
    first: u64,
    #[arg(long, default_value_t = 4)]
    epochs: usize,
    #[arg(long, default_value_t = 32)]
    batch: usize,
    #[arg(long, default_value_t = 1e-4)]
    rate: f64,
    /// Factor on the head's rate
    #[arg(long, default_value_t = 30.0)]
    head: f64,
    /// Texts are cut at so many tokens
    #[arg(long, default_value_t = 64)]
    length: usize,
    /// The reviews instead of the questions
    #[arg(long, conflicts_with = "few")]
    reviews: bool,
    /// Texts of each intent instead of a long tail
    #[arg(long, requires = "intents")]
    few: Option<usize>,
    /// The first intents of the alphabet
    #[arg(long)]
    intents: Option<usize>,
    // Given by cargo.
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> Result<()> {
    let args = Args::parse();
    let Some(model) = &args.model else {
        println!("cargo bench --bench recipes -- MODEL_DIR");
        return Ok(());
    };
    let device = device::from_env()?;
    for seed in args.first..args.first + args.seeds {
        let splits = match (args.few, args.intents) {
            (Some(few), Some(intents)) => few_texts(few, intents, seed)?,
            _ if args.reviews => reviews(seed)?,
            _ => clinc::long_tail(50.0, seed, 1)?,
        };
        write_split(&splits, &args.out.join(seed.to_string()))?;
        for name in recipe_names(&args) {
            let recipe = recipe(name, &args, model, seed)?;
            let start = Instant::now();
            let trained = train(&recipe, &splits, &device, &TrainOptions::new())?;
            let seconds = start.elapsed().as_secs_f64();
            let test = trained.model.evaluate(&splits.test)?;
            println!(
                "{name}, seed {seed}: {}, {:.1} % of the weights, epoch {} of {}, {seconds:.0} s",
                scores(&test, &splits),
                100.0 * trained.weights.0 as f64 / trained.weights.1 as f64,
                trained.best_epoch + 1,
                trained.history.len(),
            );
            let dev = trained.model.evaluate(&splits.dev)?;
            for metric in [Metric::BalancedAccuracy, Metric::TailRecall] {
                let decision = decision(&dev, &splits, metric)?;
                let scores = scores(&decision.decide(&test)?, &splits);
                println!("{name}, seed {seed}, decision by dev for {metric}: {scores}");
            }
        }
    }
    Ok(())
}

/// What predictions come to.
fn scores(predictions: &Predictions, splits: &TextSplits) -> String {
    let tally = predictions.tally();
    let value = |metric| tally.metric(metric, &splits.profile).unwrap_or(f64::NAN);
    format!(
        "accuracy {:.3} balanced {:.3} macro-F1 {:.3} tail recall {:.3} head recall {:.3}",
        value(Metric::Accuracy),
        value(Metric::BalancedAccuracy),
        value(Metric::MacroF1),
        value(Metric::TailRecall),
        value(Metric::HeadRecall),
    )
}

/// Logit adjustment after training: the best of a metric on dev that costs a point of accuracy
/// there at most.
fn decision(dev: &Predictions, splits: &TextSplits, maximize: Metric) -> Result<Decision> {
    let accuracy = dev.tally().metric(Metric::Accuracy, &splits.profile).unwrap_or(0.0);
    let config = DecisionConfig::SearchLogitAdjustment {
        maximize,
        floor: Some(Floor { metric: Metric::Accuracy, at_least: accuracy - 0.01 }),
    };
    Ok(config.fit(dev, &splits.profile)?)
}

fn recipe_names(args: &Args) -> Vec<&str> {
    const LONG: [&str; 6] =
        ["cross_entropy", "logit_adjusted", "focal", "class_aware", "lora", "lora_adjusted"];
    const FEW: [&str; 3] = ["cross_entropy", "frozen_means", "setfit"];
    match (args.recipes.is_empty(), args.few) {
        (false, _) => args.recipes.iter().map(String::as_str).collect(),
        (true, None) => LONG.to_vec(),
        (true, Some(_)) => FEW.to_vec(),
    }
}

fn recipe(name: &str, args: &Args, model: &std::path::Path, seed: u64) -> Result<Recipe> {
    let config = PretrainedConfig::new(model).with_max_length(args.length);
    let lora = LoraConfig::new().with_rank(8).with_alpha(16.0);
    let mut recipe = match name {
        "lora" | "lora_adjusted" => Recipe::pretrained(config.with_lora(lora)),
        "frozen" | "frozen_means" => Recipe::pretrained(config.with_freeze(Freeze::All)),
        _ => Recipe::pretrained(config),
    };
    if !name.starts_with("lora") && !name.starts_with("frozen") {
        (recipe.optimizer.learning_rate, recipe.optimizer.head_factor) = (args.rate, args.head);
    }
    match name {
        "cross_entropy" | "lora" => {}
        "logit_adjusted" | "lora_adjusted" => recipe.loss = LogitAdjustedConfig::new().into(),
        "focal" => recipe.loss = FocalConfig::new().into(),
        "class_aware" => recipe = Recipe { sampler: class_aware()?, ..recipe },
        "frozen" => {}
        "frozen_means" => few_labels(&mut recipe),
        "setfit" => {
            recipe.contrastive = Some(ContrastiveConfig::default());
            few_labels(&mut recipe);
        }
        other => {
            let reason = format!("no recipe {other:?} in this bench");
            return Err(Error::Recipe { reason });
        }
    }
    (recipe.seed, recipe.epochs, recipe.batch_size) = (seed, args.epochs, args.batch);
    recipe.patience = args.epochs;
    recipe.select = Metric::BalancedAccuracy;
    Ok(recipe)
}

/// A cosine head that begins at the classes' means.
fn few_labels(recipe: &mut Recipe) {
    (recipe.head, recipe.imprint) = (HeadKind::Cosine { scale: 16.0 }, true);
    (recipe.optimizer.learning_rate, recipe.optimizer.head_factor) = (1e-3, 1.0);
}

fn class_aware() -> Result<counterweight::samplers::SamplerConfig> {
    Ok(Recipe::from_toml("sampler = { kind = \"class_aware\" }")?.sampler)
}

/// So many texts of each of the first intents for training and as many for dev, and all their
/// test texts.
fn few_texts(few: usize, intents: usize, seed: u64) -> Result<TextSplits> {
    let splits = clinc::long_tail(1.0, seed, 1)?;
    let narrow = |data: &TextData, most: usize| -> Result<(TextData, Vec<usize>)> {
        let mut left = vec![most; intents];
        let mut keep = |label: usize| {
            let open = left.get_mut(label).filter(|left| **left > 0);
            open.map(|left| *left -= 1).is_some()
        };
        let rows: Vec<usize> = (0..data.len()).filter(|&row| keep(data.labels()[row])).collect();
        let name = |row: &usize| data.encoder().name(data.labels()[*row]).unwrap_or_default();
        let names: Vec<&str> = rows.iter().map(name).collect();
        let texts = rows.iter().map(|&row| data.texts()[row].clone()).collect();
        Ok((TextData::new(texts, &names)?, rows))
    };
    let (train, rows) = narrow(&splits.train, few)?;
    let (dev, dev_rows) = narrow(&splits.dev, few)?;
    let numbers = |part: usize, rows: Vec<usize>| -> Vec<usize> {
        rows.into_iter().map(|row| splits.rows[part][row]).collect()
    };
    Ok(TextSplits {
        profile: train.profile(SegmentRule::default())?,
        rows: vec![numbers(0, rows), numbers(1, dev_rows)],
        test: narrow(&splits.test, usize::MAX)?.0,
        train,
        dev,
    })
}

/// The reviews as `examples/reviews.rs` splits them.
fn reviews(seed: u64) -> Result<TextSplits> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/data/reviews/reviews.csv.gz");
    let reader = TextReader::new(path, "Class Name").text("Title").text("Review Text");
    let data = reader.skip_incomplete().read()?;
    data.split([0.7, 0.1, 0.2], seed, &data.duplicates(0.8), SegmentRule::default())
}
