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

/// Pixels from which on a mask is not sent to the device but made there.
const SENT: usize = 1 << 20;

/// `[batch, 1, height, width]`, true inside.
pub(crate) fn rectangle_mask(
    rectangles: &[Rectangle],
    [height, width]: [usize; 2],
    device: &Device,
) -> Tensor<4, Bool> {
    for r in rectangles {
        assert!(r.bottom <= height && r.right <= width, "{r:?} leaves {height} x {width}");
    }
    let shape = [rectangles.len(), 1, height, width];
    if shape.iter().product::<usize>() < SENT {
        return sent(rectangles, shape, device);
    }
    let within = |length: usize, from: fn(&Rectangle) -> usize, to: fn(&Rectangle) -> usize| {
        let range = |r| (0..length).map(move |at| (from(r)..to(r)).contains(&at));
        rectangles.iter().flat_map(range).collect::<Vec<bool>>()
    };
    let rows = TensorData::new(within(height, |r| r.top, |r| r.bottom), [shape[0], 1, height, 1]);
    let columns = TensorData::new(within(width, |r| r.left, |r| r.right), [shape[0], 1, 1, width]);
    let [rows, columns] = [rows, columns].map(|side| Tensor::<4, Bool>::from_data(side, device));
    rows.expand(shape).bool_and(columns.expand(shape))
}

fn sent(rectangles: &[Rectangle], shape: [usize; 4], device: &Device) -> Tensor<4, Bool> {
    let [_, _, height, width] = shape;
    let mut mask = vec![false; shape.iter().product()];
    for (mask, r) in mask.chunks_exact_mut((height * width).max(1)).zip(rectangles) {
        for row in mask.chunks_exact_mut(width).take(r.bottom).skip(r.top) {
            row[r.left.min(r.right)..r.right].fill(true);
        }
    }
    Tensor::from_data(TensorData::new(mask, shape), device)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mask_made_on_the_device_is_the_one_that_would_be_sent() {
        let device = Device::flex();
        let edge = 600;
        let rectangles = [[0, 600, 0, 1], [17, 400, 300, 600], [5, 5, 9, 9], [1, 2, 3, 4]]
            .map(|[top, bottom, left, right]| Rectangle { top, bottom, left, right });
        let shape = [rectangles.len(), 1, edge, edge];
        assert!(shape.iter().product::<usize>() >= SENT);
        let made = rectangle_mask(&rectangles, [edge, edge], &device);
        assert_eq!(made.into_data(), sent(&rectangles, shape, &device).into_data());
    }
}
