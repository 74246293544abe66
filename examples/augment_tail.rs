//! More of the tail: synthetic customers that are checked before they are added, texts and images
//! that are changed.
//!
//! ```sh
//! cargo run --release --example augment_tail
//! cargo run --release --example augment_tail -- --data payments.csv --label fraud
//! ```
//!
//! Generators learn a table whose rare class has few rows; their rows pass a gate, are compared
//! with the real ones and added to the training set, and a logistic regression says what they are
//! worth on rows that nothing was trained on. Pictures go to `--out`.

use std::collections::BTreeMap;
use std::error::Error;
use std::path::PathBuf;

use clap::Parser;
use counterweight::core::plot::{Series, images, scatter};
use counterweight::core::{derive, write_atomic};
use counterweight::prelude::*;
use ndarray::{Array2, ArrayView2, Axis, concatenate};

type Failed = Box<dyn Error>;

/// Makes more of the tail.
#[derive(Debug, Parser)]
struct Args {
    /// A CSV with a header, gzipped or not.
    #[arg(long, default_value = "data/churn/mlc_churn.csv.gz")]
    data: PathBuf,
    /// The column with the class.
    #[arg(long, default_value = "churn")]
    label: String,
    /// Epochs of the networks; the peers' default is 300.
    #[arg(long, default_value_t = 300)]
    epochs: usize,
    /// The seed.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// The folder for pictures.
    #[arg(long, default_value = "target/augment_tail")]
    out: PathBuf,
    /// A few epochs only.
    #[arg(long)]
    fast: bool,
}

fn main() {
    if let Err(error) = run(&Args::parse()) {
        eprintln!("error: {error}");
        std::process::exit(1);
    }
}

fn run(args: &Args) -> Result<(), Failed> {
    for (_, config) in generators(args) {
        config.check()?;
    }
    std::fs::create_dir_all(&args.out).map_err(|e| format!("{}: {e}", args.out.display()))?;
    table(args)?;
    texts(args)?;
    digits(args)
}

fn generators(args: &Args) -> [(&'static str, GeneratorConfig); 3] {
    let epochs = if args.fast { args.epochs.min(5) } else { args.epochs };
    [
        ("copula", GeneratorConfig::Copula(Copula::new())),
        ("TVAE", GeneratorConfig::Tvae(Tvae::new().with_epochs(epochs).with_seed(args.seed))),
        ("CTGAN", GeneratorConfig::CtGan(CtGan::new().with_epochs(epochs).with_seed(args.seed))),
    ]
}

/// Generators and resamplers on a table, judged on its test part.
fn table(args: &Args) -> Result<(), Failed> {
    let table = Table::read_csv_coded(&args.data, &args.label)?;
    let profile = table.profile()?;
    println!("{profile}");
    let parts = Split::stratified([0.7, 0.3]).with_seed(args.seed).indices(table.labels())?;
    let (train, test) = (table.select(&parts[0]), table.select(&parts[1]));
    let rare = *profile.order().last().ok_or("no classes")?;
    let name = &profile.names()[rare];
    let count = |class: usize| train.labels().iter().filter(|l| **l == class).count();
    let missing = count(*profile.order().first().ok_or("no classes")?) - count(rare);
    let own: Vec<usize> =
        (0..train.labels().len()).filter(|&r| train.labels()[r] == rare).collect();
    let real = train.features().select(Axis(0), &own);
    println!(
        "{} rows of {name:?} in training, {missing} are missing to the largest class\n",
        own.len()
    );

    let transfer = Transfer::new(test.features(), test.labels(), table.kinds())?;
    let score = |what: &str, x: ArrayView2<'_, f64>, labels: &[usize]| -> Result<(), Failed> {
        let scores = transfer.scores(x, labels, rare)?;
        println!(
            "{what:>9}: F1 {:.3}, average precision {:.3}\n",
            scores.f1, scores.average_precision
        );
        Ok(())
    };
    score("as it is", train.features(), train.labels())?;
    let x = train.features().to_owned();
    let plans = [
        ("copies", RandomOver::new().with_seed(args.seed).plan(&x, train.labels())?),
        ("SMOTE", Smote::new().with_seed(args.seed).plan(&x, train.labels())?),
    ];
    for (what, plan) in plans {
        let (x, labels) = plan.apply(&x)?;
        score(what, x.view(), &labels)?;
    }

    let gate = FidelityGate::new();
    for (what, config) in generators(args) {
        let training = Training::new(train.features(), table.kinds(), train.labels())?;
        let model = config.fit(training, &device::from_env()?, &TerminalProgress::new())?;
        let made = model.sample(rare, missing, derive(args.seed, 1))?;
        let keep = gate.keep(train.features(), train.labels(), made.view(), rare, table.kinds())?;
        let rows = |wanted: bool| -> Vec<usize> {
            (0..made.nrows()).filter(|&row| keep[row] == wanted).collect()
        };
        let kept = made.select(Axis(0), &rows(true));
        println!("{what}: {} of {} rows pass the gate", kept.nrows(), made.nrows());
        if kept.nrows() < 2 {
            continue;
        }
        let report = Fidelity::new().check(real.view(), kept.view(), table.kinds())?;
        print!("{report}");
        for failure in gate.failures(&report) {
            println!("not passed: {failure}");
        }
        let labels = [train.labels(), &vec![rare; kept.nrows()]].concat();
        score(what, concatenate(Axis(0), &[train.features(), kept.view()])?.view(), &labels)?;

        let (a, b) = widest(&table, real.view());
        let points = |x: &Array2<f64>| x.rows().into_iter().map(|r| (r[a], r[b])).collect();
        let series = [
            Series {
                name: "rejected".to_owned(),
                points: points(&made.select(Axis(0), &rows(false))),
            },
            Series { name: "synthetic".to_owned(), points: points(&kept) },
            Series { name: "real".to_owned(), points: points(&real) },
        ];
        let title = format!("{what}: {name}");
        let picture = scatter(&title, &table.columns()[a], &table.columns()[b], &series)?;
        save(args, &format!("{}.svg", what.to_lowercase()), &picture)?;
    }
    Ok(())
}

/// The two numbers of the class with most values, for a picture.
fn widest(table: &Table, real: ArrayView2<'_, f64>) -> (usize, usize) {
    let values = |column: usize| -> usize {
        let mut values = real.column(column).to_vec();
        values.sort_by(f64::total_cmp);
        values.dedup();
        values.len()
    };
    let mut columns: Vec<usize> = (0..real.ncols()).collect();
    columns.sort_by_key(|&c| (table.kinds()[c] == Column::Category, usize::MAX - values(c)));
    (columns[0], columns[columns.len().min(2) - 1])
}

/// A review under every change of words.
fn texts(args: &Args) -> Result<(), Failed> {
    let text =
        "The dress runs SMALL but the fabric is beautiful, order it in size 12 and be happy!";
    let only = |eda: Eda| eda.with_protect(vec!["size \\d+".to_owned()]);
    let none =
        Eda::new().with_synonyms(0.0).with_insertions(0.0).with_swaps(0.0).with_deletions(0.0);
    let noise = CharacterNoise::new().with_rate(0.3).with_protect(vec!["size \\d+".to_owned()]);
    let changes: BTreeMap<&str, Box<dyn TextAugmenter>> = BTreeMap::from([
        (
            "synonyms",
            Box::new(only(none.clone().with_synonyms(0.3)).init()?) as Box<dyn TextAugmenter>,
        ),
        ("insertions", Box::new(only(none.clone().with_insertions(0.2)).init()?)),
        ("swaps", Box::new(only(none.clone().with_swaps(0.2)).init()?)),
        ("deletions", Box::new(only(none.with_deletions(0.3)).init()?)),
        ("typing errors", Box::new(noise.init()?)),
    ]);
    println!("{:>14}: {text}", "a review");
    for (what, augmenter) in changes {
        println!("{what:>14}: {}", augmenter.augment(text, 1.0, args.seed)?);
    }
    println!();
    Ok(())
}

/// Handwritten digits before and after, as a picture.
fn digits(args: &Args) -> Result<(), Failed> {
    use std::io::Read;
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/data/digits/digits.csv.gz");
    let mut text = String::new();
    flate2::read::GzDecoder::new(std::fs::File::open(file)?).read_to_string(&mut text)?;
    let mut values: Vec<f32> = Vec::new();
    let mut labels: Vec<usize> = Vec::new();
    for line in text.lines().take(12) {
        let cells = line.split(',').map(str::parse).collect::<Result<Vec<f32>, _>>()?;
        values.extend(cells[..64].iter().map(|v| v / 16.0));
        labels.push(cells[64] as usize);
    }
    let device = device::from_env()?;
    let features = Tensor::<1>::from_floats(values.as_slice(), &device).reshape([12, 1, 8, 8]);
    let targets = Targets::from_ids(&labels, &device).dense(&Tensor::zeros([12, 10], &device));
    let batch = Batch { features, targets };
    let profile = ClassProfile::from_counts([100; 10])?;
    let step = |transform| Images::new().with_transform(transform).init(&profile);
    let erase = ImageTransform::Erase { probability: 1.0, area: [0.05, 0.2], aspect: [0.5, 2.0] };
    let augmenters: [(&str, Box<dyn Augmenter<4>>); 8] = [
        ("mixup", Box::new(Mixup::new().with_alpha(1.0).init()?)),
        ("CutMix", Box::new(CutMix::new().init()?)),
        ("rotate", Box::new(step(ImageTransform::Rotate { degrees: 30.0 })?)),
        ("shear", Box::new(step(ImageTransform::Shear { degrees: 30.0 })?)),
        ("crop", Box::new(step(ImageTransform::Crop { padding: 2 })?)),
        ("noise", Box::new(step(ImageTransform::Noise { deviation: 0.15 })?)),
        ("erase", Box::new(step(erase)?)),
        ("RandAugment", Box::new(step(ImageTransform::RandAugment(RandAugment::default()))?)),
    ];
    let pixels = |batch: &Batch<4>| -> Result<Vec<Vec<f32>>, Failed> {
        let all =
            batch.features.clone().into_data().try_to_vec::<f32>().map_err(|e| e.to_string())?;
        Ok(all.chunks(64).map(<[f32]>::to_vec).collect())
    };
    let mut rows = vec![("as they are".to_owned(), pixels(&batch)?)];
    for (what, augmenter) in augmenters {
        rows.push((what.to_owned(), pixels(&augmenter.augment(batch.clone(), args.seed))?));
    }
    save(args, "digits.svg", &images("digits before and after", 8, &rows)?)
}

fn save(args: &Args, name: &str, picture: &str) -> Result<(), Failed> {
    let path = args.out.join(name);
    write_atomic(&path, |file| std::io::Write::write_all(file, picture.as_bytes()))?;
    println!("picture in {}\n", path.display());
    Ok(())
}
