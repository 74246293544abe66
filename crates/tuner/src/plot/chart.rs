//! Charts as SVG by plotters.

use plotters::coord::Shift;
use plotters::prelude::*;

const SIZE: (u32, u32) = (640, 400);
const DOT: RGBColor = RGBColor(90, 120, 190);
const STRONG: RGBColor = RGBColor(190, 60, 40);
/// Cells of a field along each axis.
const CELLS: usize = 24;

/// Title, labels, and names of whole x where it has some.
pub(super) struct Axes {
    title: String,
    x: String,
    y: String,
    names: Vec<String>,
}

impl Axes {
    pub(super) fn new(title: &str, x: &str, y: &str) -> Self {
        Self { title: title.to_owned(), x: x.to_owned(), y: y.to_owned(), names: Vec::new() }
    }

    pub(super) fn named(title: &str, names: &[String]) -> Self {
        Self { names: names.to_vec(), ..Self::new(title, "", "share of the range") }
    }
}

/// One layer of a chart.
pub(super) enum Mark {
    Dots(Vec<(f64, f64)>),
    Strong(Vec<(f64, f64)>),
    /// With its darkness in `[0, 1]`.
    Line(Vec<(f64, f64)>, f64),
    /// Points with a rank in `[0, 1]`, 0 dark.
    Shaded(Vec<((f64, f64), f64)>),
    /// The plane coloured by the ranks of near points.
    Field(Vec<((f64, f64), f64)>),
}

pub(super) struct Chart {
    axes: Axes,
    marks: Vec<Mark>,
}

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Drawn = Result<(), Box<dyn std::error::Error>>;

impl Chart {
    pub(super) fn new(axes: Axes) -> Self {
        Self { axes, marks: Vec::new() }
    }

    pub(super) fn with(mut self, mark: Mark) -> Self {
        self.marks.push(mark);
        self
    }

    pub(super) fn svg(&self) -> String {
        drawn(SIZE, |root| self.draw(root))
    }

    fn points(&self) -> Vec<(f64, f64)> {
        let of = |mark: &Mark| -> Vec<(f64, f64)> {
            match mark {
                Mark::Dots(p) | Mark::Strong(p) | Mark::Line(p, _) => p.clone(),
                Mark::Shaded(p) | Mark::Field(p) => p.iter().map(|(p, _)| *p).collect(),
            }
        };
        let all = self.marks.iter().flat_map(of);
        all.filter(|(x, y)| x.is_finite() && y.is_finite()).collect()
    }

    fn draw(&self, root: &Area<'_>) -> Drawn {
        let points = self.points();
        let x = range(points.iter().map(|p| p.0));
        let y = range(points.iter().map(|p| p.1));
        let mut builder = ChartBuilder::on(root);
        builder.margin(10).x_label_area_size(40).y_label_area_size(60);
        if !self.axes.title.is_empty() {
            builder.caption(&self.axes.title, ("sans-serif", 18));
        }
        let mut chart = builder.build_cartesian_2d(x.clone(), y.clone())?;
        let names = &self.axes.names;
        let name = |v: &f64| {
            let whole = v.round();
            let near = (v - whole).abs() < 1e-6 && whole >= 0.0;
            let found = near.then(|| names.get(whole as usize)).flatten();
            found.cloned().unwrap_or_default()
        };
        let plain =
            |v: &f64| format!("{v:.4}").trim_end_matches('0').trim_end_matches('.').to_owned();
        let mut mesh = chart.configure_mesh();
        mesh.x_desc(&self.axes.x).y_desc(&self.axes.y).light_line_style(WHITE);
        if names.is_empty() {
            mesh.x_label_formatter(&plain);
        } else {
            mesh.x_labels(names.len() * 2).x_label_formatter(&name);
        }
        mesh.y_label_formatter(&plain).draw()?;
        for mark in &self.marks {
            match mark {
                Mark::Dots(points) => {
                    chart.draw_series(
                        finite(points).map(|p| Circle::new(p, 3, DOT.mix(0.6).filled())),
                    )?;
                }
                Mark::Strong(points) => {
                    chart
                        .draw_series(finite(points).map(|p| Circle::new(p, 4, STRONG.filled())))?;
                }
                Mark::Line(points, dark) => {
                    let style = STRONG.mix(0.1 + 0.9 * dark * dark).stroke_width(1);
                    chart.draw_series(LineSeries::new(finite(points), style))?;
                }
                Mark::Shaded(points) => {
                    let dot =
                        |(p, rank): &((f64, f64), f64)| Circle::new(*p, 3, shade(*rank).filled());
                    chart.draw_series(points.iter().map(dot))?;
                }
                Mark::Field(points) => {
                    let (w, h) =
                        ((x.end - x.start) / CELLS as f64, (y.end - y.start) / CELLS as f64);
                    let cells = (0..CELLS * CELLS).map(|i| {
                        let corner =
                            (x.start + (i % CELLS) as f64 * w, y.start + (i / CELLS) as f64 * h);
                        let middle = (corner.0 + 0.5 * w, corner.1 + 0.5 * h);
                        let rank = nearby(points, middle, (x.end - x.start, y.end - y.start));
                        let far = (corner.0 + w, corner.1 + h);
                        Rectangle::new([corner, far], shade(rank).mix(0.35).filled())
                    });
                    chart.draw_series(cells)?;
                }
            }
        }
        Ok(())
    }
}

/// The mean rank of the points, near ones most, in units of the ranges.
fn nearby(points: &[((f64, f64), f64)], at: (f64, f64), range: (f64, f64)) -> f64 {
    let weight = |p: &(f64, f64)| {
        let (dx, dy) = ((p.0 - at.0) / range.0, (p.1 - at.1) / range.1);
        1.0 / (dx * dx + dy * dy + 1e-4).powi(2)
    };
    let sum: f64 = points.iter().map(|(p, _)| weight(p)).sum();
    points.iter().map(|(p, rank)| weight(p) * rank).sum::<f64>() / sum.max(f64::MIN_POSITIVE)
}

/// Dark for good.
fn shade(rank: f64) -> RGBColor {
    let mix = |a: u8, b: u8| (f64::from(a) + (f64::from(b) - f64::from(a)) * rank) as u8;
    RGBColor(mix(20, 220), mix(40, 225), mix(110, 240))
}

fn finite(points: &[(f64, f64)]) -> impl Iterator<Item = (f64, f64)> {
    points.iter().copied().filter(|(x, y)| x.is_finite() && y.is_finite())
}

/// The values' range with a little room.
fn range(values: impl Iterator<Item = f64>) -> std::ops::Range<f64> {
    let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
    for value in values {
        (low, high) = (low.min(value), high.max(value));
    }
    if low > high {
        return 0.0..1.0;
    }
    let room = if high > low { 0.04 * (high - low) } else { 0.5 * low.abs().max(1.0) };
    low - room..high + room
}

/// Charts beside each other, three in a row.
pub(super) fn side_by_side(charts: &[Chart]) -> String {
    let columns = charts.len().clamp(1, 3);
    let rows = charts.len().div_ceil(columns).max(1);
    let size = (280 * columns as u32, 240 * rows as u32);
    drawn(size, |root| {
        for (area, chart) in root.split_evenly((rows, columns)).iter().zip(charts) {
            chart.draw(area)?;
        }
        Ok(())
    })
}

/// Named shares as horizontal bars, the first on top.
pub(super) fn bars(title: &str, shares: &[(String, f64)]) -> String {
    let n = shares.len().max(1);
    drawn((SIZE.0, 60 + 28 * n as u32), |root| {
        let most = shares.iter().map(|s| s.1).fold(0.0, f64::max).max(1e-9);
        let mut chart = ChartBuilder::on(root)
            .margin(10)
            .caption(title, ("sans-serif", 18))
            .x_label_area_size(25)
            .y_label_area_size(150)
            .build_cartesian_2d(0.0..most * 1.05, 0.0..n as f64)?;
        let name = |v: &f64| {
            let place = n as f64 - 0.5 - v;
            let near = (place - place.round()).abs() < 1e-6 && place >= 0.0;
            let found = near.then(|| shares.get(place.round() as usize)).flatten();
            found.map(|s| s.0.clone()).unwrap_or_default()
        };
        chart.configure_mesh().disable_mesh().y_labels(4 * n).y_label_formatter(&name).draw()?;
        chart.draw_series(shares.iter().enumerate().map(|(i, (_, share))| {
            let top = (n - i) as f64;
            Rectangle::new([(0.0, top - 0.85), (*share, top - 0.15)], DOT.filled())
        }))?;
        Ok(())
    })
}

fn drawn(size: (u32, u32), draw: impl FnOnce(&Area<'_>) -> Drawn) -> String {
    let mut svg = String::new();
    {
        let root = SVGBackend::with_string(&mut svg, size).into_drawing_area();
        // Writing to a string does not fail; a range that cannot be drawn leaves it empty.
        if let Err(error) = root.fill(&WHITE).map_err(Into::into).and_then(|()| draw(&root)) {
            tracing::warn!("a picture is not drawn: {error}");
        }
        let _ = root.present();
    }
    svg
}

pub(super) fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
