use plotters::prelude::*;

use super::{BLUE, PALE, SIZE, draw};
use crate::Result;

/// Paired horizontal bars "before" and "after" for named values in `[0, 1]`, the first row
/// on top.
///
/// # Errors
/// [`Error::Plot`](crate::Error::Plot) when plotters fails.
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
            .light_line_style(TRANSPARENT)
            .y_labels(rows.len())
            .y_label_formatter(&|y| match y {
                SegmentValue::CenterOf(i) => {
                    let from_top = rows.len().checked_sub(i + 1);
                    from_top.map(|i| rows[i].0.clone()).unwrap_or_default()
                }
                _ => String::new(),
            })
            .draw()?;
        let series = [(PALE, "before"), (BLUE, "after")];
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
