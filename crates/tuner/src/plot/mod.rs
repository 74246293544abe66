//! Pictures of a study.

mod chart;

use std::path::Path;

use self::chart::{Axes, Chart, Mark};
use crate::study::write_whole;
use crate::{Distribution, Importance, Result, State, Study, TrialRecord, Value};

/// A picture of a study.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Plot {
    /// Every trial's value, and the best so far.
    History,
    /// Values against each parameter.
    Slice,
    /// Trials as lines over the parameters, dark ones good.
    ParallelCoordinates,
    /// Values over two parameters.
    Contour(String, String),
    /// The front among all trials, of the first two objectives.
    Pareto,
    /// The importance of the parameters (fANOVA).
    Importance,
    /// The share of trials that are at least so good: the empirical distribution.
    Edf,
}

impl Study {
    /// A picture as SVG that needs nothing else.
    ///
    /// With several objectives, values are those of the first.
    ///
    /// # Errors
    /// Errors of the storage; [`Plot::Importance`] with too few trials.
    pub fn svg(&self, plot: &Plot) -> Result<String> {
        let trials = self.trials()?;
        let told: Vec<&TrialRecord> = trials
            .iter()
            .map(|t| &**t)
            .filter(|t| t.state == State::Complete && t.values.iter().all(|v| v.is_finite()))
            .filter(|t| t.values.len() == self.directions().len())
            .collect();
        let loss = |t: &TrialRecord| self.directions()[0].loss(t.values[0]);
        Ok(match plot {
            Plot::History => {
                let mut best = f64::INFINITY;
                let all = told.iter().map(|t| (t.number as f64, t.values[0])).collect();
                let line = told
                    .iter()
                    .map(|t| {
                        best = best.min(loss(t));
                        (t.number as f64, self.directions()[0].loss(best))
                    })
                    .collect();
                let axes = Axes::new("history", "trial", "value");
                Chart::new(axes).with(Mark::Dots(all)).with(Mark::Line(line, 1.0)).svg()
            }
            Plot::Edf => {
                let mut values: Vec<f64> = told.iter().map(|t| t.values[0]).collect();
                values.sort_by(|a, b| {
                    self.directions()[0].loss(*a).total_cmp(&self.directions()[0].loss(*b))
                });
                let n = values.len().max(1) as f64;
                let steps =
                    values.iter().enumerate().map(|(i, v)| (*v, (i + 1) as f64 / n)).collect();
                let axes = Axes::new("distribution of values", "value", "share of trials");
                Chart::new(axes).with(Mark::Line(steps, 1.0)).svg()
            }
            Plot::Pareto => {
                let second = |t: &TrialRecord| t.values.get(1).copied().unwrap_or(t.values[0]);
                let all = told.iter().map(|t| (t.values[0], second(t))).collect();
                let front = self.front()?;
                let front = front.iter().map(|t| (t.values[0], second(t))).collect();
                let axes = Axes::new("front", "objective 1", "objective 2");
                Chart::new(axes).with(Mark::Dots(all)).with(Mark::Strong(front)).svg()
            }
            Plot::Importance => {
                let importance = self.importance(Importance::Fanova, 0)?;
                chart::bars("importance (fANOVA)", &importance)
            }
            Plot::Slice => {
                let panels = parameters(&told).into_iter().map(|name| {
                    let scale = Scale::of(&told, &name);
                    let dots = told
                        .iter()
                        .filter_map(|t| Some((scale.place(t.params.get(&name)?), t.values[0])))
                        .collect();
                    Chart::new(Axes::new("", &scale.label(&name), "value")).with(Mark::Dots(dots))
                });
                chart::side_by_side(&panels.collect::<Vec<_>>())
            }
            Plot::Contour(a, b) => {
                let (x, y) = (Scale::of(&told, a), Scale::of(&told, b));
                let ranks = ranks(&told, &loss);
                let dots = told.iter().zip(&ranks).filter_map(|(t, rank)| {
                    let place = (x.place(t.params.get(a)?), y.place(t.params.get(b)?));
                    Some((place, *rank))
                });
                let dots: Vec<_> = dots.collect();
                Chart::new(Axes::new("dark: good", &x.label(a), &y.label(b)))
                    .with(Mark::Field(dots.clone()))
                    .with(Mark::Shaded(dots))
                    .svg()
            }
            Plot::ParallelCoordinates => {
                let names = parameters(&told);
                let scales: Vec<Scale> = names.iter().map(|n| Scale::of(&told, n)).collect();
                let ranks = ranks(&told, &loss);
                // Good ones last, on top.
                let mut order: Vec<usize> = (0..told.len()).collect();
                order.sort_by(|&a, &b| ranks[b].total_cmp(&ranks[a]));
                let mut chart = Chart::new(Axes::named("dark: good", &names));
                for i in order {
                    let line = names
                        .iter()
                        .zip(&scales)
                        .enumerate()
                        .filter_map(|(k, (name, scale))| {
                            Some((k as f64, scale.share(told[i].params.get(name)?)))
                        })
                        .collect();
                    chart = chart.with(Mark::Line(line, 1.0 - ranks[i]));
                }
                chart.svg()
            }
        })
    }

    /// Writes all pictures that the study has enough trials for as one HTML page that
    /// needs nothing else. The file appears whole or not at all.
    ///
    /// # Errors
    /// [`Error::Io`](crate::Error::Io) with the path; errors of the storage.
    pub fn to_html(&self, path: impl AsRef<Path>) -> Result<()> {
        let mut plots = vec![Plot::History, Plot::Edf, Plot::Slice, Plot::ParallelCoordinates];
        if self.directions().len() > 1 {
            plots.push(Plot::Pareto);
        }
        let title = chart::escape(self.name());
        let trials = self.trials()?.len();
        let mut page = format!(
            "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
             <title>{title}</title><style>body{{font-family:sans-serif;margin:2em}}</style>\
             </head><body>\n<h1>{title}</h1>\n<p>{trials} trials</p>\n"
        );
        for plot in &plots {
            page += &self.svg(plot)?;
            page.push('\n');
        }
        // Too few trials say nothing of importance.
        if let Ok(importance) = self.importance(Importance::Fanova, 0) {
            page += &self.svg(&Plot::Importance)?;
            if let [(a, _), (b, _), ..] = &importance[..] {
                page += &self.svg(&Plot::Contour(a.clone(), b.clone()))?;
            }
        }
        page += "\n</body></html>\n";
        write_whole(path.as_ref(), page.as_bytes())
    }
}

/// Names of all parameters.
fn parameters(told: &[&TrialRecord]) -> Vec<String> {
    let names: std::collections::BTreeSet<&String> =
        told.iter().flat_map(|t| t.params.keys()).collect();
    names.into_iter().cloned().collect()
}

/// Ranks in `[0, 1]`, 0 the best.
fn ranks(told: &[&TrialRecord], loss: &dyn Fn(&TrialRecord) -> f64) -> Vec<f64> {
    let mut order: Vec<usize> = (0..told.len()).collect();
    order.sort_by(|&a, &b| loss(told[a]).total_cmp(&loss(told[b])));
    let mut ranks = vec![0.0; told.len()];
    for (place, i) in order.into_iter().enumerate() {
        ranks[i] = place as f64 / told.len().max(2).saturating_sub(1) as f64;
    }
    ranks
}

/// A parameter as an axis: logarithms where it is on a log scale, positions of choices.
struct Scale {
    distribution: Option<Distribution>,
}

impl Scale {
    fn of(told: &[&TrialRecord], name: &str) -> Self {
        Self { distribution: told.iter().rev().find_map(|t| t.distributions.get(name)).cloned() }
    }

    fn is_log(&self) -> bool {
        use Distribution::{Float, Int};
        matches!(self.distribution, Some(Float { log: true, .. } | Int { log: true, .. }))
    }

    fn label(&self, name: &str) -> String {
        if self.is_log() { format!("log10 {name}") } else { name.to_owned() }
    }

    fn place(&self, value: &Value) -> f64 {
        let internal = self.distribution.as_ref().and_then(|d| d.to_internal(value));
        let internal = internal.unwrap_or(f64::NAN);
        if self.is_log() { internal.log10() } else { internal }
    }

    fn share(&self, value: &Value) -> f64 {
        self.distribution.as_ref().and_then(|d| d.encode(value)).unwrap_or(0.5)
    }
}
