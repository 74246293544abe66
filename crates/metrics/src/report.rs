use std::fmt;

use counterweight_core::{ClassProfile, Segment, ensure_length};
use serde::{Deserialize, Serialize};

use crate::table::Table;
use crate::{Average, ClassCounts, ClassScore, Result};

/// The scores of one class or group of classes; `None` where undefined.
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
    /// `TN / (TN + FP)`.
    pub specificity: Option<f64>,
    /// Harmonic mean of precision and recall.
    pub f1: Option<f64>,
    /// Geometric mean of recall and specificity.
    pub g_mean: Option<f64>,
    /// [`ClassScore::IndexBalancedAccuracy`] with α = 0.1.
    pub index_balanced_accuracy: Option<f64>,
    /// The weight of the examples.
    pub support: f64,
}

/// Which scores a report shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Columns {
    /// Precision, recall, F1 and support, as scikit-learn's `classification_report`.
    #[default]
    Standard,
    /// Also specificity, G-mean and index balanced accuracy, as imbalanced-learn's
    /// `classification_report_imbalanced`.
    Imbalanced,
}

/// The table scikit-learn's and imbalanced-learn's users know, with head, mid and tail rows.
///
/// `Display` and [`to_text`](Self::to_text) give aligned text, the other methods Markdown, CSV,
/// HTML and JSON. Classes are listed from most to least frequent in training; averages are over
/// the classes where the value is defined, and what is undefined reads `n/a`.
///
/// ```
/// use counterweight_core::ClassProfile;
/// use counterweight_metrics::{ClassCounts, ClassificationReport, Columns};
///
/// let profile = ClassProfile::from_counts([90, 10])?;
/// let counts = ClassCounts::from_labels(&[0, 0, 0, 1], &[0, 0, 1, 1], 2)?;
/// let report = ClassificationReport::new(&counts, &profile)?;
/// assert_eq!(report.accuracy(), Some(0.75));
/// println!("{}", report.to_text(Columns::Imbalanced));
/// # Ok::<(), counterweight_metrics::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ClassificationReport {
    classes: Vec<ClassRow>,
    averages: Vec<ClassRow>,
    accuracy: Option<f64>,
}

impl ClassificationReport {
    /// Builds the report; names and segments are the training profile's.
    ///
    /// # Errors
    /// When the profile has other classes than the counts.
    pub fn new(counts: &ClassCounts, profile: &ClassProfile) -> Result<Self> {
        ensure_length("counts", counts.classes(), profile.classes())?;
        let order = profile.order();
        let row = |&class: &usize| {
            let segment = Some(profile.segment(class));
            ClassRow::new(&profile.names()[class], segment, counts.support(class), |score| {
                counts.score(score, class)
            })
        };
        let classes = order.iter().map(row).collect();
        let average = |name, average| {
            ClassRow::new(name, None, counts.total(), |score| counts.average(score, average))
        };
        let mut averages =
            vec![average("macro avg", Average::Macro), average("weighted avg", Average::Weighted)];
        for segment in Segment::ALL {
            let members = || order.iter().filter(|&&class| profile.segment(class) == segment);
            let support = members().map(|&class| counts.support(class)).sum();
            averages.push(ClassRow::new(&segment.to_string(), None, support, |score| {
                crate::counts::mean(members().filter_map(|&class| counts.score(score, class)))
            }));
        }
        Ok(Self { classes, averages, accuracy: counts.accuracy() })
    }

    /// One row per class.
    pub fn classes(&self) -> &[ClassRow] {
        &self.classes
    }

    /// Macro average, average by support, and the means of head, mid and tail.
    pub fn averages(&self) -> &[ClassRow] {
        &self.averages
    }

    /// Share of correct predictions.
    pub fn accuracy(&self) -> Option<f64> {
        self.accuracy
    }

    /// Aligned text.
    pub fn to_text(&self, columns: Columns) -> String {
        self.table(columns).text()
    }

    /// A Markdown table.
    pub fn to_markdown(&self, columns: Columns) -> String {
        self.table(columns).markdown()
    }

    /// Comma-separated values, undefined ones empty.
    pub fn to_csv(&self, columns: Columns) -> String {
        self.table(columns).csv()
    }

    /// An HTML table.
    pub fn to_html(&self, columns: Columns) -> String {
        self.table(columns).html()
    }

    /// Everything as JSON, undefined values `null`.
    ///
    /// # Errors
    /// None in practice.
    pub fn to_json(&self) -> Result<String> {
        serde_json::to_string_pretty(self).map_err(|e| crate::Error::Json { reason: e.to_string() })
    }

    fn table(&self, columns: Columns) -> Table {
        let all = columns == Columns::Imbalanced;
        let mut header = vec!["class", "segment", "precision", "recall"];
        if all {
            header.push("specificity");
        }
        header.push("f1");
        if all {
            header.extend(["g-mean", "iba"]);
        }
        header.push("support");
        let mut table = Table::new(2, header);
        for row in self.classes.iter().chain(&self.averages) {
            if row.segment.is_none() && table.gap.is_none() {
                table.gap = Some(table.rows.len());
                table.rows.push(self.accuracy_row(all));
            }
            let segment = row.segment.map_or(String::new(), |s| s.to_string());
            let mut cells = vec![Some(row.name.clone()), Some(segment)];
            cells.extend([number(row.precision), number(row.recall)]);
            if all {
                cells.push(number(row.specificity));
            }
            cells.push(number(row.f1));
            if all {
                cells.extend([number(row.g_mean), number(row.index_balanced_accuracy)]);
            }
            cells.push(Some(row.support.to_string()));
            table.rows.push(cells);
        }
        table
    }

    /// Accuracy stands in the F1 column, as scikit-learn has it.
    fn accuracy_row(&self, all: bool) -> Vec<Option<String>> {
        let empty = || Some(String::new());
        let mut cells = vec![Some("accuracy".to_owned()), empty(), empty(), empty()];
        if all {
            cells.push(empty());
        }
        cells.push(number(self.accuracy));
        if all {
            cells.extend([empty(), empty()]);
        }
        cells.push(Some(self.classes.iter().map(|row| row.support).sum::<f64>().to_string()));
        cells
    }
}

const IBA: ClassScore = ClassScore::IndexBalancedAccuracy(0.1);

impl ClassRow {
    fn new(
        name: &str,
        segment: Option<Segment>,
        support: f64,
        score: impl Fn(ClassScore) -> Option<f64>,
    ) -> Self {
        Self {
            name: name.to_owned(),
            segment,
            precision: score(ClassScore::Precision),
            recall: score(ClassScore::Recall),
            specificity: score(ClassScore::Specificity),
            f1: score(ClassScore::F1),
            g_mean: score(ClassScore::GMean),
            index_balanced_accuracy: score(IBA),
            support,
        }
    }
}

fn number(value: Option<f64>) -> Option<String> {
    value.map(|v| format!("{v:.3}"))
}

impl fmt::Display for ClassificationReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_text(Columns::Standard))
    }
}
