//! SVG pictures, drawn by plotters.

use plotters::coord::Shift;
use plotters::prelude::*;

mod bars;
mod curves;
mod images;
mod matrix;
mod profile;
mod scatter;

pub use bars::before_after;
pub use curves::{Series, line, precision_recall, reliability, roc, thresholds};
pub use images::images;
pub use matrix::confusion;
pub use profile::profile;
pub use scatter::scatter;

use crate::{Error, Result, Segment};

const SIZE: (u32, u32) = (760, 360);
const BLUE: RGBColor = RGBColor(38, 102, 168);
const PALE: RGBColor = RGBColor(190, 190, 190);
const GREY: RGBColor = RGBColor(110, 110, 110);
const RED: RGBColor = RGBColor(200, 60, 50);

/// The colour of a segment in every picture: blue, grey, red.
pub fn colour(segment: Segment) -> RGBColor {
    match segment {
        Segment::Head => BLUE,
        Segment::Mid => RGBColor(140, 140, 140),
        Segment::Tail => RED,
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ClassProfile;

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

    #[test]
    fn points_and_images_are_drawn() {
        let series = |name: &str, points: &[(f64, f64)]| Series {
            name: name.to_owned(),
            points: points.to_vec(),
        };
        let both = [series("real", &[(0.0, 1.0), (3.0, 2.0)]), series("made", &[(f64::NAN, 1.0)])];
        let svg = scatter("rows", "x", "y", &both).unwrap();
        assert!(
            svg.contains("real") && svg.contains("made") && svg.matches("<circle").count() >= 2
        );
        assert!(scatter("none", "x", "y", &[]).is_ok());
        let grid = vec![("before".to_owned(), vec![vec![0.0, 0.5, 1.0, 2.0]; 3])];
        let svg = images("digits", 2, &grid).unwrap();
        assert!(svg.contains("before") && svg.matches("<rect").count() >= 12);
        assert!(images("none", 0, &[]).is_ok());
    }

    #[test]
    fn curves_and_matrices_are_drawn_with_any_number_of_points() {
        let series =
            |points: &[(f64, f64)]| [Series { name: "model".to_owned(), points: points.to_vec() }];
        let some = series(&[(0.0, 0.0), (0.2, 0.7), (1.0, 1.0)]);
        for points in [&some[..], &series(&[]), &[]] {
            for svg in [
                roc(points).unwrap(),
                precision_recall(points).unwrap(),
                reliability(points).unwrap(),
                thresholds("scores by threshold", points).unwrap(),
            ] {
                assert!(svg.starts_with("<svg") && svg.ends_with("</svg>\n"), "{svg}");
            }
        }
        assert!(roc(&some).unwrap().contains("model"));
        assert!(precision_recall(&some).unwrap().contains("F = 0.8"));
        let names = ["common".to_owned(), "<rare>".to_owned()];
        let svg = confusion("test", &names, &[vec![0.9, 0.1], vec![1.0, 0.0]]).unwrap();
        assert!(svg.contains("common") && svg.contains("&lt;rare&gt;") && svg.contains("\n90\n"));
        assert!(confusion("none", &[], &[]).is_ok());
    }
}
