//! Generators of tables: training time and fidelity, and what their rows are worth to a
//! classifier beside those of resamplers.
//!
//! `cargo bench --bench generators -- KEEL_FOLDER OUT fidelity|worth [TABLE ...] [--seed 1]
//! [--seeds 3] [--method NAME]` reads five tables of the KEEL repository (`NAME.dat`) and the bundled
//! customers; `fidelity` writes the synthetic tables of a seed to `OUT`, where
//! `benches/peers/generators_ctgan.py` scores them beside its own; `worth` scores classifiers over
//! five folds with each of so many seeds.

use std::collections::BTreeMap;
use std::error::Error;
use std::path::{Path, PathBuf};
use std::time::Instant;

use clap::Parser;
use counterweight::augment::{
    Column, Copula, CtGan, Fidelity, GeneratorConfig, Training, Transfer, Tvae,
};
use counterweight::core::{NoProgress, derive};
use counterweight::prelude::Device;
use counterweight::samplers::{Folds, RandomOver, Resampler, Smote};
use ndarray::{Array2, Axis, concatenate};
use rayon::prelude::*;

const TABLES: [&str; 5] =
    ["yeast4", "abalone9-18", "page-blocks0", "car-good", "winequality-red-4"];
const FOLDS: usize = 5;

/// Rows, classes (1 is the rare one) and what the columns are.
struct Data {
    x: Array2<f64>,
    labels: Vec<usize>,
    columns: Vec<Column>,
}

#[derive(Parser)]
struct Args {
    /// Folder of the KEEL tables
    keel: Option<PathBuf>,
    /// Where synthetic tables go
    #[arg(default_value = "target/generators")]
    out: PathBuf,
    #[arg(default_value = "fidelity", value_parser = ["fidelity", "worth"])]
    what: String,
    /// All where none is named
    tables: Vec<String>,
    /// Seed of the synthetic tables
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Seeds of the classifiers' folds
    #[arg(long, default_value_t = 3)]
    seeds: u64,
    /// This generator alone
    #[arg(long, value_parser = ["copula", "ctgan", "tvae"])]
    method: Option<String>,
    // Given by cargo.
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> Result<(), Box<dyn Error>> {
    let args = Args::parse();
    let Some(keel) = &args.keel else {
        println!("cargo bench --bench generators -- KEEL_FOLDER OUT fidelity|worth");
        return Ok(());
    };
    std::fs::create_dir_all(&args.out)?;
    let mut tables = Vec::new();
    for name in TABLES {
        let text = std::fs::read_to_string(keel.join(format!("{name}.dat")))?;
        tables.push((name, data(text.lines().filter(|l| !l.starts_with('@')), "positive")?));
    }
    let mut churn = String::new();
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/data/churn/mlc_churn.csv.gz");
    let mut file = flate2::read::GzDecoder::new(std::fs::File::open(file)?);
    std::io::Read::read_to_string(&mut file, &mut churn)?;
    tables.push(("churn", data(churn.lines().skip(1), "yes")?));
    for (name, data) in &tables {
        if !args.tables.is_empty() && !args.tables.iter().any(|n| n == name) {
            continue;
        }
        match args.what.as_str() {
            "fidelity" => fidelity(name, data, &args)?,
            _ => scores(name, data, &args)?,
        }
    }
    Ok(())
}

/// Cells by comma, the class last; a column with a cell that is no number is a category.
fn data<'a>(lines: impl Iterator<Item = &'a str>, rare: &str) -> Result<Data, Box<dyn Error>> {
    let rows: Vec<Vec<&str>> = lines
        .map(|l| l.split(',').map(str::trim).collect())
        .filter(|r: &Vec<_>| r.len() > 1)
        .collect();
    let width = rows.first().ok_or("no rows")?.len() - 1;
    let mut x = Array2::zeros((rows.len(), width));
    let mut categories = Vec::new();
    for column in 0..width {
        let numbers: Option<Vec<f64>> = rows.iter().map(|r| r[column].parse().ok()).collect();
        let values = numbers.unwrap_or_else(|| {
            categories.push(column);
            let names: BTreeMap<&str, ()> = rows.iter().map(|r| (r[column], ())).collect();
            let code = |name: &str| names.keys().position(|n| *n == name).unwrap_or(0) as f64;
            rows.iter().map(|r| code(r[column])).collect()
        });
        x.column_mut(column).iter_mut().zip(values).for_each(|(to, v)| *to = v);
    }
    let labels = rows.iter().map(|r| usize::from(r[width] == rare)).collect();
    let columns = Column::of(x.view(), &categories)?;
    Ok(Data { x, labels, columns })
}

fn generators(seed: u64, only: Option<&str>) -> Vec<(&'static str, GeneratorConfig)> {
    let mut all = vec![
        ("copula", GeneratorConfig::Copula(Copula::new())),
        ("ctgan", GeneratorConfig::CtGan(CtGan::new().with_seed(seed))),
        ("tvae", GeneratorConfig::Tvae(Tvae::new().with_seed(seed))),
    ];
    all.retain(|(name, _)| only.is_none_or(|only| only == *name));
    all
}

fn fidelity(name: &str, data: &Data, args: &Args) -> Result<(), Box<dyn Error>> {
    let with_class = |x: &Array2<f64>, labels: &[usize]| {
        let class = Array2::from_shape_fn((labels.len(), 1), |(r, _)| labels[r] as f64);
        concatenate(Axis(1), &[x.view(), class.view()])
    };
    let out = &args.out;
    write(&out.join(format!("{name}.csv")), &with_class(&data.x, &data.labels)?, &data.columns)?;
    for (method, config) in generators(args.seed, args.method.as_deref()) {
        let start = Instant::now();
        let training = Training::new(data.x.view(), &data.columns, &data.labels)?;
        let model = config.fit(training, &Device::flex(), &NoProgress)?;
        let seconds = start.elapsed().as_secs_f64();
        let mut parts = Vec::new();
        let mut classes = Vec::new();
        for class in [0, 1] {
            let rows = data.labels.iter().filter(|l| **l == class).count();
            parts.push(model.sample(class, rows, 2)?);
            classes.extend(vec![class; rows]);
        }
        let made = concatenate(Axis(0), &[parts[0].view(), parts[1].view()])?;
        let report = Fidelity::new().check(data.x.view(), made.view(), &data.columns)?;
        println!(
            "{name:>18} {method:>7} {seconds:>7.1} s  columns {:.3} pairs {:.3} two-sample {:.3}",
            report.column_score(),
            report.pair_score(),
            report.two_sample.statistic
        );
        let path = out.join(format!("{name}-ours-{method}.csv"));
        write(&path, &with_class(&made, &classes)?, &data.columns)?;
    }
    Ok(())
}

/// Numbers as they are, categories and the class as `cN`, so that a reader takes them for such.
fn write(path: &Path, x: &Array2<f64>, columns: &[Column]) -> Result<(), Box<dyn Error>> {
    let mut text = (0..x.ncols()).map(|c| format!("x{c}")).collect::<Vec<_>>().join(",");
    for row in x.rows() {
        let cell = |(at, v): (usize, &f64)| match columns.get(at) {
            Some(Column::Category) | None => format!("c{v}"),
            _ => v.to_string(),
        };
        text.push('\n');
        text.push_str(&row.iter().enumerate().map(cell).collect::<Vec<_>>().join(","));
    }
    Ok(std::fs::write(path, text)?)
}

/// What one method came to: its name, F1 and average precision.
type Score = (&'static str, [f64; 2]);

/// F1 and average precision of the rare class by logistic regression, over folds and seeds.
fn scores(name: &str, data: &Data, args: &Args) -> Result<(), Box<dyn Error>> {
    let runs: Vec<(u64, usize)> =
        (0..args.seeds).flat_map(|seed| (0..FOLDS).map(move |fold| (seed, fold))).collect();
    let all: Result<Vec<Vec<Score>>, String> = runs
        .par_iter()
        .map(|&(seed, fold)| {
            one_fold(data, seed, fold, args.method.as_deref()).map_err(|e| e.to_string())
        })
        .collect();
    let all = all?.concat();
    for method in ["none", "over", "smote", "copula", "ctgan", "tvae"] {
        let own: Vec<[f64; 2]> = all.iter().filter(|s| s.0 == method).map(|s| s.1).collect();
        let mean = |at: usize| own.iter().map(|s| s[at]).sum::<f64>() / own.len() as f64;
        if own.is_empty() {
            continue;
        }
        println!(
            "{name:>18} {method:>7}  F1 {:.3}  AP {:.3}  ({} runs)",
            mean(0),
            mean(1),
            own.len()
        );
    }
    Ok(())
}

fn one_fold(
    data: &Data,
    seed: u64,
    fold: usize,
    only: Option<&str>,
) -> Result<Vec<Score>, Box<dyn Error>> {
    let folds = Folds::stratified(&data.labels, FOLDS, seed)?;
    let seed = derive(seed, fold as u64);
    let pick = |rows: &[usize]| -> (Array2<f64>, Vec<usize>) {
        (data.x.select(Axis(0), rows), rows.iter().map(|&r| data.labels[r]).collect())
    };
    let ((x, y), (test, truth)) = (pick(&folds.train(fold)), pick(&folds.test(fold)));
    let transfer = Transfer::new(test.view(), &truth, &data.columns)?;
    let score = |method, x: &Array2<f64>, y: &[usize]| -> Result<Score, Box<dyn Error>> {
        let s = transfer.scores(x.view(), y, 1)?;
        Ok((method, [s.f1, s.average_precision]))
    };
    let mut scores = vec![score("none", &x, &y)?];
    let plans = [
        ("over", RandomOver::new().with_seed(seed).plan(&x, &y)?),
        ("smote", Smote::new().with_seed(seed).plan(&x, &y)?),
    ];
    for (method, plan) in plans {
        let (x, y) = plan.apply(&x)?;
        scores.push(score(method, &x, &y)?);
    }
    let rare = y.iter().filter(|l| **l == 1).count();
    let missing = y.len() - 2 * rare;
    for (method, config) in generators(seed, only) {
        let training = Training::new(x.view(), &data.columns, &y)?;
        let model = config.fit(training, &Device::flex(), &NoProgress)?;
        let made = model.sample(1, missing, seed)?;
        let x = concatenate(Axis(0), &[x.view(), made.view()])?;
        let y = [y.clone(), vec![1; missing]].concat();
        scores.push(score(method, &x, &y)?);
    }
    Ok(scores)
}
