use plotters::prelude::*;

use super::{BLUE, GREY, RED, Series, draw};
use crate::Result;

const SQUARE: (u32, u32) = (460, 420);
const COLOURS: [RGBColor; 4] = [GREY, BLUE, RED, RGBColor(60, 140, 70)];

/// Points of several series over one another, in grey, blue, red and green; points that are not
/// finite are left out.
///
/// # Errors
/// [`Error::Plot`](crate::Error::Plot) when plotters fails.
pub fn scatter(title: &str, x: &str, y: &str, series: &[Series]) -> Result<String> {
    let points = || {
        let all = series.iter().flat_map(|s| &s.points);
        all.copied().filter(|(x, y)| x.is_finite() && y.is_finite())
    };
    let range = |of: fn((f64, f64)) -> f64| {
        let low = points().map(of).fold(f64::INFINITY, f64::min);
        let high = points().map(of).fold(f64::NEG_INFINITY, f64::max);
        let margin = 0.05 * (high - low);
        match margin {
            margin if margin > 0.0 => low - margin..high + margin,
            // One point, or none, has no range.
            _ if low.is_finite() => low - 0.5..low + 0.5,
            _ => 0.0..1.0,
        }
    };
    let (across, up) = (range(|p| p.0), range(|p| p.1));
    draw("points", SQUARE, |root| {
        root.fill(&WHITE)?;
        let mut chart = ChartBuilder::on(root)
            .caption(title, ("sans-serif", 18))
            .margin(8)
            .x_label_area_size(36)
            .y_label_area_size(52)
            .build_cartesian_2d(across, up)?;
        let mut mesh = chart.configure_mesh();
        mesh.light_line_style(TRANSPARENT).x_desc(x).y_desc(y).draw()?;
        for (at, one) in series.iter().enumerate() {
            let colour = COLOURS[at % COLOURS.len()];
            let finite = one.points.iter().filter(|(x, y)| x.is_finite() && y.is_finite());
            let dots = finite.map(|&point| Circle::new(point, 2, colour.mix(0.55).filled()));
            chart
                .draw_series(dots)?
                .label(one.name.as_str())
                .legend(move |at| Circle::new(at, 4, colour.filled()));
        }
        if !series.is_empty() {
            chart
                .configure_series_labels()
                .background_style(WHITE.mix(0.8))
                .border_style(GREY)
                .draw()?;
        }
        Ok(())
    })
}
