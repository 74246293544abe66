//! Hand-written kernels for every GPU runtime, in CubeCL. They compute f32; other types take the
//! tensor operations, but for AdamW and the block's.

mod adam;
mod attend;
mod binary;
mod mix;
mod norm;
mod rows;
mod softmax;
#[cfg(all(test, feature = "wgpu"))]
mod tests;
mod total;

use burn::backend::TensorMetadata;
use burn::backend::tensor::{FloatTensor, IntTensor};
use burn::tensor::DType;
use burn_cubecl::CubeBackend;

use crate::mix::{MixOps, pairs_composed};
use crate::ops::RowOps;
use crate::{BinaryFocal, composed};
use binary::Power;
use rows::{Rows, UNITS, contiguous, elements};

type Float = FloatTensor<CubeBackend>;
type Ids = IntTensor<CubeBackend>;

impl RowOps for CubeBackend {
    fn log_prob_lse(
        logits: Float,
        ids: Ids,
        shift: Float,
        margin: Float,
        scale: f64,
    ) -> (Float, Float) {
        let Some(rows) = Rows::of(&[&logits, &shift, &margin]) else {
            return composed::log_prob_lse::<Self>(logits, ids, shift, margin, scale);
        };
        let (value, lse) = (rows.one_each(), rows.one_each());
        let (logits, stride) = rows.read(logits);
        softmax::log_prob::launch(
            &rows.client,
            rows.count(),
            rows.cube(),
            rows.vector,
            logits,
            contiguous(ids.clone()),
            contiguous(shift),
            contiguous(margin),
            value.clone().into_buffer_arg(),
            lse.clone().into_buffer_arg(),
            rows.rows as u32,
            rows.vectors() as u32,
            rows.turns(),
            stride,
            scale as f32,
            rows.share,
            elements(&ids),
        );
        (value, lse)
    }

    fn log_prob_backward(
        logits: Float,
        ids: Ids,
        shift: Float,
        margin: Float,
        scale: f64,
        lse: Float,
        grad: Float,
    ) -> Float {
        let Some(rows) = Rows::of(&[&logits, &shift, &margin, &lse, &grad]) else {
            return composed::log_prob_backward::<Self>(
                logits, ids, shift, margin, scale, lse, grad,
            );
        };
        let out = rows.like_input();
        let (logits, stride) = rows.read(logits);
        softmax::log_prob_backward::launch(
            &rows.client,
            rows.count(),
            rows.cube(),
            rows.vector,
            logits,
            contiguous(ids.clone()),
            contiguous(shift),
            contiguous(margin),
            contiguous(lse),
            contiguous(grad),
            out.clone().into_buffer_arg(),
            rows.rows as u32,
            rows.vectors() as u32,
            rows.turns(),
            stride,
            scale as f32,
            elements(&ids),
        );
        out
    }

    fn cross_entropy_lse(
        logits: Float,
        targets: Float,
        shift: Float,
        scale: f64,
    ) -> (Float, Float) {
        let Some(rows) = Rows::of(&[&logits, &targets, &shift]) else {
            return composed::cross_entropy_lse::<Self>(logits, targets, shift, scale);
        };
        let (value, lse) = (rows.one_each(), rows.one_each());
        let (logits, stride) = rows.read(logits);
        let (targets, target_stride) = rows.read(targets);
        softmax::cross_entropy::launch(
            &rows.client,
            rows.count(),
            rows.cube(),
            rows.vector,
            logits,
            targets,
            contiguous(shift),
            value.clone().into_buffer_arg(),
            lse.clone().into_buffer_arg(),
            rows.rows as u32,
            rows.vectors() as u32,
            rows.turns(),
            stride,
            target_stride,
            scale as f32,
            rows.share,
        );
        (value, lse)
    }

    fn cross_entropy_backward(
        logits: Float,
        targets: Float,
        shift: Float,
        scale: f64,
        lse: Float,
        grad: Float,
    ) -> Float {
        let Some(rows) = Rows::of(&[&logits, &targets, &shift, &lse, &grad]) else {
            return composed::cross_entropy_backward::<Self>(
                logits, targets, shift, scale, lse, grad,
            );
        };
        let out = rows.like_input();
        let (logits, stride) = rows.read(logits);
        let (targets, target_stride) = rows.read(targets);
        softmax::cross_entropy_backward::launch(
            &rows.client,
            rows.count(),
            rows.cube(),
            rows.vector,
            logits,
            targets,
            contiguous(shift),
            contiguous(lse),
            contiguous(grad),
            out.clone().into_buffer_arg(),
            rows.rows as u32,
            rows.vectors() as u32,
            rows.turns(),
            stride,
            target_stride,
            scale as f32,
            rows.share,
        );
        out
    }

    fn log_softmax_rows(logits: Float, shift: Float, scale: f64) -> Float {
        let Some(rows) = Rows::of(&[&logits, &shift]) else {
            return composed::log_softmax_rows::<Self>(logits, shift, scale);
        };
        let out = rows.like_input();
        let (logits, stride) = rows.read(logits);
        softmax::log_softmax::launch(
            &rows.client,
            rows.count(),
            rows.cube(),
            rows.vector,
            logits,
            contiguous(shift),
            out.clone().into_buffer_arg(),
            rows.rows as u32,
            rows.vectors() as u32,
            rows.turns(),
            stride,
            scale as f32,
            rows.share,
        );
        out
    }

    fn log_softmax_rows_backward(output: Float, scale: f64, grad: Float) -> Float {
        let Some(rows) = Rows::of(&[&output, &grad]) else {
            return composed::log_softmax_rows_backward::<Self>(output, scale, grad);
        };
        let out = rows.like_input();
        let (output, stride) = rows.read(output);
        let (grad, grad_stride) = rows.read(grad);
        softmax::log_softmax_backward::launch(
            &rows.client,
            rows.count(),
            rows.cube(),
            rows.vector,
            output,
            grad,
            out.clone().into_buffer_arg(),
            rows.rows as u32,
            rows.vectors() as u32,
            rows.turns(),
            stride,
            grad_stride,
            scale as f32,
            rows.share,
        );
        out
    }

    fn binary_focal(
        logits: Float,
        targets: Float,
        positive: Float,
        negative: Float,
        terms: BinaryFocal,
    ) -> Float {
        let Some(rows) = Rows::of(&[&logits, &targets, &positive, &negative]) else {
            let (value, _) =
                composed::binary_focal_slope::<Self>(logits, targets, positive, negative, terms);
            return composed::list::<Self>(value);
        };
        let value = rows.one_each();
        let (logits, stride) = rows.read(logits);
        let (targets, target_stride) = rows.read(targets);
        binary::focal::launch(
            &rows.client,
            rows.count(),
            rows.cube(),
            rows.vector,
            logits,
            targets,
            contiguous(positive),
            contiguous(negative),
            value.clone().into_buffer_arg(),
            rows.rows as u32,
            rows.vectors() as u32,
            rows.turns(),
            stride,
            target_stride,
            terms.gamma_positive as f32,
            terms.gamma_negative as f32,
            terms.margin as f32,
            (Power::of(terms.gamma_positive), Power::of(terms.gamma_negative)),
            terms.margin > 0.0,
            rows.share,
        );
        composed::list::<Self>(value)
    }

    fn binary_focal_slope(
        logits: Float,
        targets: Float,
        positive: Float,
        negative: Float,
        terms: BinaryFocal,
    ) -> (Float, Float) {
        let Some(rows) = Rows::of(&[&logits, &targets, &positive, &negative]) else {
            return composed::binary_focal_slope::<Self>(
                logits, targets, positive, negative, terms,
            );
        };
        let (value, slope) = (rows.one_each(), rows.like_input());
        let (logits, stride) = rows.read(logits);
        let (targets, target_stride) = rows.read(targets);
        binary::focal_slope::launch(
            &rows.client,
            rows.count(),
            rows.cube(),
            rows.vector,
            logits,
            targets,
            contiguous(positive),
            contiguous(negative),
            value.clone().into_buffer_arg(),
            slope.clone().into_buffer_arg(),
            rows.rows as u32,
            rows.vectors() as u32,
            rows.turns(),
            stride,
            target_stride,
            terms.gamma_positive as f32,
            terms.gamma_negative as f32,
            terms.margin as f32,
            (Power::of(terms.gamma_positive), Power::of(terms.gamma_negative)),
            terms.margin > 0.0,
            rows.share,
        );
        (value, slope)
    }

    fn scale_rows(x: Float, by: Float) -> Float {
        let Some(rows) = Rows::of(&[&x, &by]) else {
            return composed::scale_rows::<Self>(x, by);
        };
        let (out, (count, cube)) = (rows.like_input(), rows.flat());
        binary::scale::launch(
            &rows.client,
            count,
            cube,
            rows.vector,
            contiguous(x),
            contiguous(by),
            out.clone().into_buffer_arg(),
            rows.rows as u32,
            rows.vectors() as u32,
        );
        out
    }

    fn total(x: Float, mean: bool) -> Float {
        let n = x.shape()[0];
        let units = x.client.properties().hardware.max_units_per_cube as usize;
        if x.dtype != DType::F32 || n == 0 || n >= u32::MAX as usize || units < UNITS {
            return composed::total::<Self>(x, mean);
        }
        total::of(x, n, if mean { 1.0 / n as f32 } else { 1.0 })
    }
}

impl MixOps for CubeBackend {
    fn mix_pairs(x: Float, partners: Ids, weights: Float) -> Float {
        let Some(rows) = Rows::of(&[&x, &weights]) else {
            return pairs_composed::<Self>(x, partners, weights);
        };
        let (out, (count, cube)) = (rows.like_input(), rows.flat());
        let (x, stride) = rows.read(x);
        mix::pairs::launch(
            &rows.client,
            count,
            cube,
            rows.vector,
            x,
            contiguous(partners.clone()),
            contiguous(weights),
            out.clone().into_buffer_arg(),
            rows.rows as u32,
            rows.vectors() as u32,
            stride,
            elements(&partners),
        );
        out
    }
}
