//! The main job: audit a badly imbalanced e-commerce data set, train a baseline and a
//! treatment, search for a better one, adjust the decision, compare, save, load, classify.

#[path = "shared/split.rs"]
mod split;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use clap::{Parser, ValueEnum};
use counterweight::core::{plot, write_atomic};
use counterweight::prelude::*;
use counterweight::tuner::TrialRecord;
use counterweight::{Error, Result};
use split::write_split;

/// Predict the product class of a clothing review, head and tail.
#[derive(Parser, Debug)]
struct Args {
    /// Most epochs of a full training [default: 8, transformer 4]
    #[arg(long)]
    epochs: Option<usize>,
    /// Trials of the search [default: 14, transformer 3]
    #[arg(long)]
    trials: Option<usize>,
    /// A tiny run of everything on the first 3,000 reviews, for tests
    #[arg(long)]
    fast: bool,
    /// Seed of everything random
    #[arg(long, default_value_t = 7)]
    seed: u64,
    /// The encoder
    #[arg(long, value_enum, default_value = "ngram")]
    encoder: Kind,
    /// A recipe in TOML to use instead of the built-in treatment
    #[arg(long)]
    recipe: Option<PathBuf>,
    /// Continue a run that was interrupted
    #[arg(long)]
    resume: bool,
    /// The data file
    #[arg(long, default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/data/reviews/reviews.csv.gz"))]
    data: PathBuf,
    /// Where the model, checkpoints and the report go
    #[arg(long, default_value = "target/reviews")]
    out: PathBuf,
    /// Texts to classify at the end [default: five test reviews]
    texts: Vec<String>,
}

#[derive(ValueEnum, Clone, Copy, Debug)]
enum Kind {
    Ngram,
    Transformer,
}

fn main() -> ExitCode {
    let args = Args::parse();
    match run(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            if matches!(error, Error::Interrupted { .. }) {
                eprintln!("run again with --resume to continue");
            }
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args) -> Result<()> {
    let start = Instant::now();
    let device = device::from_env()?;
    let treatment = treatment(args)?;
    if let Some(row) = args.texts.iter().position(|t| !t.contains(char::is_alphanumeric)) {
        return Err(Error::EmptyText { row });
    }
    let stop = Arc::new(AtomicBool::new(false));
    let handler = stop.clone();
    // Without a handler Ctrl-C ends the process; the checkpoints still resume.
    let _ = ctrlc::set_handler(move || handler.store(true, Ordering::Relaxed));

    // 1. Audit.
    let data = TextReader::new(&args.data, "Class Name")
        .text("Title")
        .text("Review Text")
        .group("Age")
        .skip_incomplete()
        .read()?
        .map_groups(|age| age_band(age).to_owned());
    let skipped = data.skipped();
    let data =
        if args.fast { data.select(&(0..data.len().min(3000)).collect::<Vec<_>>()) } else { data };
    let duplicates = data.duplicates(0.8);
    println!("== audit: {} reviews", data.len());
    println!("left out: {} without text, {} without class", skipped.empty, skipped.unlabelled);
    println!("duplicates: {} exact, {} near", duplicates.exact(), duplicates.near());
    println!("{}", data.profile(SegmentRule::default())?);
    let splits = data.split([0.7, 0.1, 0.2], args.seed, &duplicates, SegmentRule::default())?;
    let (train_rows, dev_rows, test_rows) =
        (splits.train.len(), splits.dev.len(), splits.test.len());
    println!("split (seed {}): {train_rows} train, {dev_rows} dev, {test_rows} test", args.seed);
    let untested: Vec<&str> = (0..data.encoder().len())
        .filter(|c| !splits.test.labels().contains(c))
        .filter_map(|c| data.encoder().name(c))
        .collect();
    if !untested.is_empty() {
        println!("too rare to split, kept whole for training: {}", untested.join(", "));
    }
    write_split(&splits, &args.out)?;

    // 2. Baseline: the same encoder with plain cross entropy.
    let options = |name: &str| {
        TrainOptions::new()
            .with_progress(TerminalProgress::new())
            .with_checkpoint(args.out.join(name))
            .with_resume(args.resume)
            .with_stop_flag(stop.clone())
    };
    let baseline = Recipe {
        loss: LossConfig::default(),
        sampler: SamplerConfig::Uniform,
        augment: AugmentConfig::None,
        decision: DecisionConfig::Argmax,
        ..treatment.clone()
    };
    let clock = Instant::now();
    let before = train(&baseline, &splits, &device, &options("baseline"))?;
    println!(
        "\n== baseline: cross entropy, {} epochs, {:.0?}",
        before.history.len(),
        clock.elapsed()
    );
    let dev_before = before.model.evaluate(&splits.dev)?;

    // The decision is chosen on dev: the best macro-F1 that costs no accuracy. The floor is
    // half a point above the baseline's, since what is chosen on dev looks better there than
    // it is. (Balanced accuracy does not see false alarms, so maximising it would over-predict
    // the rarest classes.)
    let accuracy = dev_before.tally().metric(Metric::Accuracy, &splits.profile).unwrap_or(0.0);
    let decision = DecisionConfig::SearchLogitAdjustment {
        maximize: Metric::MacroF1,
        floor: Some(Floor { metric: Metric::Accuracy, at_least: accuracy + 0.005 }),
    };

    // 3. A treatment by hand.
    let clock = Instant::now();
    let by_hand = train(&treatment, &splits, &device, &options("treatment"))?;
    println!(
        "== treatment by hand: {} + {:?} + {:?}, {} epochs, {:.0?}",
        treatment.loss.kind(),
        treatment.sampler,
        treatment.augment,
        by_hand.history.len(),
        clock.elapsed()
    );

    // 4. Search for a better one, on about half the epochs per trial.
    let clock = Instant::now();
    let journal = args.out.join("study.jsonl");
    if !args.resume && journal.exists() {
        std::fs::remove_file(&journal)
            .map_err(|source| Error::Io { path: journal.clone(), source })?;
    }
    let trials = args.trials.unwrap_or(match (args.fast, args.encoder) {
        (false, Kind::Ngram) => 14,
        // A trial of the transformer takes a minute or more.
        (true, _) | (_, Kind::Transformer) => 3,
    });
    let tuning = TuneOptions::new()
        .with_trials(trials)
        .with_startup(if args.fast { 2 } else { 5 })
        .with_maximize(Metric::MacroF1)
        .with_journal(&journal)
        .with_progress();
    let epochs = treatment.epochs.div_ceil(2) + 1;
    let base = Recipe { epochs, decision: decision.clone(), ..treatment.clone() };
    let space = RecipeSpace::around(&treatment);
    let tuned = tune(&space, &base, &splits, &device, &tuning, &options("trial"))?;
    println!("== search: {} trials, {:.0?}", tuned.trials.len(), clock.elapsed());
    for trial in &tuned.trials {
        println!("  {}", line(trial));
    }

    // 5. The best recipe in full; it and the one by hand with their decisions. The better
    // on dev is kept.
    let clock = Instant::now();
    let found = Recipe {
        epochs: treatment.epochs,
        decision: DecisionConfig::Argmax,
        ..tuned.best.unwrap_or_else(|| treatment.clone())
    };
    let found = train(&found, &splits, &device, &options("chosen"))?;
    println!("== best recipe in full: {} epochs, {:.0?}", found.history.len(), clock.elapsed());
    let mut chosen: Option<(f64, &str, &Trained, Decision)> = None;
    for (name, trained) in [("by hand", &by_hand), ("found", &found)] {
        let dev = trained.model.evaluate(&splits.dev)?;
        let fitted = match decision.fit(&dev, &splits.profile) {
            Ok(fitted) => fitted,
            Err(error) => {
                println!("  {name}: {error}");
                continue;
            }
        };
        let tally = fitted.decide(&dev)?.tally();
        let value = tally.metric(Metric::MacroF1, &splits.profile).unwrap_or(0.0);
        println!("  {name}: macro-F1 {value:.4} on dev after the decision");
        if chosen.as_ref().is_none_or(|(top, ..)| value > *top) {
            chosen = Some((value, name, trained, fitted));
        }
    }
    let (name, after) = match chosen {
        Some((_, name, trained, fitted)) => {
            (name, (trained, trained.model.clone().with_decision(fitted)))
        }
        None => ("by hand", (&by_hand, by_hand.model.clone())),
    };
    let (trained, model) = after;
    println!("== kept: the recipe {name}\n\n{}", model.recipe().to_toml()?);

    // 6. Before and after on test.
    let test = |model: &Model| model.evaluate(&splits.test);
    let (first, second) = (test(&before.model)?, test(&model)?);
    println!("== test: baseline against the kept recipe with its decision");
    let report = compare(&first, &second, &splits.profile)?;
    let report = report.with_groups(&first, &second, splits.test.groups(), &splits.profile)?;
    println!("{report}");
    println!("* the interval of the difference excludes zero");
    write_report(args, &report, &splits, &tuned.trials, &trained.history)?;
    write_predictions(args, [&first, &second], &splits)?;

    // 7. Save, load, classify.
    let dir = args.out.join("model");
    model.with_evaluation("test", &splits.test)?.save(&dir)?;
    let model = Model::load(&dir, &device)?;
    let texts: Vec<&str> = if args.texts.is_empty() {
        splits
            .test
            .texts()
            .iter()
            .step_by(splits.test.len() / 5)
            .take(5)
            .map(String::as_str)
            .collect()
    } else {
        args.texts.iter().map(String::as_str).collect()
    };
    println!("\n== {} loaded again", dir.display());
    for (text, answer) in texts.iter().zip(model.classify(&texts)?) {
        let short: String = text.chars().take(70).collect();
        println!("{:<15} {:.2}  {short}", answer.class, answer.probability);
    }
    println!("\ntotal {:.0?}", start.elapsed());
    Ok(())
}

/// The built-in treatment, or the recipe the user gave.
fn treatment(args: &Args) -> Result<Recipe> {
    let mut recipe = match &args.recipe {
        Some(path) => {
            let text = std::fs::read_to_string(path)
                .map_err(|source| Error::Io { path: path.clone(), source })?;
            Recipe::from_toml(&text)?
        }
        None => Recipe {
            loss: LogitAdjustedConfig::new().with_tau(0.3).into(),
            sampler: SamplerConfig::SquareRoot,
            augment: AugmentConfig::Mixup(Mixup::new()),
            ..match args.encoder {
                Kind::Ngram => Recipe::default(),
                Kind::Transformer => Recipe::transformer(),
            }
        },
    };
    recipe.seed = args.seed;
    recipe.epochs = args.epochs.unwrap_or(if args.fast { 1 } else { recipe.epochs });
    recipe.check()?;
    Ok(recipe)
}

/// A trial with the parameters that acted: `loss.focal.gamma` only where the loss is focal.
fn line(trial: &TrialRecord) -> String {
    let value = trial.value().map_or_else(|| "failed".to_owned(), |v| format!("{v:.4}"));
    let acts = |name: &str| match name.split('.').collect::<Vec<_>>()[..] {
        [section, kind, _] => {
            trial.params.get(&format!("{section}.kind")).is_some_and(|k| k.to_string() == kind)
        }
        _ => true,
    };
    let params: Vec<String> = trial
        .params
        .iter()
        .filter(|(name, _)| acts(name))
        .map(|(name, value)| format!("{name} {value}"))
        .collect();
    format!("{:>2}  {value}  {}", trial.number, params.join(", "))
}

fn age_band(age: &str) -> &'static str {
    match age.parse::<u32>() {
        Ok(0..35) => "under 35",
        Ok(35..50) => "35 to 49",
        Ok(_) => "50 and over",
        Err(_) => "unknown",
    }
}

/// What `examples/compare.rs` reads.
fn write_predictions(args: &Args, models: [&Predictions; 2], splits: &TextSplits) -> Result<()> {
    for (name, predictions) in ["before.csv", "after.csv"].into_iter().zip(models) {
        let groups = Some(splits.test.groups().to_vec());
        PredictionTable::new(predictions.clone(), splits.profile.names(), groups)?
            .write_csv(args.out.join(name))?;
    }
    Ok(write_atomic(args.out.join("profile.json"), |w| {
        serde_json::to_writer_pretty(w, &splits.profile).map_err(std::io::Error::from)
    })?)
}

fn write_report(
    args: &Args,
    report: &CompareReport,
    splits: &TextSplits,
    trials: &[TrialRecord],
    history: &[counterweight::Epoch],
) -> Result<()> {
    let points = |values: &mut dyn Iterator<Item = f64>| -> Vec<(f64, f64)> {
        values.enumerate().map(|(i, v)| (i as f64, v)).collect()
    };
    let values = points(&mut trials.iter().filter_map(|t| t.value()));
    let dev = points(&mut history.iter().map(|e| e.dev));
    let pictures = [
        (
            "Search".to_owned(),
            plot::line("Macro-F1 on dev by trial", "trial", "macro-F1", &values)?,
        ),
        ("Training".to_owned(), plot::line("Dev macro-F1 by epoch", "epoch", "macro-F1", &dev)?),
    ];
    let html = report.html("Reviews: before and after", &splits.profile, &pictures)?;
    let path: &Path = &args.out.join("report.html");
    CompareReport::write_html(path, &html)?;
    println!("\nreport: {}", path.display());
    Ok(())
}
