use plotters::prelude::*;

use super::draw;
use crate::Result;

/// Pixels of the picture for one of an image.
const PIXEL: i32 = 6;
const LABEL: i32 = 130;

/// Rows of grey images with a name before each: values in `[0, 1]`, `width` to a line, black on
/// white.
///
/// # Errors
/// [`Error::Plot`](crate::Error::Plot) when plotters fails.
pub fn images(title: &str, width: usize, rows: &[(String, Vec<Vec<f32>>)]) -> Result<String> {
    let all = || rows.iter().flat_map(|(_, images)| images);
    let width = width.max(1);
    let height = all().map(|image| image.len().div_ceil(width)).max().unwrap_or(0);
    let (across, down) = ((width as i32 + 1) * PIXEL, (height as i32 + 1) * PIXEL);
    let most = rows.iter().map(|(_, images)| images.len()).max().unwrap_or(0) as i32;
    let size = ((LABEL + most * across + 8) as u32, (30 + rows.len() as i32 * down + 8) as u32);
    draw("images", size, |root| {
        root.fill(&WHITE)?;
        root.draw(&Text::new(title.to_owned(), (8, 6), ("sans-serif", 16)))?;
        for (line, (name, images)) in rows.iter().enumerate() {
            let top = 30 + line as i32 * down;
            root.draw(&Text::new(name.clone(), (8, top + down / 2 - 8), ("sans-serif", 13)))?;
            for (at, image) in images.iter().enumerate() {
                let left = LABEL + at as i32 * across;
                for (pixel, value) in image.iter().enumerate() {
                    let (x, y) = ((pixel % width) as i32, (pixel / width) as i32);
                    let corner = (left + x * PIXEL, top + y * PIXEL);
                    let shade = (255.0 * (1.0 - value.clamp(0.0, 1.0))).round() as u8;
                    let cell = [corner, (corner.0 + PIXEL, corner.1 + PIXEL)];
                    root.draw(&Rectangle::new(cell, RGBColor(shade, shade, shade).filled()))?;
                }
            }
        }
        Ok(())
    })
}
