//! Resamples a CSV table and says where every row came from.
//!
//! ```sh
//! cargo run --release --example resample_table
//! cargo run --release --example resample_table -- --data payments.csv --label fraud --method smote --strategy 0.5
//! ```
//!
//! Columns with a cell that is no number are categories, for which `smote_nc` is made; columns of
//! whole numbers stay whole. Distances are measured on standardised columns. The output has the
//! input's columns and `origin` (kept, copy or synthetic), `row_a`, `row_b` (rows of the input,
//! from 0) and `t`, the place between both.

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use clap::Parser;
use counterweight::core::{ClassProfile, LabelEncoder, write_atomic};
use counterweight::samplers::{Origin, Plan, PlanFidelity, Resampler, ResamplerConfig, Strategy};
use flate2::read::GzDecoder;
use ndarray::Array2;

type Failed = Box<dyn Error>;

/// Resamples a CSV table.
#[derive(Debug, Parser)]
struct Args {
    /// A CSV with a header, gzipped or not.
    #[arg(long, default_value = "data/churn/mlc_churn.csv.gz")]
    data: PathBuf,
    /// The column with the class.
    #[arg(long, default_value = "churn")]
    label: String,
    /// A method, as `smote`, `smote_nc`, `edited_nn`; any unknown name lists them.
    #[arg(long, default_value = "smote_nc")]
    method: String,
    /// `auto`, `minority`, `not_minority`, `not_majority`, `all`, `majority`, a ratio in (0, 1], or
    /// counts as `yes=900,no=+100`: the final one, or with + or - the change.
    #[arg(long, default_value = "auto")]
    strategy: String,
    /// Columns to leave out, by comma.
    #[arg(long, value_delimiter = ',')]
    drop: Vec<String>,
    /// The seed.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// The CSV to write.
    #[arg(long, default_value = "target/resampled.csv")]
    out: PathBuf,
}

fn main() {
    if let Err(error) = run(&Args::parse()) {
        eprintln!("error: {error}");
        std::process::exit(1);
    }
}

fn run(args: &Args) -> Result<(), Failed> {
    let method = ResamplerConfig::named(&args.method).ok_or_else(|| {
        format!("no method {:?}; there are {}", args.method, ResamplerConfig::NAMES.join(", "))
    })?;
    let table = Table::read(args)?;
    let strategy = strategy(&args.strategy, &table.classes)?;
    let method = match method.with_strategy(strategy).with_seed(args.seed) {
        ResamplerConfig::SmoteNc(nc) => nc.with_categorical(table.categories()).into(),
        other => other,
    };
    table.ensure_suits(&method)?;
    println!("before\n{}", ClassProfile::from_labels(&table.labels, table.classes.names())?);
    let x = table.standardised();
    let plan = method.plan(&x, &table.labels)?;
    println!("after\n{}", ClassProfile::from_labels(&plan.labels(), table.classes.names())?);
    for &class in plan.unchanged() {
        println!("{}: no row to start from, left as it is", table.classes.names()[class]);
    }
    if plan.rows().iter().any(|row| !matches!(row.origin, Origin::Kept(_))) {
        println!(
            "new rows, on standardised columns\n{}",
            PlanFidelity::of(&plan, &x, &table.labels, 5)?
        );
    }
    table.write(&args.out, &plan, &x)?;
    println!("{} rows in {}", plan.len(), args.out.display());
    Ok(())
}

/// A CSV in memory: its cells, and its columns as numbers.
struct Table {
    header: Vec<String>,
    cells: Vec<Vec<String>>,
    columns: Vec<Column>,
    label: usize,
    labels: Vec<usize>,
    classes: LabelEncoder,
}

/// A column of features.
struct Column {
    name: String,
    /// Its place in the file.
    at: usize,
    values: Vec<f64>,
    /// The names of categories, whose values are their places.
    codes: Option<LabelEncoder>,
    /// Whether every value is a whole number.
    whole: bool,
    mean: f64,
    spread: f64,
}

impl Table {
    fn read(args: &Args) -> Result<Self, Failed> {
        let path = &args.data;
        let failed = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
        let file = File::open(path).map_err(|e| failed(&e))?;
        let gzipped = path.extension().is_some_and(|end| end == "gz");
        let file: Box<dyn Read> =
            if gzipped { Box::new(GzDecoder::new(file)) } else { Box::new(file) };
        let mut reader = csv::Reader::from_reader(file);
        let header: Vec<String> =
            reader.headers().map_err(|e| failed(&e))?.iter().map(String::from).collect();
        let place = |name: &str| {
            let at = header.iter().position(|column| column == name);
            at.ok_or_else(|| failed(&format!("no column {name:?}; it has {}", header.join(", "))))
        };
        let label = place(&args.label)?;
        let dropped: BTreeSet<usize> =
            args.drop.iter().map(|name| place(name)).collect::<Result<_, _>>()?;
        let mut cells: Vec<Vec<String>> = Vec::new();
        for record in reader.records() {
            let record = record.map_err(|e| failed(&e))?;
            cells.push(record.iter().map(|cell| cell.trim().to_owned()).collect());
        }
        let column = |at: usize| cells.iter().map(move |row| row[at].as_str());
        let classes = LabelEncoder::fit(column(label));
        let labels = classes.encode(column(label))?;
        let wanted = (0..header.len()).filter(|at| *at != label && !dropped.contains(at));
        let columns =
            wanted.map(|at| Column::new(&header[at], at, column(at))).collect::<Result<_, _>>()?;
        Ok(Self { columns, labels, classes, label, header: header.clone(), cells })
    }

    /// Places of categorical columns among the features.
    fn categories(&self) -> Vec<usize> {
        (0..self.columns.len()).filter(|&at| self.columns[at].codes.is_some()).collect()
    }

    /// Categories need a method that never does arithmetic on them.
    fn ensure_suits(&self, method: &ResamplerConfig) -> Result<(), Failed> {
        let copies =
            matches!(method, ResamplerConfig::RandomOver(_) | ResamplerConfig::RandomUnder(_));
        let votes = matches!(method, ResamplerConfig::SmoteNc(_) | ResamplerConfig::SmoteN(_));
        match self.columns.iter().find(|column| column.codes.is_some()) {
            Some(Column { name, .. }) if !copies && !votes => Err(format!(
                "column {name:?} holds categories: use smote_nc, or leave it out with --drop"
            )
            .into()),
            _ => Ok(()),
        }
    }

    /// The features, numbers with mean 0 and variance 1.
    fn standardised(&self) -> Array2<f64> {
        let size = (self.cells.len(), self.columns.len());
        Array2::from_shape_fn(size, |(row, at)| {
            let column = &self.columns[at];
            (column.values[row] - column.mean) / column.spread
        })
    }

    /// Kept rows and copies as they were read, the others as they were made.
    fn write(&self, path: &Path, plan: &Plan, x: &Array2<f64>) -> Result<(), Failed> {
        let (made, labels) = plan.apply(x)?;
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        write_atomic(path, |file| {
            let mut writer = csv::Writer::from_writer(file);
            let added = ["origin", "row_a", "row_b", "t"].map(String::from);
            writer.write_record(self.header.iter().chain(&added))?;
            for ((planned, features), class) in
                plan.rows().iter().zip(made.outer_iter()).zip(labels)
            {
                let base = planned.origin.base(plan);
                let mut cells = self.cells[base].clone();
                if !planned.origin.is_real() {
                    for (column, value) in self.columns.iter().zip(features) {
                        cells[column.at] = column.text(*value);
                    }
                }
                cells[self.label].clone_from(&self.classes.names()[class]);
                cells.extend(provenance(planned.origin, base));
                writer.write_record(&cells)?;
            }
            writer.flush()
        })?;
        Ok(())
    }
}

impl Column {
    fn new<'a>(
        name: &str,
        at: usize,
        cells: impl Iterator<Item = &'a str> + Clone,
    ) -> Result<Self, Failed> {
        let numbers: Result<Vec<f64>, _> = cells.clone().map(str::parse).collect();
        let (values, codes) = match numbers {
            Ok(values) => (values, None),
            Err(_) => {
                let codes = LabelEncoder::fit(cells.clone());
                let values = codes.encode(cells)?.into_iter().map(|code| code as f64).collect();
                (values, Some(codes))
            }
        };
        if let Some((row, value)) = values.iter().enumerate().find(|(_, v)| !v.is_finite()) {
            return Err(
                format!("column {name:?} of row {row} is {value}; it must be finite").into()
            );
        }
        let n = values.len() as f64;
        let mean = values.iter().sum::<f64>() / n;
        let spread = (values.iter().map(|v| (v - mean) * (v - mean)).sum::<f64>() / n).sqrt();
        let (mean, spread) = match codes {
            None if spread > 0.0 => (mean, spread),
            _ => (0.0, 1.0),
        };
        let whole = values.iter().all(|v| v.fract() == 0.0);
        Ok(Self { name: name.to_owned(), at, values, codes, whole, mean, spread })
    }

    /// A standardised value as it would stand in the file.
    fn text(&self, value: f64) -> String {
        let value = value * self.spread + self.mean;
        match &self.codes {
            Some(codes) => codes.name(value as usize).unwrap_or_default().to_owned(),
            None if self.whole => value.round_ties_even().to_string(),
            None => format!("{value:.6}"),
        }
    }
}

/// The columns that say where a row came from.
fn provenance(origin: Origin, base: usize) -> [String; 4] {
    let (kind, b, t) = match origin {
        Origin::Kept(_) => ("kept", String::new(), String::new()),
        Origin::Copy(_) => ("copy", String::new(), String::new()),
        Origin::Between { b, t, .. } | Origin::Voted { b, t, .. } => {
            ("synthetic", b.to_string(), format!("{t:.6}"))
        }
        Origin::Ball { surface, .. } => ("synthetic", surface.to_string(), String::new()),
        _ => ("synthetic", String::new(), String::new()),
    };
    [kind.to_owned(), base.to_string(), b, t]
}

fn strategy(text: &str, classes: &LabelEncoder) -> Result<Strategy, Failed> {
    if let Ok(ratio) = text.parse() {
        return Ok(Strategy::Ratio(ratio));
    }
    if !text.contains('=') {
        let named = serde_json::from_value(text.into());
        return named.map_err(|_| format!("no strategy {text:?}; see --help").into());
    }
    let (mut counts, mut changes) = (BTreeMap::new(), BTreeMap::new());
    for part in text.split(',') {
        let (name, n) = part.split_once('=').ok_or_else(|| format!("{part:?} is no name=count"))?;
        let known = || format!("no class {name:?}; there are {}", classes.names().join(", "));
        let class = classes.id(name).ok_or_else(known)?;
        let change = n.strip_prefix(['+', '-']);
        let n = change.unwrap_or(n).parse().map_err(|_| format!("{n:?} is no count"))?;
        if change.is_some() { &mut changes } else { &mut counts }.insert(class, n);
    }
    match (counts.is_empty(), changes.is_empty()) {
        (false, true) => Ok(Strategy::Counts(counts)),
        (true, false) => Ok(Strategy::Change(changes)),
        _ => Err("name final counts or changes, not both".into()),
    }
}
