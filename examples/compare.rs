//! Two models judged on the same rows: accuracy, tail and fairness before and after, with
//! intervals and tests, from their predictions alone.
//!
//! ```sh
//! cargo run --release --example compare
//! cargo run --release --example compare -- --before a.csv --after b.csv --profile counts.json
//! ```
//!
//! A file of predictions is a CSV with a column `truth`, if wanted a column `group`, and a column
//! of probabilities per class. The profile is the training counts as JSON; without one they
//! are counted from the truth of the files.

use std::error::Error;
use std::path::{Path, PathBuf};

use clap::Parser;
use counterweight::core::ClassProfile;
use counterweight::metrics::{Bootstrap, Columns};
use counterweight::{CompareReport, PredictionTable};

/// Compares two files of predictions on the same rows.
#[derive(Debug, Parser)]
struct Args {
    /// Predictions before the treatment.
    #[arg(long, default_value = "data/predictions/before.csv.gz")]
    before: PathBuf,
    /// Predictions after it, on the same rows.
    #[arg(long, default_value = "data/predictions/after.csv.gz")]
    after: PathBuf,
    /// Training counts as JSON, for head, mid and tail.
    #[arg(long)]
    profile: Option<PathBuf>,
    /// Resamples of the bootstrap, at least 10.
    #[arg(long, default_value_t = 1000)]
    resamples: usize,
    /// Level of the intervals, in (0, 1).
    #[arg(long, default_value_t = 0.95)]
    level: f64,
    /// Seed of the bootstrap.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// The page to write.
    #[arg(long, default_value = "target/compare.html")]
    out: PathBuf,
    /// Fewer resamples.
    #[arg(long)]
    fast: bool,
}

fn main() {
    if let Err(error) = run(&Args::parse()) {
        eprintln!("error: {error}");
        std::process::exit(1);
    }
}

fn run(args: &Args) -> Result<(), Box<dyn Error>> {
    let before = PredictionTable::read_csv(&args.before)?;
    let bundled = args.before.as_path() == Path::new("data/predictions/before.csv.gz");
    let profile = match &args.profile {
        Some(path) => read_profile(path)?,
        None if bundled => read_profile(Path::new("data/predictions/profile.json"))?,
        None => ClassProfile::from_labels(before.predictions().truth(), before.names())?,
    };
    let before = before.in_order(profile.names())?;
    let after = PredictionTable::read_csv(&args.after)?.in_order(profile.names())?;
    let resamples = if args.fast { 100 } else { args.resamples };
    let bootstrap =
        Bootstrap::new().with_resamples(resamples).with_level(args.level).with_seed(args.seed);
    let (first, second) = (before.predictions(), after.predictions());
    let mut report = CompareReport::new(first, second, &profile, &bootstrap)?;
    if let Some(groups) = before.groups() {
        report = report.with_groups(first, second, groups, &profile)?;
    }
    println!("{} rows, {} classes\n", first.len(), profile.classes());
    println!("{report}");
    println!("* the interval of the difference excludes zero ({resamples} resamples)\n");
    println!("before\n{}", report.before.to_text(Columns::Imbalanced));
    println!("after\n{}", report.after.to_text(Columns::Imbalanced));
    for (name, predictions) in [("before", first), ("after", second)] {
        let tally = predictions.tally();
        println!(
            "calibration {name}: ECE {:.4}, in bins of equal mass {:.4}, class-wise {:.4}, MCE {:.4}",
            tally.calibration().ece().unwrap_or(0.0),
            predictions.equal_mass_calibration(15)?.ece().unwrap_or(0.0),
            predictions.class_wise_ece(15)?,
            tally.calibration().mce().unwrap_or(0.0),
        );
    }
    let html = report.html("Before and after", &profile, &[])?;
    CompareReport::write_html(&args.out, &html)?;
    println!("\nreport: {}", args.out.display());
    Ok(())
}

fn read_profile(path: &Path) -> Result<ClassProfile, Box<dyn Error>> {
    let text = std::fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()))?;
    Ok(serde_json::from_str(&text).map_err(|e| format!("{}: {e}", path.display()))?)
}
