//! The card of a model: what it is, on what it was trained, how well it does.

use std::fmt::Write;

use counterweight_core::{ClassProfile, LabelEncoder};
use counterweight_metrics::{Metric, Predictions};
use serde::{Deserialize, Serialize};

use crate::{Recipe, Result};

/// The metrics a card shows.
const METRICS: [Metric; 9] = [
    Metric::Accuracy,
    Metric::BalancedAccuracy,
    Metric::MacroF1,
    Metric::HeadRecall,
    Metric::MidRecall,
    Metric::TailRecall,
    Metric::WorstRecall,
    Metric::LogLoss,
    Metric::Ece,
];

/// How well a model does on labelled texts, as its card shows it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Evaluation {
    /// What it was evaluated on.
    pub name: String,
    /// The number of texts.
    pub texts: usize,
    /// The metrics that are defined there, with their values.
    pub metrics: Vec<(Metric, f64)>,
}

impl Evaluation {
    pub(crate) fn new(name: &str, predictions: &Predictions, profile: &ClassProfile) -> Self {
        let tally = predictions.tally();
        let value = |metric| {
            let value = tally.metric(metric, profile).filter(|value| value.is_finite())?;
            Some((metric, value))
        };
        Self {
            name: name.to_owned(),
            texts: predictions.len(),
            metrics: METRICS.into_iter().filter_map(value).collect(),
        }
    }
}

/// The card in Markdown.
pub(crate) fn card(
    recipe: &Recipe,
    labels: &LabelEncoder,
    profile: &ClassProfile,
    weights: usize,
    evaluations: &[Evaluation],
) -> Result<String> {
    let mut card = String::from("# A classifier of texts\n\n");
    // Writing to a string cannot fail.
    let _ = writeln!(
        card,
        "{} classes, encoder: {}, loss: {}, {weights} weights. Trained on {} texts, imbalance factor {:.1}.",
        profile.classes(),
        recipe.encoder.name(),
        recipe.loss.kind(),
        profile.total(),
        profile.imbalance_factor(),
    );
    if !evaluations.is_empty() {
        card.push_str("\n## Evaluation\n\n| | texts |");
        METRICS.iter().for_each(|metric| _ = write!(card, " {metric} |"));
        card.push_str("\n| --- | ---: |");
        card.push_str(&" ---: |".repeat(METRICS.len()));
        card.push('\n');
        for evaluation in evaluations {
            let _ = write!(card, "| {} | {} |", cell(&evaluation.name), evaluation.texts);
            for metric in METRICS {
                let value = evaluation.metrics.iter().find(|(known, _)| *known == metric);
                let _ = match value {
                    Some((_, value)) => write!(card, " {value:.3} |"),
                    None => write!(card, " |"),
                };
            }
            card.push('\n');
        }
    }
    card.push_str("\n## Training texts\n\n| class | texts | segment |\n| --- | ---: | --- |\n");
    for class in profile.order() {
        let name = cell(labels.name(class).unwrap_or_default());
        let (count, segment) = (profile.counts()[class], profile.segment(class));
        let _ = writeln!(card, "| {name} | {count} | {segment} |");
    }
    let _ = write!(card, "\n## Recipe\n\n```toml\n{}```\n", recipe.to_toml()?);
    Ok(card)
}

/// A name as a cell of a table.
fn cell(name: &str) -> String {
    name.replace('|', "\\|").replace(['\n', '\r'], " ")
}
