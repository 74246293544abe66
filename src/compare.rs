//! Before and after.

use std::fmt;
use std::path::Path;

use counterweight_core::{ClassProfile, plot, write_atomic};
use counterweight_metrics::{
    Bootstrap, ClassificationReport, Comparison, GroupReport, Metric, Predictions,
};
use serde::Serialize;

use crate::{Error, Result};

/// What a treatment changed on the same test rows: every metric with its interval and the
/// paired difference, recall by class, and fairness by group.
///
/// `Display` prints the table; [`html`](Self::html) adds pictures.
#[derive(Debug, Clone, Serialize)]
pub struct CompareReport {
    /// One line per metric.
    pub metrics: Vec<Comparison>,
    /// The classes before.
    pub before: ClassificationReport,
    /// The classes after.
    pub after: ClassificationReport,
    /// Accuracy by group before and after, if groups were given.
    pub groups: Option<(GroupReport, GroupReport)>,
}

/// Compares two sets of predictions on the same rows, with 95 % intervals from 1000
/// stratified bootstrap resamples.
///
/// # Errors
/// When the rows differ.
pub fn compare(
    before: &Predictions,
    after: &Predictions,
    profile: &ClassProfile,
) -> Result<CompareReport> {
    Ok(CompareReport {
        metrics: Bootstrap::new().compare(before, after, profile)?,
        before: ClassificationReport::new(&before.tally().counts(), profile)?,
        after: ClassificationReport::new(&after.tally().counts(), profile)?,
        groups: None,
    })
}

impl CompareReport {
    /// Adds accuracy by group; `groups` names the group of each row.
    ///
    /// # Errors
    /// When `groups` has another length.
    pub fn with_groups<S: AsRef<str>>(
        mut self,
        before: &Predictions,
        after: &Predictions,
        groups: &[S],
        profile: &ClassProfile,
    ) -> Result<Self> {
        let report = |p| GroupReport::new(Metric::Accuracy, p, groups, profile);
        self.groups = Some((report(before)?, report(after)?));
        Ok(self)
    }

    /// A metric's line.
    pub fn metric(&self, metric: Metric) -> Option<&Comparison> {
        self.metrics.iter().find(|c| c.metric == metric)
    }

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
        let recalls: Vec<(String, f64, f64)> = self
            .before
            .classes()
            .iter()
            .zip(self.after.classes())
            .filter_map(|(b, a)| Some((b.name.clone(), b.recall?, a.recall?)))
            .collect();
        let mut body = format!("<h1>{}</h1><h2>Before and after</h2>", escape(title));
        body.push_str(&self.table());
        if let Some((before, after)) = &self.groups {
            body.push_str("<h2>Accuracy by group</h2><table><tr><th>group</th><th>rows</th><th>before</th><th>after</th></tr>");
            for (b, a) in before.groups.iter().zip(&after.groups) {
                let (name, rows) = (escape(&b.group), b.rows);
                let (b, a) = (cell(b.value), cell(a.value));
                body.push_str(&format!(
                    "<tr><td>{name}</td><td>{rows}</td><td>{b}</td><td>{a}</td></tr>"
                ));
            }
            let (b, a) = (cell(before.gap()), cell(after.gap()));
            body.push_str(&format!(
                "<tr><td>gap</td><td></td><td>{b}</td><td>{a}</td></tr></table>"
            ));
        }
        body.push_str("<h2>Recall by class, most frequent first</h2>");
        body.push_str(&plot::before_after("Recall on test", &recalls)?);
        body.push_str("<h2>Training data</h2>");
        body.push_str(&plot::profile(profile)?);
        for (title, svg) in pictures {
            body.push_str(&format!("<h2>{}</h2>{svg}", escape(title)));
        }
        for (title, report) in [("before", &self.before), ("after", &self.after)] {
            let text = escape(&report.to_string());
            body.push_str(&format!("<h2>Classes {title}</h2><pre>{text}</pre>"));
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

    fn table(&self) -> String {
        let mut out = String::from(
            "<table><tr><th>metric</th><th>before</th><th>after</th><th>difference</th></tr>",
        );
        for line in &self.metrics {
            let d = line.difference;
            let better = (d.value > 0.0) == line.metric.higher_is_better();
            let class = match (d.excludes_zero(), better) {
                (false, _) => "",
                (true, true) => " class=\"better\"",
                (true, false) => " class=\"worse\"",
            };
            out.push_str(&format!(
                "<tr><td>{}</td><td>{:.3} [{:.3}, {:.3}]</td><td>{:.3} [{:.3}, {:.3}]</td><td{class}>{:+.3} [{:+.3}, {:+.3}]</td></tr>",
                line.metric,
                line.before.value,
                line.before.low,
                line.before.high,
                line.after.value,
                line.after.low,
                line.after.high,
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

fn cell(value: Option<f64>) -> String {
    value.map_or_else(|| "-".to_owned(), |v| format!("{v:.3}"))
}

impl fmt::Display for CompareReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{:<18} {:>6} {:<16} {:>6} {:<16} {:>6} {:<18}",
            "metric", "before", "", "after", "", "diff", ""
        )?;
        for line in &self.metrics {
            let (b, a, d) = (line.before, line.after, line.difference);
            writeln!(
                f,
                "{:<18} {:>6.3} [{:.3}, {:.3}]   {:>6.3} [{:.3}, {:.3}]   {:>+6.3} [{:+.3}, {:+.3}]{}",
                line.metric,
                b.value,
                b.low,
                b.high,
                a.value,
                a.low,
                a.high,
                d.value,
                d.low,
                d.high,
                if d.excludes_zero() { " *" } else { "" }
            )?;
        }
        if let Some((before, after)) = &self.groups {
            writeln!(
                f,
                "\n{:<18} {:>6} {:>8} {:>8}",
                "accuracy by group", "rows", "before", "after"
            )?;
            for (b, a) in before.groups.iter().zip(&after.groups) {
                let (group, rows) = (&b.group, b.rows);
                writeln!(f, "{group:<18} {rows:>6} {:>8} {:>8}", cell(b.value), cell(a.value))?;
            }
            writeln!(
                f,
                "{:<18} {:>6} {:>8} {:>8}",
                "gap",
                "",
                cell(before.gap()),
                cell(after.gap())
            )?;
        }
        Ok(())
    }
}
