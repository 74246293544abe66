use plotters::prelude::*;

use super::{SIZE, colour, draw};
use crate::{ClassProfile, Result, Segment};

/// Class counts by rank on a logarithmic axis, coloured by segment.
///
/// # Errors
/// [`Error::Plot`](crate::Error::Plot) when plotters fails.
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
        chart
            .configure_series_labels()
            .position(SeriesLabelPosition::UpperRight)
            .border_style(BLACK)
            .background_style(WHITE)
            .draw()?;
        Ok(())
    })
}
