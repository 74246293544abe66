use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::{BLUE, draw};
use crate::Result;

/// A confusion matrix as a heat map: `shares[true][predicted]` in `[0, 1]`, each row divided by
/// its sum, written in percent.
///
/// # Errors
/// [`Error::Plot`](crate::Error::Plot) when plotters fails.
pub fn confusion(title: &str, names: &[String], shares: &[Vec<f64>]) -> Result<String> {
    let n = names.len() as i32;
    let side = (520 / n.max(1)).clamp(14, 60);
    let longest = names.iter().map(|name| name.chars().count()).max().unwrap_or(0) as i32;
    let labels = (longest.min(18) * 7 + 16).max(40);
    let (left, top) = (labels, labels + 30);
    let size = ((left + n * side + 16) as u32, (top + n * side + 16) as u32);
    draw("confusion matrix", size, |root| {
        root.fill(&WHITE)?;
        let font = |points: i32| ("sans-serif", points).into_font();
        let centred = Pos::new(HPos::Center, VPos::Center);
        root.draw(&Text::new(title.to_owned(), (8, 6), font(16)))?;
        let written = (side * 2 / 5).min(13);
        for (t, row) in shares.iter().enumerate() {
            for (p, &share) in row.iter().enumerate() {
                let (x, y) = (left + p as i32 * side, top + t as i32 * side);
                let cell = [(x, y), (x + side - 1, y + side - 1)];
                // Light cells for small shares: the square root shows them.
                let colour = BLUE.mix(share.clamp(0.0, 1.0).sqrt());
                root.draw(&Rectangle::new(cell, colour.filled()))?;
                if share >= 0.005 {
                    let ink = if share > 0.35 { WHITE } else { BLACK };
                    let style = font(written).color(&ink).pos(centred);
                    let percent = format!("{:.0}", 100.0 * share);
                    root.draw(&Text::new(percent, (x + side / 2, y + side / 2), style))?;
                }
            }
        }
        for (i, name) in names.iter().enumerate() {
            let short: String = name.chars().take(18).collect();
            let middle = i as i32 * side + side / 2;
            let right = font(12).color(&BLACK).pos(Pos::new(HPos::Right, VPos::Center));
            root.draw(&Text::new(short.clone(), (left - 6, top + middle), right))?;
            let up = font(12).transform(FontTransform::Rotate270).color(&BLACK);
            let up = up.pos(Pos::new(HPos::Left, VPos::Center));
            root.draw(&Text::new(short, (left + middle, top - 6), up))?;
        }
        Ok(())
    })
}
