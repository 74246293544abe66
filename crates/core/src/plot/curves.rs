use plotters::prelude::*;

use super::{BLUE, GREY, PALE, RED, SIZE, draw};
use crate::Result;

const SQUARE: (u32, u32) = (460, 420);

/// A named line.
#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    /// Its name in the legend.
    pub name: String,
    /// Its points.
    pub points: Vec<(f64, f64)>,
}

/// What lies behind the lines of a chart on the unit square.
enum Backdrop {
    None,
    Diagonal,
    IsoF,
}

struct Unit<'a> {
    title: &'a str,
    x: &'a str,
    y: &'a str,
    backdrop: Backdrop,
    dots: bool,
}

impl Unit<'_> {
    fn draw(&self, series: &[Series]) -> Result<String> {
        draw("curves", SQUARE, |root| {
            root.fill(&WHITE)?;
            let mut chart = ChartBuilder::on(root)
                .caption(self.title, ("sans-serif", 18))
                .margin(8)
                .x_label_area_size(36)
                .y_label_area_size(52)
                .build_cartesian_2d(0f64..1f64, 0f64..1f64)?;
            chart
                .configure_mesh()
                .light_line_style(TRANSPARENT)
                .x_desc(self.x)
                .y_desc(self.y)
                .draw()?;
            match self.backdrop {
                Backdrop::None => {}
                Backdrop::Diagonal => {
                    chart.draw_series(LineSeries::new([(0.0, 0.0), (1.0, 1.0)], PALE))?;
                }
                Backdrop::IsoF => {
                    for f in [0.2, 0.4, 0.6, 0.8] {
                        // F = 2pr / (p + r), so p = F r / (2r − F), at most 1 from r = F / (2 − F).
                        let least = f / (2.0 - f);
                        let recalls =
                            (0..=100).map(|i| least + (1.0 - least) * f64::from(i) / 100.0);
                        let points = recalls.map(|r| (r, f * r / (2.0 * r - f)));
                        chart.draw_series(LineSeries::new(points, PALE))?;
                        let style = ("sans-serif", 11).into_font().color(&GREY);
                        chart.draw_series([Text::new(
                            format!("F = {f}"),
                            (0.885, least + 0.03),
                            style,
                        )])?;
                    }
                }
            }
            // One line alone is blue; of two, the second, which is the treatment.
            let first = usize::from(series.len() == 1);
            for (i, line) in series.iter().enumerate() {
                let colour = [GREY, BLUE, RED, BLACK][(first + i) % 4];
                let style = colour.stroke_width(2);
                chart
                    .draw_series(LineSeries::new(line.points.iter().copied(), style))?
                    .label(line.name.clone())
                    .legend(move |(x, y)| PathElement::new([(x, y), (x + 14, y)], style));
                if self.dots {
                    let dots = line.points.iter().map(|&p| Circle::new(p, 3, colour.filled()));
                    chart.draw_series(dots)?;
                }
            }
            if !series.is_empty() {
                chart
                    .configure_series_labels()
                    .position(SeriesLabelPosition::LowerMiddle)
                    .border_style(BLACK)
                    .background_style(WHITE)
                    .draw()?;
            }
            Ok(())
        })
    }
}

/// Receiver operating characteristic: points (false positive rate, true positive rate).
///
/// # Errors
/// [`Error::Plot`](crate::Error::Plot) when plotters fails.
pub fn roc(series: &[Series]) -> Result<String> {
    let (x, y) = ("false positive rate", "true positive rate");
    Unit { title: "ROC", x, y, backdrop: Backdrop::Diagonal, dots: false }.draw(series)
}

/// Precision against recall, points (recall, precision), over lines of equal F1.
///
/// # Errors
/// [`Error::Plot`](crate::Error::Plot) when plotters fails.
pub fn precision_recall(series: &[Series]) -> Result<String> {
    let title = "Precision and recall";
    Unit { title, x: "recall", y: "precision", backdrop: Backdrop::IsoF, dots: false }.draw(series)
}

/// Reliability diagram: points (mean confidence, accuracy) of bins; the diagonal is calibrated.
///
/// # Errors
/// [`Error::Plot`](crate::Error::Plot) when plotters fails.
pub fn reliability(series: &[Series]) -> Result<String> {
    let (x, y) = ("confidence", "accuracy");
    Unit { title: "Reliability", x, y, backdrop: Backdrop::Diagonal, dots: true }.draw(series)
}

/// Scores in `[0, 1]` against a threshold in `[0, 1]`.
///
/// # Errors
/// [`Error::Plot`](crate::Error::Plot) when plotters fails.
pub fn thresholds(title: &str, series: &[Series]) -> Result<String> {
    Unit { title, x: "threshold", y: "score", backdrop: Backdrop::None, dots: false }.draw(series)
}

/// A line through `(x, y)` points, for study histories and learning curves.
///
/// # Errors
/// [`Error::Plot`](crate::Error::Plot) when plotters fails.
pub fn line(title: &str, x: &str, y: &str, points: &[(f64, f64)]) -> Result<String> {
    draw("line", SIZE, |root| {
        root.fill(&WHITE)?;
        let bounds = |values: &mut dyn Iterator<Item = f64>| {
            let (low, high) =
                values.fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), v| (l.min(v), h.max(v)));
            let pad = if high > low { 0.05 * (high - low) } else { 0.5 };
            (low - pad)..(high + pad)
        };
        if points.is_empty() {
            return Ok(());
        }
        let mut chart = ChartBuilder::on(root)
            .caption(title, ("sans-serif", 18))
            .margin(8)
            .x_label_area_size(36)
            .y_label_area_size(56)
            .build_cartesian_2d(
                bounds(&mut points.iter().map(|p| p.0)),
                bounds(&mut points.iter().map(|p| p.1)),
            )?;
        chart.configure_mesh().x_desc(x).y_desc(y).draw()?;
        chart.draw_series(LineSeries::new(points.iter().copied(), BLUE))?;
        chart.draw_series(points.iter().map(|&p| Circle::new(p, 3, BLUE.filled())))?;
        Ok(())
    })
}
