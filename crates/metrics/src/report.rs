use std::fmt;

use counterweight_core::{ClassProfile, Segment};
use serde::Serialize;

use crate::ConfusionMatrix;
use crate::confusion::mean;

/// Precision, recall, F1 and support of one class or group of classes; `None` where
/// undefined.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ClassRow {
    /// The class or group.
    pub name: String,
    /// Its place in the tail, for a class.
    pub segment: Option<Segment>,
    /// `TP / (TP + FP)`.
    pub precision: Option<f64>,
    /// `TP / (TP + FN)`.
    pub recall: Option<f64>,
    /// Their harmonic mean.
    pub f1: Option<f64>,
    /// Examples.
    pub support: u64,
}

/// The table scikit-learn's users know, with head, mid and tail rows.
///
/// `Display` gives aligned text, [`to_markdown`](Self::to_markdown) Markdown, serde
/// JSON. Classes are listed from most to least frequent in training; averages are over
/// the classes where the value is defined.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ClassificationReport {
    classes: Vec<ClassRow>,
    averages: Vec<ClassRow>,
}

impl ClassificationReport {
    /// Builds the report; names and segments are the training profile's.
    ///
    /// # Panics
    /// When the profile has fewer classes than the matrix.
    pub fn new(matrix: &ConfusionMatrix, profile: &ClassProfile) -> Self {
        let row = |class: usize| ClassRow {
            name: profile.names()[class].clone(),
            segment: Some(profile.segment(class)),
            precision: matrix.precision(class),
            recall: matrix.recall(class),
            f1: matrix.f1(class),
            support: matrix.support(class),
        };
        let order = profile.order().into_iter().filter(|&c| c < matrix.classes());
        let classes: Vec<ClassRow> = order.map(row).collect();
        let average = |name: &str, keep: &dyn Fn(&ClassRow) -> bool| {
            let of = |f: &dyn Fn(&ClassRow) -> Option<f64>| {
                mean(classes.iter().filter(|r| keep(r)).filter_map(f))
            };
            ClassRow {
                name: name.to_owned(),
                segment: None,
                precision: of(&|r| r.precision),
                recall: of(&|r| r.recall),
                f1: of(&|r| r.f1),
                support: classes.iter().filter(|r| keep(r)).map(|r| r.support).sum(),
            }
        };
        let mut averages = vec![average("macro avg", &|_| true)];
        for segment in Segment::ALL {
            averages.push(average(&segment.to_string(), &|r| r.segment == Some(segment)));
        }
        Self { classes, averages }
    }

    /// One row per class.
    pub fn classes(&self) -> &[ClassRow] {
        &self.classes
    }

    /// Macro average, head, mid, tail.
    pub fn averages(&self) -> &[ClassRow] {
        &self.averages
    }

    /// The report as a Markdown table.
    pub fn to_markdown(&self) -> String {
        let mut out = String::from("| class | segment | precision | recall | f1 | support |\n");
        out.push_str("| --- | --- | ---: | ---: | ---: | ---: |\n");
        for row in self.classes.iter().chain(&self.averages) {
            let segment = row.segment.map_or(String::new(), |s| s.to_string());
            out.push_str(&format!(
                "| {} | {segment} | {} | {} | {} | {} |\n",
                row.name,
                cell(row.precision),
                cell(row.recall),
                cell(row.f1),
                row.support
            ));
        }
        out
    }
}

fn cell(value: Option<f64>) -> String {
    value.map_or_else(|| "-".to_owned(), |v| format!("{v:.3}"))
}

impl fmt::Display for ClassificationReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all = || self.classes.iter().chain(&self.averages);
        let width = all().map(|r| r.name.chars().count()).max().unwrap_or(0).max(5);
        writeln!(
            f,
            "{:<width$}  {:<7}  {:>9}  {:>7}  {:>7}  {:>7}",
            "class", "segment", "precision", "recall", "f1", "support"
        )?;
        for (i, row) in all().enumerate() {
            if i == self.classes.len() {
                writeln!(f)?;
            }
            let segment = row.segment.map_or(String::new(), |s| s.to_string());
            writeln!(
                f,
                "{:<width$}  {segment:<7}  {:>9}  {:>7}  {:>7}  {:>7}",
                row.name,
                cell(row.precision),
                cell(row.recall),
                cell(row.f1),
                row.support
            )?;
        }
        Ok(())
    }
}
