//! Tunes the whole treatment of an imbalanced table: resampler, its ratio, a k-nearest
//! neighbours classifier and its threshold.
//!
//! ```sh
//! cargo run --release --example tune_table
//! cargo run --release --example tune_table -- --trials 100 --workers 2 --resume
//! ```
//!
//! The study is a journal that Optuna's dashboard shows while it runs:
//! `optuna-dashboard target/tune_table/study.log`. Ctrl-C ends it gracefully; after that,
//! or after a kill, `--resume` goes on.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use clap::Parser;
use counterweight::metrics::ConfusionMatrix;
use counterweight::prelude::*;
use counterweight::tuner::{Importance, Value};
use ndarray::{Array2, Axis};

/// Tunes resampling, neighbours and threshold on a table with two classes.
#[derive(Debug, Parser)]
struct Args {
    /// A CSV with a header, gzipped or not.
    #[arg(long, default_value = "data/churn/mlc_churn.csv.gz")]
    data: PathBuf,
    /// The column with the class.
    #[arg(long, default_value = "churn")]
    label: String,
    /// Trials of the study, those of earlier runs counted.
    #[arg(long, default_value_t = 60)]
    trials: usize,
    /// Trials at once.
    #[arg(long, default_value_t = 1)]
    workers: usize,
    /// The folder for the study and its pictures.
    #[arg(long, default_value = "target/tune_table")]
    out: PathBuf,
    /// Goes on with the study in that folder.
    #[arg(long)]
    resume: bool,
    /// The seed.
    #[arg(long, default_value_t = 0)]
    seed: u64,
}

fn main() {
    if let Err(error) = run(&Args::parse()) {
        eprintln!("error: {error}");
        std::process::exit(1);
    }
}

fn run(args: &Args) -> Result<(), BoxError> {
    let data = Data::read(args)?;
    println!("{}", data.profile);
    std::fs::create_dir_all(&args.out)?;
    let journal = args.out.join("study.log");
    if !args.resume && journal.exists() {
        std::fs::remove_file(&journal)?;
    }
    let stop = Arc::new(AtomicBool::new(false));
    let flag = stop.clone();
    ctrlc::set_handler(move || flag.store(true, Ordering::Relaxed))?;

    let space = Space::new()
        .categorical("resampler", ["none", "random_over", "smote", "tomek"])?
        .when("resampler", ["random_over", "smote"], |s| s.float("ratio", 0.2..=1.0))?
        .with("neighbours", Distribution::int(1..=60).on_log_scale())?
        .float("power", 0.0..=3.0)?
        .float("categories", 0.0..=1.0)?
        .float("threshold", 0.05..=0.8)?;
    let study = Study::maximize("balanced accuracy on dev")
        .space(space.clone())
        .seed(args.seed)
        .stop_flag(stop)
        .progress()
        .journal(&journal)?;
    // What one would do without tuning is tried first.
    if study.trials()?.is_empty() {
        let plain: [(&str, Value); 5] = [
            ("resampler", "none".into()),
            ("neighbours", 5.into()),
            ("power", 0.0.into()),
            ("categories", 1.0.into()),
            ("threshold", 0.5.into()),
        ];
        study.enqueue(plain.map(|(name, value)| (name.to_owned(), value)).into())?;
    }
    study.optimize_parallel(args.workers, args.trials, |trial| {
        let seed = trial.seed();
        let recipe = Treatment::from_params(trial.suggest_all(&space)?, seed);
        Ok(data.score(&recipe, &data.dev)?.counts().balanced_accuracy().unwrap_or(f64::NAN))
    })?;

    let trials = study.trials()?;
    let (Some(plain), Some(best)) = (trials.first(), study.best()?) else {
        return Err("no trial has ended".into());
    };
    println!("best of {} trials: number {}", trials.len(), best.number);
    for (name, value) in &best.params {
        println!("  {name:12} {value}");
    }
    for (name, share) in study.importance(Importance::Fanova, 0)? {
        println!("  {:3.0} % of the variance by {name}", 100.0 * share);
    }
    println!("{:24}{:>10}{:>10}", "on test", "untuned", "tuned");
    let score = |params| data.score(&Treatment::from_params(params, args.seed), &data.test);
    let (before, after) = (score(&plain.params)?, score(&best.params)?);
    let show = |name: &str, of: &dyn Fn(&ConfusionMatrix) -> Option<f64>| {
        let number = |m| of(m).map_or_else(|| "-".to_owned(), |v| format!("{v:.3}"));
        println!("{name:24}{:>10}{:>10}", number(&before), number(&after));
    };
    show("balanced accuracy", &|m| m.counts().balanced_accuracy());
    show("recall, rare class", &|m| m.counts().recall(data.rare));
    show("precision, rare class", &|m| m.counts().precision(data.rare));
    show("accuracy", &|m| m.counts().accuracy());
    study.to_csv(args.out.join("trials.csv"))?;
    study.to_html(args.out.join("study.html"))?;
    println!("{0}/study.log, trials.csv and study.html", args.out.display());
    Ok(())
}

/// One treatment of the table.
struct Treatment {
    resampler: Option<ResamplerConfig>,
    neighbours: usize,
    /// Neighbours count by `distance^-power`.
    power: f64,
    /// Weight of the 0/1 columns in the distance.
    categories: f64,
    threshold: f64,
}

impl Treatment {
    fn from_params(params: &counterweight::tuner::Params, seed: u64) -> Self {
        let number = |name: &str| params.get(name).and_then(Value::as_f64).unwrap_or(1.0);
        let name = params.get("resampler").and_then(Value::as_str).unwrap_or("none");
        let resampler = match name {
            "none" => None,
            "tomek" => ResamplerConfig::named("tomek_links"),
            other => ResamplerConfig::named(other)
                .map(|r| r.with_strategy(Strategy::Ratio(number("ratio")))),
        };
        Self {
            resampler: resampler.map(|r| r.with_seed(seed)),
            neighbours: number("neighbours") as usize,
            power: number("power"),
            categories: number("categories"),
            threshold: number("threshold"),
        }
    }
}

struct Data {
    train: Table,
    dev: Table,
    test: Table,
    profile: ClassProfile,
    /// The class with fewer rows.
    rare: usize,
    /// Which columns are those of categories.
    flags: Vec<bool>,
}

impl Data {
    fn read(args: &Args) -> Result<Self, BoxError> {
        let table = Table::read_csv(&args.data, &args.label)?;
        let [train, dev, test] = table.split_scaled([0.6, 0.2, 0.2], args.seed)?;
        let profile = train.profile()?;
        let [first, second] = profile.counts()[..] else {
            return Err(format!("{} classes; this example has two", profile.counts().len()).into());
        };
        let flags = train.columns().iter().map(|name| name.contains('=')).collect();
        Ok(Self { train, dev, test, profile, rare: usize::from(second < first), flags })
    }

    /// Trains by remembering the resampled rows, and predicts a part.
    fn score(&self, t: &Treatment, part: &Table) -> Result<ConfusionMatrix, BoxError> {
        let (x, y) = (self.train.features().to_owned(), self.train.labels());
        let (x, y) = match &t.resampler {
            None => (x, y.to_vec()),
            Some(resampler) => resampler.fit_resample(&x, y)?,
        };
        let weigh = |mut x: Array2<f64>| {
            for k in (0..self.flags.len()).filter(|&k| self.flags[k]) {
                x.column_mut(k).mapv_inplace(|v| v * t.categories);
            }
            x
        };
        let (known, asked) = (weigh(x), weigh(part.features().to_owned()));
        // |a - b|² = a² - 2ab + b²; a² is the same for all neighbours.
        let squares = known.map_axis(Axis(1), |row| row.dot(&row));
        let products = asked.dot(&known.t());
        let predicted =
            products.axis_iter(Axis(0)).zip(asked.axis_iter(Axis(0))).map(|(p, row)| {
                let own = row.dot(&row);
                let mut near: Vec<(f64, usize)> = p
                    .iter()
                    .zip(&squares)
                    .map(|(p, s)| (own - 2.0 * p + s).max(0.0))
                    .zip(y.iter().copied())
                    .collect();
                let k = t.neighbours.min(near.len() - 1);
                near.select_nth_unstable_by(k, |a, b| a.0.total_cmp(&b.0));
                let (mut rare, mut all) = (0.0, 0.0);
                for (square, class) in &near[..k.max(1)] {
                    let weight = (square + 1e-9).powf(-0.5 * t.power);
                    all += weight;
                    rare += if *class == self.rare { weight } else { 0.0 };
                }
                if rare / all >= t.threshold { self.rare } else { 1 - self.rare }
            });
        let predicted: Vec<usize> = predicted.collect();
        Ok(ConfusionMatrix::from_labels(part.labels(), &predicted, 2)?)
    }
}
