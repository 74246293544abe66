//! Before and after.

mod html;

use std::fmt;

use counterweight_core::{ClassProfile, Segment};
use counterweight_metrics::{
    Bootstrap, ClassificationReport, Comparison, CurveComparison, CurveMetric, DeLong, DeLongTest,
    Disparity, FairnessReport, GroupReport, McNemar, Metric, Predictions,
};
use serde::Serialize;

use crate::Result;

/// What a treatment changed on the same test rows: every metric with its interval and the
/// paired difference, tests of the difference, recall by class, and fairness by group.
///
/// `Display` prints the tables, serde gives JSON, [`html`](Self::html) a page with pictures.
#[derive(Debug, Clone, Serialize)]
pub struct CompareReport {
    /// One line per metric.
    pub metrics: Vec<Comparison>,
    /// Which rows only one of both gets right.
    pub mcnemar: McNemar,
    /// With two classes the AUROC and average precision of the rarer one; else none.
    pub curves: Vec<CurveComparison>,
    /// With two classes DeLong's test of the AUROCs.
    pub delong: Option<DeLongTest>,
    /// The classes before.
    pub before: ClassificationReport,
    /// The classes after.
    pub after: ClassificationReport,
    /// Accuracy by group before and after, if groups were given.
    pub groups: Option<(GroupReport, GroupReport)>,
    /// Parity between groups before and after, if groups were given: of the rarer of two
    /// classes, or of being in a tail class.
    pub fairness: Option<(FairnessReport, FairnessReport)>,
    #[serde(skip)]
    pictures: [html::Pictures; 2],
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
    CompareReport::new(before, after, profile, &Bootstrap::new())
}

impl CompareReport {
    /// Compares with a bootstrap of your choice.
    ///
    /// # Errors
    /// When the rows differ, or for a bootstrap with parameters out of range.
    pub fn new(
        before: &Predictions,
        after: &Predictions,
        profile: &ClassProfile,
        bootstrap: &Bootstrap,
    ) -> Result<Self> {
        let metrics = bootstrap.compare(before, after, profile)?;
        let report = |p: &Predictions| ClassificationReport::new(&p.tally().counts(), profile);
        let (mut curves, mut delong) = (Vec::new(), None);
        if profile.classes() == 2 {
            let rare = rarest(profile);
            let scores = |p: &Predictions| p.probabilities().column(rare).to_vec();
            let truth: Vec<bool> = before.truth().iter().map(|&id| id == rare).collect();
            let (first, second) = (scores(before), scores(after));
            for metric in [CurveMetric::Auroc, CurveMetric::AveragePrecision] {
                curves.extend(bootstrap.compare_curves(metric, &first, &second, &truth)?);
            }
            delong = DeLong::test(&first, &second, &truth)?;
        }
        Ok(Self {
            metrics,
            mcnemar: McNemar::new(before, after)?,
            curves,
            delong,
            before: report(before)?,
            after: report(after)?,
            groups: None,
            fairness: None,
            pictures: [html::Pictures::new(before, profile)?, html::Pictures::new(after, profile)?],
        })
    }

    /// Adds accuracy by group and the parities between groups; `groups` names the group of each
    /// row.
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
        let parity = |p: &Predictions| {
            if profile.classes() == 2 {
                return FairnessReport::of_class(p, rarest(profile), groups);
            }
            let tail = |ids: &[usize]| -> Vec<bool> {
                ids.iter().map(|&id| profile.segment(id) == Segment::Tail).collect()
            };
            FairnessReport::new(&tail(p.truth()), &tail(p.predicted()), groups)
        };
        self.fairness = Some((parity(before)?, parity(after)?));
        Ok(self)
    }

    /// A metric's line.
    pub fn metric(&self, metric: Metric) -> Option<&Comparison> {
        self.metrics.iter().find(|c| c.metric == metric)
    }

    /// Every line of the table: name, before, after and difference, and whether more is better.
    fn lines(&self) -> impl Iterator<Item = Line> {
        let scores = self.metrics.iter().map(|c| Line {
            name: c.metric.name(),
            values: [c.before, c.after, c.difference],
            higher_is_better: c.metric.higher_is_better(),
        });
        scores.chain(self.curves.iter().map(|c| Line {
            name: c.metric.name(),
            values: [c.before, c.after, c.difference],
            higher_is_better: true,
        }))
    }

    /// The tests of the difference, in words.
    fn tests(&self) -> Vec<String> {
        let McNemar { only_before, only_after } = self.mcnemar;
        let mut out = vec![format!(
            "McNemar: right only before {only_before}, only after {only_after}, mid-p {}",
            p_value(self.mcnemar.mid_p())
        )];
        if let Some(test) = self.delong {
            let (gap, p) = (test.difference, p_value(test.p_value));
            out.push(format!("DeLong: AUROC {gap:+.4}, p {p}"));
        }
        out
    }

    /// The parities between groups: name, before, after.
    fn parities(&self) -> Vec<(&'static str, Option<f64>, Option<f64>)> {
        let Some((before, after)) = &self.fairness else { return Vec::new() };
        type Parity = fn(&FairnessReport) -> Option<Disparity>;
        let all: [(&str, Parity); 5] = [
            ("demographic parity", FairnessReport::demographic_parity),
            ("equal opportunity", FairnessReport::equal_opportunity),
            ("equalised odds", FairnessReport::equalised_odds),
            ("predictive parity", FairnessReport::predictive_parity),
            ("group calibration", FairnessReport::calibration_parity),
        ];
        let gap = |parity: Parity, of| parity(of).map(|d| d.difference);
        let lines = all.into_iter().map(|(name, f)| (name, gap(f, before), gap(f, after)));
        lines.filter(|(_, b, a)| b.is_some() || a.is_some()).collect()
    }
}

struct Line {
    name: &'static str,
    values: [counterweight_metrics::Interval; 3],
    higher_is_better: bool,
}

/// The class with the fewest examples.
fn rarest(profile: &ClassProfile) -> usize {
    profile.order().last().copied().unwrap_or(0)
}

fn p_value(p: f64) -> String {
    if p < 1e-4 { "< 0.0001".to_owned() } else { format!("{p:.4}") }
}

fn cell(value: Option<f64>) -> String {
    value.map_or_else(|| "n/a".to_owned(), |v| format!("{v:.3}"))
}

impl fmt::Display for CompareReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{:<18} {:>6} {:<16} {:>6} {:<16} {:>6} {:<18}",
            "metric", "before", "", "after", "", "diff", ""
        )?;
        for line in self.lines() {
            let [b, a, d] = line.values;
            writeln!(
                f,
                "{:<18} {:>6.3} [{:.3}, {:.3}]   {:>6.3} [{:.3}, {:.3}]   {:>+6.3} [{:+.3}, {:+.3}]{}",
                line.name,
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
        for test in self.tests() {
            writeln!(f, "{test}")?;
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
        let parities = self.parities();
        if !parities.is_empty() {
            writeln!(f, "\n{:<25} {:>8} {:>8}", "gap between groups", "before", "after")?;
            for (name, before, after) in parities {
                writeln!(f, "{name:<25} {:>8} {:>8}", cell(before), cell(after))?;
            }
        }
        Ok(())
    }
}
