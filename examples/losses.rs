//! What each loss does to head, mid and tail: intents of CLINC150 cut to a long tail, an
//! n-gram classifier, one recipe for all losses, several seeds. Prints a Markdown table.
use clap::Parser;
use counterweight::losses::{
    EqualizationConfig, EqualizationV2Config, GeneralizedCrossEntropyConfig,
    InfluenceBalancedConfig, SymmetricCrossEntropyConfig, VectorScalingConfig,
};
use counterweight::prelude::*;

#[derive(Parser)]
struct Args {
    /// Trainings per loss.
    #[arg(long, default_value_t = 3)]
    seeds: u64,
    /// Examples of the most frequent class over those of the rarest.
    #[arg(long, default_value_t = 50.0)]
    factor: f64,
    /// Epochs of each training.
    #[arg(long, default_value_t = 20)]
    epochs: usize,
    /// Three losses, one seed, two epochs.
    #[arg(long)]
    fast: bool,
}

/// Training counts `100 · factor^(−rank / 149)` over the 150 intents, the rest of the
/// training file for dev (at most five each), and the even test file.
fn long_tail(factor: f64) -> Result<TextSplits, BoxError> {
    let read = |part: &str| {
        let path = format!("{}/data/clinc150/{part}.csv.gz", env!("CARGO_MANIFEST_DIR"));
        TextReader::new(path, "intent").text("text").read()
    };
    let (all, even) = (read("train")?, read("test")?);
    // Out-of-scope questions are no intent.
    let all = {
        let rows: Vec<usize> = (0..all.len()).filter(|&r| name(&all, r) != "oos").collect();
        let texts = rows.iter().map(|&r| all.texts()[r].clone()).collect();
        TextData::new(texts, &rows.iter().map(|&r| name(&all, r)).collect::<Vec<_>>())?
    };
    let counts = all.profile(SegmentRule::default())?;
    let (mut train, mut dev) = (Vec::new(), Vec::new());
    for (rank, class) in counts.order().into_iter().enumerate() {
        let wanted = (100.0 * factor.powf(-(rank as f64) / 149.0)).round() as usize;
        let rows: Vec<usize> = (0..all.len()).filter(|&r| all.labels()[r] == class).collect();
        let (kept, rest) = rows.split_at(wanted.clamp(1, rows.len() - 5));
        train.extend(kept);
        dev.extend(&rest[..5]);
    }
    let train = all.select(&train);
    let rule = SegmentRule::Quantiles { head: 1.0 / 3.0, tail: 1.0 / 3.0 };
    // The test file's labels in the training file's numbering.
    let known: Vec<usize> =
        (0..even.len()).filter(|&r| all.encoder().id(name(&even, r)).is_some()).collect();
    let texts = known.iter().map(|&r| even.texts()[r].clone()).collect();
    let names: Vec<&str> = known.iter().map(|&r| name(&even, r)).collect();
    let test = TextData::with_encoder(texts, &names, all.encoder().clone())?;
    let profile = train.profile(rule)?;
    Ok(TextSplits { profile, train, dev: all.select(&dev), test, rows: Vec::new() })
}

fn name(data: &TextData, row: usize) -> &str {
    &data.encoder().names()[data.labels()[row]]
}

fn treatments(epochs: usize) -> Vec<(&'static str, LossConfig)> {
    let ce = CrossEntropyConfig::new;
    let balanced = || ce().with_weights(ClassWeights::Balanced);
    let late = epochs * 4 / 5;
    let ldam = || LdamConfig::new().with_scale(4.0);
    vec![
        ("cross entropy", ce().into()),
        ("cross entropy, inverse weights", balanced().into()),
        ("logit-adjusted, τ = 1 (balanced softmax)", LogitAdjustedConfig::new().into()),
        (
            "cross entropy, effective number β = .99",
            ce().with_weights(ClassWeights::EffectiveNumber { beta: 0.99 }).into(),
        ),
        (
            "cross entropy, inverse weights deferred",
            DeferredConfig::new(ce(), balanced(), late).into(),
        ),
        ("logit-adjusted, τ = 0.5", LogitAdjustedConfig::new().with_tau(0.5).into()),
        ("vector scaling", VectorScalingConfig::new().into()),
        ("LDAM, s = 4", ldam().into()),
        (
            "LDAM-DRW, s = 4",
            DeferredConfig::new(ldam(), ldam().with_weights(ClassWeights::Balanced), late).into(),
        ),
        ("focal, γ = 2", FocalConfig::new().into()),
        ("seesaw", LossKind::Seesaw.config()),
        ("label-aware smoothing", LossKind::LabelAwareSmoothing.config()),
        (
            "influence-balanced, deferred",
            DeferredConfig::new(ce(), InfluenceBalancedConfig::new().with_alpha(1.0), late).into(),
        ),
        ("Poly-1", LossKind::Poly1.config()),
        (
            "generalised cross entropy, q = .3",
            GeneralizedCrossEntropyConfig::new().with_q(0.3).into(),
        ),
        (
            "symmetric cross entropy, α = 1, β = .1",
            SymmetricCrossEntropyConfig::new().with_alpha(1.0).with_beta(0.1).into(),
        ),
        ("asymmetric, single-label", LossKind::AsymmetricSingle.config()),
        ("binary cross entropy, one against all", BceConfig::new().into()),
        ("sigmoid focal", SigmoidFocalConfig::new().into()),
        ("asymmetric, one against all", AsymmetricConfig::new().into()),
        ("equalisation, λ = .002", EqualizationConfig::new().with_threshold(0.002).into()),
        ("equalisation v2", EqualizationV2Config::new().into()),
        ("GHM-C", LossKind::GhmC.config()),
        ("distribution-balanced", LossKind::DistributionBalanced.config()),
    ]
}

fn main() -> Result<(), BoxError> {
    let mut args = Args::parse();
    if args.fast {
        (args.seeds, args.epochs) = (1, 2);
    }
    let splits = long_tail(args.factor)?;
    let base = Recipe {
        epochs: args.epochs,
        patience: args.epochs,
        batch_size: 64,
        select: Metric::BalancedAccuracy,
        ..Recipe::default()
    };
    let profile = &splits.profile;
    let count = |segment| profile.segments().iter().filter(|&&s| s == segment).count();
    println!(
        "{} examples, {} classes (head {}, mid {}, tail {}), imbalance factor {:.0}\n",
        profile.total(),
        profile.classes(),
        count(Segment::Head),
        count(Segment::Mid),
        count(Segment::Tail),
        profile.imbalance_factor(),
    );
    println!("| loss | accuracy | head | mid | tail |\n| --- | ---: | ---: | ---: | ---: |");
    let all = treatments(args.epochs);
    for (name, loss) in all.into_iter().take(if args.fast { 3 } else { usize::MAX }) {
        let metrics = [Metric::Accuracy, Metric::HeadRecall, Metric::MidRecall, Metric::TailRecall];
        let mut seen = vec![Vec::new(); metrics.len()];
        for seed in 0..args.seeds {
            let recipe = Recipe { seed, loss: loss.clone(), ..base.clone() };
            let trained = train(&recipe, &splits, &device::from_env()?, &TrainOptions::new())?;
            let tally = trained.model.evaluate(&splits.test)?.tally();
            for (values, metric) in seen.iter_mut().zip(metrics) {
                values.push(tally.metric(metric, &splits.profile).ok_or("undefined metric")?);
            }
        }
        let cells = seen.iter().map(|values| {
            let n = values.len() as f64;
            let mean = values.iter().sum::<f64>() / n;
            let spread =
                values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / (n - 1.0).max(1.0);
            format!("{:.1} ± {:.1}", 100.0 * mean, 100.0 * spread.sqrt())
        });
        println!("| {name} | {} |", cells.collect::<Vec<_>>().join(" | "));
    }
    Ok(())
}
