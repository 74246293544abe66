//! The report as one page with its pictures.

use std::path::Path;

use counterweight_core::plot::Series;
use counterweight_core::{ClassProfile, Segment, plot, write_atomic};
use counterweight_metrics::{
    ClassRow, Columns, ConfusionMatrix, Interval, Predictions, ScoreCurve,
};

use super::{CompareReport, cell, rarest};
use crate::{Error, Result};

/// Points of a curve that are drawn; more cannot be told apart.
const POINTS: usize = 300;
/// Classes up to which a confusion matrix can be read.
const READABLE: usize = 40;

/// What the pictures of one model are drawn from.
#[derive(Debug, Clone)]
pub(super) struct Pictures {
    /// Rows of the matrix divided by their sums, in profile order.
    confusion: Vec<Vec<f64>>,
    reliability: Vec<(f64, f64)>,
    roc: Vec<(f64, f64)>,
    precision_recall: Vec<(f64, f64)>,
    /// Precision, recall and F1 by threshold.
    thresholds: [Vec<(f64, f64)>; 3],
}

impl Pictures {
    pub(super) fn new(predictions: &Predictions, profile: &ClassProfile) -> Result<Self> {
        let tally = predictions.tally();
        // With two classes the curve of the rarer, with more all classes pooled.
        let curve = if profile.classes() == 2 {
            predictions.curve(rarest(profile))?
        } else {
            predictions.micro_curve()?
        };
        let table = tally.calibration().table();
        let (roc, precision_recall, thresholds) = lines(&curve);
        Ok(Self {
            confusion: shares(tally.confusion(), profile),
            reliability: table.map(|bin| (bin.confidence, bin.accuracy)).collect(),
            roc,
            precision_recall,
            thresholds,
        })
    }
}

fn shares(matrix: &ConfusionMatrix, profile: &ClassProfile) -> Vec<Vec<f64>> {
    let order = profile.order();
    if order.len() > READABLE {
        return Vec::new();
    }
    let counts = matrix.counts();
    let share = |t: usize, p: usize| matrix.get(t, p) / counts.support(t).max(f64::MIN_POSITIVE);
    order.iter().map(|&t| order.iter().map(|&p| share(t, p)).collect()).collect()
}

type Lines = (Vec<(f64, f64)>, Vec<(f64, f64)>, [Vec<(f64, f64)>; 3]);

/// ROC, precision-recall and threshold curves, thinned.
fn lines(curve: &ScoreCurve) -> Lines {
    let (positives, negatives) = curve.totals();
    let all = curve.points().count();
    let step = all.div_ceil(POINTS).max(1);
    let mut lines: Lines = (vec![(0.0, 0.0)], Vec::new(), Default::default());
    for (i, at) in curve.points().enumerate() {
        // The last point closes the curve.
        if i % step != 0 && i + 1 != all {
            continue;
        }
        let (tp, fp) = (at.true_positives, at.false_positives);
        if positives > 0.0 && negatives > 0.0 {
            lines.0.push((fp / negatives, tp / positives));
        }
        if positives > 0.0 && tp + fp > 0.0 {
            let (precision, recall) = (tp / (tp + fp), tp / positives);
            lines.1.push((recall, precision));
            let f1 = 2.0 * tp / (tp + fp + positives);
            for (line, value) in lines.2.iter_mut().zip([precision, recall, f1]) {
                line.push((at.threshold.clamp(0.0, 1.0), value));
            }
        }
    }
    lines
}

impl CompareReport {
    /// A standalone page with the table, pictures and both classification reports.
    ///
    /// `pictures` are further titles and SVGs (from [`counterweight_core::plot`]).
    ///
    /// # Errors
    /// When a picture cannot be drawn.
    pub fn html(
        &self,
        title: &str,
        profile: &ClassProfile,
        pictures: &[(String, String)],
    ) -> Result<String> {
        let mut body = format!("<h1>{}</h1><h2>Before and after</h2>", escape(title));
        body.push_str(&self.table());
        for test in self.tests() {
            body.push_str(&format!("<p>{}</p>", escape(&test)));
        }
        body.push_str(&self.group_tables());
        body.push_str("<h2>Recall by segment and class</h2>");
        let paired = |before: &[ClassRow], after: &[ClassRow]| -> Vec<(String, f64, f64)> {
            let rows = before.iter().zip(after);
            rows.filter_map(|(b, a)| Some((b.name.clone(), b.recall?, a.recall?))).collect()
        };
        let mut segments = paired(self.before.averages(), self.after.averages());
        segments.retain(|row| Segment::ALL.iter().any(|s| s.to_string() == row.0));
        body.push_str(&plot::before_after("Recall of head, mid and tail", &segments)?);
        let classes = paired(self.before.classes(), self.after.classes());
        if classes.len() <= READABLE {
            body.push_str(&plot::before_after("Recall by class, most frequent first", &classes)?);
        }
        body.push_str(&self.curve_pictures(profile)?);
        body.push_str("<h2>Training data</h2>");
        body.push_str(&plot::profile(profile)?);
        for (title, svg) in pictures {
            body.push_str(&format!("<h2>{}</h2>{svg}", escape(title)));
        }
        for (title, report) in [("before", &self.before), ("after", &self.after)] {
            let table = report.to_html(Columns::Imbalanced);
            body.push_str(&format!("<h2>Classes {title}</h2>{table}"));
        }
        Ok(format!(
            "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>{}</title><style>{STYLE}</style></head><body>{body}</body></html>",
            escape(title)
        ))
    }

    /// Writes a page so that no partial file can be seen.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write_html(path: impl AsRef<Path>, html: &str) -> Result<()> {
        use std::io::Write;
        write_atomic(path, |w| w.write_all(html.as_bytes())).map_err(Error::Core)
    }

    fn group_tables(&self) -> String {
        let Some((before, after)) = &self.groups else { return String::new() };
        let mut out = String::from(
            "<h2>Accuracy by group</h2><table><tr><th>group</th><th>rows</th><th>before</th><th>after</th></tr>",
        );
        for (b, a) in before.groups.iter().zip(&after.groups) {
            let (name, rows) = (escape(&b.group), b.rows);
            let (b, a) = (cell(b.value), cell(a.value));
            out.push_str(&format!(
                "<tr><td>{name}</td><td>{rows}</td><td>{b}</td><td>{a}</td></tr>"
            ));
        }
        let (b, a) = (cell(before.gap()), cell(after.gap()));
        out.push_str(&format!("<tr><td>gap</td><td></td><td>{b}</td><td>{a}</td></tr></table>"));
        out.push_str(
            "<h2>Gap between groups</h2><table><tr><th>of</th><th>before</th><th>after</th></tr>",
        );
        for (name, before, after) in self.parities() {
            let (b, a) = (cell(before), cell(after));
            out.push_str(&format!("<tr><td>{name}</td><td>{b}</td><td>{a}</td></tr>"));
        }
        out + "</table>"
    }

    fn curve_pictures(&self, profile: &ClassProfile) -> Result<String> {
        let [before, after] = &self.pictures;
        let of = if profile.classes() == 2 {
            format!("class {}", profile.names()[rarest(profile)])
        } else {
            "all classes pooled, each against the rest".to_owned()
        };
        let both = |points: fn(&Pictures) -> &Vec<(f64, f64)>| {
            [("before", before), ("after", after)].map(|(name, pictures)| Series {
                name: name.to_owned(),
                points: points(pictures).clone(),
            })
        };
        let by_threshold = |name: &str, pictures: &Pictures| {
            let names = ["precision", "recall", "F1"];
            let series = names
                .into_iter()
                .zip(&pictures.thresholds)
                .map(|(name, points)| Series { name: name.to_owned(), points: points.clone() });
            plot::thresholds(&format!("By threshold, {name}"), &series.collect::<Vec<_>>())
        };
        let mut out = format!("<h2>Curves</h2><p>{}</p>", escape(&of));
        out.push_str(&plot::roc(&both(|p| &p.roc))?);
        out.push_str(&plot::precision_recall(&both(|p| &p.precision_recall))?);
        out.push_str(&by_threshold("before", before)?);
        out.push_str(&by_threshold("after", after)?);
        out.push_str("<h2>Confidence of the predicted class</h2>");
        out.push_str(&plot::reliability(&both(|p| &p.reliability))?);
        if !before.confusion.is_empty() {
            let names: Vec<String> =
                profile.order().into_iter().map(|c| profile.names()[c].clone()).collect();
            out.push_str("<h2>Confusion, percent of each true class</h2>");
            out.push_str(&plot::confusion("before", &names, &before.confusion)?);
            out.push_str(&plot::confusion("after", &names, &after.confusion)?);
        }
        Ok(out)
    }

    fn table(&self) -> String {
        let mut out = String::from(
            "<table><tr><th>metric</th><th>before</th><th>after</th><th>difference</th></tr>",
        );
        for line in self.lines() {
            let [b, a, d] = line.values;
            let better = (d.value > 0.0) == line.higher_is_better;
            let class = match (d.excludes_zero(), better) {
                (false, _) => "",
                (true, true) => " class=\"better\"",
                (true, false) => " class=\"worse\"",
            };
            let plain =
                |v: Interval| format!("<td>{:.3} [{:.3}, {:.3}]</td>", v.value, v.low, v.high);
            out.push_str(&format!(
                "<tr><td>{}</td>{}{}<td{class}>{:+.3} [{:+.3}, {:+.3}]</td></tr>",
                line.name,
                plain(b),
                plain(a),
                d.value,
                d.low,
                d.high
            ));
        }
        out.push_str("</table>");
        out
    }
}

const STYLE: &str = "body{font:15px/1.5 system-ui,sans-serif;max-width:820px;margin:2em auto;padding:0 1em}\
table{border-collapse:collapse}td,th{padding:.2em .8em;border-bottom:1px solid #ddd;text-align:right}\
td:first-child,th:first-child{text-align:left}.better{color:#176b2c}.worse{color:#a32116}\
svg{max-width:100%;height:auto}pre{font-size:13px;overflow-x:auto}";

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
