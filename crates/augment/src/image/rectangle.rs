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

/// `[batch, 1, height, width]`, true inside.
pub(crate) fn rectangle_mask(
    rectangles: &[Rectangle],
    [height, width]: [usize; 2],
    device: &Device,
) -> Tensor<4, Bool> {
    let mut mask = vec![false; rectangles.len() * height * width];
    for (mask, r) in mask.chunks_exact_mut((height * width).max(1)).zip(rectangles) {
        assert!(r.bottom <= height && r.right <= width, "{r:?} leaves {height} x {width}");
        for row in mask.chunks_exact_mut(width).take(r.bottom).skip(r.top) {
            row[r.left.min(r.right)..r.right].fill(true);
        }
    }
    Tensor::from_data(TensorData::new(mask, [rectangles.len(), 1, height, width]), device)
}
