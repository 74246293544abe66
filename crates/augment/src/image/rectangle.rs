use burn::tensor::{Bool, Device, Tensor, TensorData};

/// Pixels of an image: rows `top..bottom`, columns `left..right`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rectangle {
    /// First row.
    pub top: usize,
    /// The row after the last.
    pub bottom: usize,
    /// First column.
    pub left: usize,
    /// The column after the last.
    pub right: usize,
}

impl Rectangle {
    /// Of this size around a pixel, clipped to the image; all pairs are height, width.
    pub(crate) fn around(middle: [usize; 2], size: [f32; 2], image: [usize; 2]) -> Self {
        let side = |at: usize| {
            let half = (size[at] / 2.0) as usize;
            (middle[at].saturating_sub(half), (middle[at] + half).min(image[at]))
        };
        let ((top, bottom), (left, right)) = (side(0), side(1));
        Self { top, bottom, left, right }
    }

    /// Pixels.
    pub fn area(&self) -> usize {
        self.bottom.saturating_sub(self.top) * self.right.saturating_sub(self.left)
    }
}

/// `[batch, 1, height, width]`, true inside. Only which rows and which columns are inside comes
/// from the host.
pub(crate) fn rectangle_mask(
    rectangles: &[Rectangle],
    [height, width]: [usize; 2],
    device: &Device,
) -> Tensor<4, Bool> {
    for r in rectangles {
        assert!(r.bottom <= height && r.right <= width, "{r:?} leaves {height} x {width}");
    }
    let batch = rectangles.len();
    let within = |length: usize, from: fn(&Rectangle) -> usize, to: fn(&Rectangle) -> usize| {
        let range = |r| (0..length).map(move |at| (from(r)..to(r)).contains(&at));
        rectangles.iter().flat_map(range).collect::<Vec<bool>>()
    };
    let rows = TensorData::new(within(height, |r| r.top, |r| r.bottom), [batch, 1, height, 1]);
    let columns = TensorData::new(within(width, |r| r.left, |r| r.right), [batch, 1, 1, width]);
    let [rows, columns] = [rows, columns].map(|side| Tensor::<4, Bool>::from_data(side, device));
    let whole = [batch, 1, height, width];
    rows.expand(whole).bool_and(columns.expand(whole))
}
