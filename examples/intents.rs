//! Customer-service intents: fine-tune a transformer twice, plainly and with the tail in mind;
//! report, save, load, predict. Without `--model` a small BERT learns from scratch; with it a
//! checkpoint in Hugging Face's layout is fine-tuned, wholly or by LoRA.

#[path = "shared/clinc.rs"]
mod clinc;
#[path = "shared/split.rs"]
mod split;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use clap::Parser;
#[cfg(feature = "tui")]
use counterweight::Dashboard;
use counterweight::prelude::*;
use counterweight::{Error, Result};

/// Which intent has a customer's question?
#[derive(Parser, Debug)]
struct Args {
    /// A checkpoint's directory: config.json, model.safetensors, tokenizer.json
    #[arg(long)]
    model: Option<PathBuf>,
    /// Train low-rank updates of this rank instead of all weights of the checkpoint
    #[arg(long, requires = "model")]
    lora: Option<usize>,
    /// Show training in burn's dashboard (feature `tui`)
    #[cfg(feature = "tui")]
    #[arg(long)]
    tui: bool,
    /// Examples of the most frequent intent over those of the rarest
    #[arg(long, default_value_t = 50.0)]
    factor: f64,
    /// Epochs of each training [default: 30 from scratch, 4 of a checkpoint]
    #[arg(long)]
    epochs: Option<usize>,
    /// One epoch on a tenth of the texts, for tests
    #[arg(long)]
    fast: bool,
    /// Seed of everything random
    #[arg(long, default_value_t = 7)]
    seed: u64,
    /// Continue a run that was interrupted
    #[arg(long)]
    resume: bool,
    /// Where the model and the checkpoints go
    #[arg(long, default_value = "target/intents")]
    out: PathBuf,
    /// Questions to classify at the end
    #[arg(default_values_t = [
        "how long until my new card arrives".to_owned(),
        "can you wake me at six tomorrow".to_owned(),
        "someone has stolen my luggage".to_owned(),
    ])]
    texts: Vec<String>,
}

fn main() -> ExitCode {
    match run(&Args::parse()) {
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
    let clock = Instant::now();
    let device = device::from_env()?;
    let stop = Arc::new(AtomicBool::new(false));
    let handler = stop.clone();
    // Without a handler Ctrl-C ends the process; the checkpoints still resume.
    let _ = ctrlc::set_handler(move || handler.store(true, Ordering::Relaxed));

    let step = if args.fast { 10 } else { 1 };
    let splits = clinc::long_tail(args.factor, args.seed, step)?;
    let (profile, sizes) = (&splits.profile, [&splits.train, &splits.dev, &splits.test]);
    println!(
        "== {} intents, imbalance factor {:.1}",
        profile.classes(),
        profile.imbalance_factor()
    );
    println!("train, dev, test: {:?}", sizes.map(TextData::len));

    split::write_split(&splits, &args.out)?;

    let plain = recipe(args);
    let tail = Recipe { loss: LogitAdjustedConfig::new().into(), ..plain.clone() };
    let mut models = Vec::new();
    for (name, recipe) in [("cross entropy", &plain), ("logit-adjusted", &tail)] {
        let options = TrainOptions::new()
            .with_progress(TerminalProgress::new())
            .with_checkpoint(args.out.join(recipe.loss.kind().to_string()))
            .with_resume(args.resume)
            .with_stop_flag(stop.clone());
        #[cfg(feature = "tui")]
        let options = match args.tui.then(|| Dashboard::terminal(stop.clone())).flatten() {
            Some(dashboard) => options.with_progress(dashboard),
            None => options,
        };
        let start = Instant::now();
        let trained = train(recipe, &splits, &device, &options)?;
        if models.is_empty() {
            let (few, all) = trained.weights;
            println!("{all} weights, {:.1} % of them trained", 100.0 * few as f64 / all as f64);
        }
        println!("{name}: {} epochs, {:.0?}", trained.history.len(), start.elapsed());
        models.push(trained.model);
    }

    let [before, after] = [&models[0], &models[1]].map(|m| m.evaluate(&splits.test));
    println!("\n== test, before and after\n{}", compare(&before?, &after?, profile)?);

    let dir = args.out.join("model");
    let Some(chosen) = models.pop() else { return Ok(()) };
    chosen.with_evaluation("test", &splits.test)?.save(&dir)?;
    let model = Model::load(&dir, &device)?;
    println!("== {} loaded again; README.md there is its card", dir.display());
    for (text, answer) in args.texts.iter().zip(model.classify(&args.texts)?) {
        println!("{:<24} {:.2}  {text}", answer.class, answer.probability);
    }
    println!("\ntotal {:.0?}", clock.elapsed());
    Ok(())
}

fn recipe(args: &Args) -> Recipe {
    let mut recipe = match &args.model {
        Some(dir) => {
            let mut config = PretrainedConfig::new(dir).with_max_length(64);
            if let Some(rank) = args.lora {
                config = config
                    .with_lora(LoraConfig::new().with_rank(rank).with_alpha(2.0 * rank as f64));
            }
            Recipe::pretrained(config)
        }
        None => Recipe { epochs: 30, ..Recipe::transformer() },
    };
    recipe.seed = args.seed;
    recipe.select = Metric::BalancedAccuracy;
    recipe.patience = 8;
    recipe.epochs = args.epochs.unwrap_or(if args.fast { 1 } else { recipe.epochs });
    recipe
}
