//! SVG pictures, drawn by plotters.

use plotters::coord::Shift;
use plotters::prelude::*;

use crate::{ClassProfile, Error, Result, Segment};

const SIZE: (u32, u32) = (760, 360);

/// The colour of a segment in every picture: blue, grey, red.
pub fn colour(segment: Segment) -> RGBColor {
    match segment {
        Segment::Head => RGBColor(38, 102, 168),
        Segment::Mid => RGBColor(140, 140, 140),
        Segment::Tail => RGBColor(200, 60, 50),
    }
}

fn draw<F>(what: &'static str, size: (u32, u32), picture: F) -> Result<String>
where
    F: FnOnce(&DrawingArea<SVGBackend<'_>, Shift>) -> Result<(), Box<dyn std::error::Error>>,
{
    let mut svg = String::new();
    {
        let root = SVGBackend::with_string(&mut svg, size).into_drawing_area();
        let result = picture(&root).and_then(|()| Ok(root.present()?));
        result.map_err(|e| Error::Plot { what, reason: e.to_string() })?;
    }
    Ok(svg)
}

/// Class counts by rank on a logarithmic axis, coloured by segment.
///
/// # Errors
/// [`Error::Plot`] when plotters fails.
pub fn profile(profile: &ClassProfile) -> Result<String> {
    draw("class profile", SIZE, |root| {
        root.fill(&WHITE)?;
        let top = profile.counts().iter().max().copied().unwrap_or(1) as f64;
        let mut chart = ChartBuilder::on(root)
            .caption("Examples per class, by rank", ("sans-serif", 18))
            .margin(8)
            .x_label_area_size(36)
            .y_label_area_size(56)
            .build_cartesian_2d(0f64..profile.classes() as f64, (0.8f64..top * 1.3).log_scale())?;
        chart
            .configure_mesh()
            .disable_x_mesh()
            .x_desc("class rank")
            .y_desc("examples (log)")
            .draw()?;
        for segment in Segment::ALL {
            let ranked = profile.order().into_iter().enumerate();
            let bars = ranked.filter(|&(_, class)| profile.segment(class) == segment).map(
                |(rank, class)| {
                    let x = rank as f64;
                    let height = (profile.counts()[class] as f64).max(0.8);
                    Rectangle::new([(x + 0.1, 0.8), (x + 0.9, height)], colour(segment).filled())
                },
            );
            chart.draw_series(bars)?.label(segment.to_string()).legend(move |(x, y)| {
                Rectangle::new([(x, y - 5), (x + 10, y + 5)], colour(segment).filled())
            });
        }
        chart.configure_series_labels().border_style(BLACK).background_style(WHITE).draw()?;
        Ok(())
    })
}

/// Paired horizontal bars "before" and "after" for named values in `[0, 1]`, the first row
/// on top.
///
/// # Errors
/// [`Error::Plot`] when plotters fails.
pub fn before_after(title: &str, rows: &[(String, f64, f64)]) -> Result<String> {
    const ROW: u32 = 24;
    let size = (SIZE.0, ROW * rows.len() as u32 + 90);
    draw("before and after", size, |root| {
        root.fill(&WHITE)?;
        let mut chart = ChartBuilder::on(root)
            .caption(title, ("sans-serif", 18))
            .margin(8)
            .x_label_area_size(36)
            .y_label_area_size(120)
            .build_cartesian_2d(0f64..1f64, (0..rows.len()).into_segmented())?;
        chart
            .configure_mesh()
            .disable_y_mesh()
            .y_labels(rows.len())
            .y_label_formatter(&|y| match y {
                SegmentValue::CenterOf(i) => {
                    let from_top = rows.len().checked_sub(i + 1);
                    from_top.map(|i| rows[i].0.clone()).unwrap_or_default()
                }
                _ => String::new(),
            })
            .draw()?;
        let series = [(RGBColor(190, 190, 190), "before"), (RGBColor(38, 102, 168), "after")];
        for (column, (colour, name)) in series.into_iter().enumerate() {
            let bars = rows.iter().rev().enumerate().map(|(i, row)| {
                let length = if column == 0 { row.1 } else { row.2 };
                let ends = [(0.0, SegmentValue::Exact(i)), (length, SegmentValue::Exact(i + 1))];
                let mut bar = Rectangle::new(ends, colour.filled());
                let (top, bottom) = if column == 0 { (3, ROW / 2) } else { (ROW / 2, 3) };
                bar.set_margin(top, bottom, 0, 0);
                bar
            });
            chart.draw_series(bars)?.label(name).legend(move |(x, y)| {
                Rectangle::new([(x, y - 5), (x + 10, y + 5)], colour.filled())
            });
        }
        chart
            .configure_series_labels()
            .position(SeriesLabelPosition::LowerRight)
            .border_style(BLACK)
            .background_style(WHITE)
            .draw()?;
        Ok(())
    })
}

/// A line through `(x, y)` points, for study histories and learning curves.
///
/// # Errors
/// [`Error::Plot`] when plotters fails.
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
        let blue = RGBColor(38, 102, 168);
        chart.draw_series(LineSeries::new(points.iter().copied(), blue))?;
        chart.draw_series(points.iter().map(|&p| Circle::new(p, 3, blue.filled())))?;
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_are_svg_with_their_parts() {
        let counts = ClassProfile::from_counts([900, 90, 10, 0]).unwrap();
        let svg = profile(&counts).unwrap();
        assert!(svg.starts_with("<svg") && svg.contains("tail"));
        let rows = [("head".to_owned(), 0.9, 0.8), ("tail".to_owned(), 0.1, 0.5)];
        assert!(before_after("recall", &rows).unwrap().contains("after"));
        assert!(
            line("best", "trial", "score", &[(0.0, 0.1), (1.0, 0.4)]).unwrap().contains("<poly")
        );
    }
}
